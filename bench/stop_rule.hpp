// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// When a measuring loop that has its least samples has enough. docs/how-it-is-measured.md says why.
#pragma once

#include "record/median_estimate.hpp"

#include <cstdint>
#include <functional>
#include <string>

namespace trainmeter {

class StopRule {
 public:
  // As in Rules (bench/measure.hpp).
  StopRule(double target, std::int64_t max_samples) : target_(target), max_samples_(max_samples) {}

  // Whether the first `count` samples give an interval within the target.
  using Narrow = std::function<bool(std::int64_t count)>;

  // Why `have` samples are enough, as in Measurement::stopped; empty: they aren't. `late`: there is
  // no time for more.
  std::string why_stop(std::int64_t have, bool late, const Narrow& narrow);

  // With so many it looks again.
  [[nodiscard]] std::int64_t next_look() const { return next_look_; }

 private:
  double target_;
  std::int64_t max_samples_;
  std::int64_t next_look_ = static_cast<std::int64_t>(kLeastSamplesForInterval);
};

}  // namespace trainmeter
