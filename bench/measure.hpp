// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The measuring loop: warm-up, then samples until there are enough. docs/how-it-is-measured.md says
// why it is as it is.
#pragma once

#include "bench/timer.hpp"
#include "kernels/collective.hpp"
#include "kernels/operation.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace trainmeter {

struct Rules {
  double warmup_s = 0.1;      // least
  double max_warmup_s = 1.0;  // and most, where the times don't settle; one run may exceed it
  double settled = 0.05;      // relative change of the median between two rounds of warm-up
  double min_time_s = 0.2;
  double max_overhead = 5;  // on the wall at most this many times min_time_s, min_samples apart
  std::int64_t min_samples = 10;
  std::int64_t max_samples = 10'000;
  double round_s = 0.05;  // one round of samples; between rounds the loop looks at `stop`
};

struct Samples {
  std::vector<double> time_s;        // one run each, in the order taken
  std::int64_t runs_per_sample = 1;  // above 1 a sample is the mean of that many runs
};

struct Measured {
  std::vector<Samples> of;   // one per operation
  bool settled = true;       // warm-up ended because the times agreed
  bool interrupted = false;  // `stop` said so; the samples are incomplete
};

// Measures one operation, or several whose samples alternate (A B A B ...). With a world, every
// rank calls this with its own operations; rank 0 decides every count and all ranks stop together.
Measured measure(std::span<Operation* const> operations, Timer& timer, const Rules& rules,
                 World* world, const std::function<bool()>& stop);

}  // namespace trainmeter
