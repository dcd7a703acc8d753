// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The measuring loop: warm-up, then samples until there are enough. docs/how-it-is-measured.md says
// why it is as it is.
#pragma once

#include "bench/timer.hpp"
#include "kernels/collective.hpp"
#include "kernels/operation.hpp"
#include "record/record.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

namespace trainmeter {

struct Rules {
  double rest_s = 0;          // idle before it
  double first_warmup_s = 0;  // least warm-up of a program's first case
  double warmup_s = 0.1;      // least
  double max_warmup_s = 1.0;  // and most, where the times don't settle; one run may exceed it
  double settled = 0.05;      // relative change of the median between two rounds of warm-up
  std::optional<std::int64_t> warmup_samples;  // so many instead, whatever they take
  bool check = true;                           // the result, before it is timed
  double min_time_s = 0.2;
  double max_overhead = 5;  // on the wall at most this many times min_time_s, min_samples apart
  std::int64_t min_samples = 10;
  // Then on until the median's 95 % interval is this narrow (half of it / median), of a pair that
  // of their ratio, without the samples that the probes mark; 0: no further. At two successive
  // looks, since the narrowest of many is too narrow.
  double target = 0;
  double max_time_s = 2;  // most time on the wall that is sampled for it, for each of a pair
  std::int64_t max_samples = 10'000;
  // Where so many would span less than min_time_s, a sample is several runs.
  bool batch_for_time = true;
  double round_s = 0.05;  // one round of samples; between rounds the loop looks at `stop`
};

struct Samples {
  std::vector<double> time_s;           // one run each, in the order taken
  std::int64_t runs_per_sample = 1;     // above 1 a sample is the mean of that many runs
  std::map<int, std::int64_t> slowest;  // in how many samples each rank was; those in none left out
};

// Samples [first, end) were taken between these two times (steady_now_s() of
// kernels/telemetry.hpp).
struct Round {
  std::int64_t first = 0, end = 0;
  double start_s = 0, end_s = 0;
};

struct Measured {
  std::vector<Samples> of;  // one per operation
  std::string stopped;      // Measurement::stopped
  std::vector<Round> rounds;
  std::vector<Probe> probes;  // one before each round and one after the last
  bool settled = true;        // warm-up ended because the times agreed
  bool brief = false;         // less than min_time_s was sampled of the first operation
  bool interrupted = false;   // `stop` said so; the samples are incomplete
};

// What is done around the runs.
struct Around {
  std::function<Probe()> probe;      // looks at the machine's state; none: not looked at
  std::function<void()> before_run;  // before every single run, untimed: empties caches
};

// Measures one operation, or several whose samples alternate (A B A B ...). With a world, every
// rank calls this with its own operations; rank 0 decides every count and all ranks stop together.
// With `before_run` a sample is one run; Unavailable where that is too short for the clock.
Measured measure(std::span<Operation* const> operations, Timer& timer, const Rules& rules,
                 World* world, const std::function<bool()>& stop, const Around& around = {});

}  // namespace trainmeter
