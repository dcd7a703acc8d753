// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A sentinel: a short fixed GEMM and a short fixed copy, timed between the samples of every case,
// tell whether the machine is in the state that it was in before.
#pragma once

#include "bench/target.hpp"
#include "bench/timer.hpp"
#include "kernels/operation.hpp"
#include "record/record.hpp"

#include <memory>
#include <vector>

namespace trainmeter {

class Sentinel {
 public:
  // Both are owned and run on their first operand set only.
  Sentinel(std::unique_ptr<Operation> compute, std::unique_ptr<Operation> copy,
           std::unique_ptr<Timer> timer);
  Probe probe();  // the better of two runs each, so that one interrupt isn't a state

 private:
  double time(Operation& operation);

  std::unique_ptr<Operation> compute_, copy_;
  std::unique_ptr<Timer> timer_;
};

// For this target; nullptr where one of the two can't be made here.
std::unique_ptr<Sentinel> make_sentinel(const Target& target);

// By how much a probe may differ from the median of a case's probes and be the same state.
inline constexpr double kSameState = 0.25;

// Marks samples beside a probe that was in another state, and says which and by how much. `samples`
// were taken in all.
std::vector<Mark> changed_states(const std::vector<Probe>& probes, std::int64_t samples);

// The first `count` of the samples, with the marks by the probes until then: what counts of them
// now (record/samples.hpp).
Measurement first_samples(const std::vector<double>& time_s, const std::vector<Probe>& probes,
                          std::int64_t count);

}  // namespace trainmeter
