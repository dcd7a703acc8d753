// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// All devices of a machine at once: samples that start together, and which device was the slowest.
#pragma once

#include "bench/timer.hpp"
#include "kernels/collective.hpp"
#include "record/record.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// Samples of `inner` that start behind a barrier, each by itself with a host's clock, a round of
// them where a GPU has them queued. Returns the slowest device's times, on every device, so that
// all decide alike; own_s() has this device's, of all that was taken. `inner` outlives it.
class TogetherTimer final : public TimerBy {
 public:
  TogetherTimer(Timer& inner, World& world) : TimerBy(inner), world_(world) {}

  std::vector<double> take(Rotation& rotation, std::int64_t samples, std::int64_t batch) override;
  [[nodiscard]] const std::vector<double>& own_s() const { return own_s_; }

 private:
  World& world_;
  std::vector<double> own_s_;
};

std::string name_on_device(const std::string& case_name, std::size_t device);

// `rows`: of each device in order one measured alone, and behind it one together.
struct Slowest {
  std::size_t device = 0;
  std::size_t row = 0;         // its row together
  double speed_vs_alone = 0;   // its rate together over its rate alone
  std::optional<double> half;  // relative half-width of that; none where one has no interval
};
Slowest slowest_of(const std::vector<Measurement>& rows);

}  // namespace trainmeter
