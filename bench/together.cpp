// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Barriers around a timer, and what follows from all devices' rows.
#include "bench/together.hpp"

#include "record/samples.hpp"

#include <fmt/format.h>

#include <cmath>

namespace trainmeter {

std::vector<double> TogetherTimer::take(Rotation& rotation, std::int64_t samples,
                                        std::int64_t batch) {
  const std::int64_t at_once = rotation.operation->stream() == nullptr ? 1 : samples;
  std::vector<double> times;
  for (std::int64_t taken = 0; taken < samples; taken += at_once) {
    world_.barrier();
    const std::vector<double> some = inner_.take(rotation, at_once, batch);
    times.insert(times.end(), some.begin(), some.end());
  }
  own_s_.insert(own_s_.end(), times.begin(), times.end());
  // Afterwards, so that the agreeing isn't between two samples.
  for (double& time : times) time = world_.slowest(time);
  return times;
}

std::string name_on_device(const std::string& case_name, std::size_t device) {
  return fmt::format("{}/device:{}", case_name, device);
}

Slowest slowest_of(const std::vector<Measurement>& rows) {
  Slowest out;
  double most_s = 0;
  for (std::size_t device = 0; 2 * device + 1 < rows.size(); ++device) {
    const MedianEstimate alone = median_time(rows[2 * device]);
    const MedianEstimate together = median_time(rows[2 * device + 1]);
    if (!(together.median > most_s)) continue;
    most_s = together.median;
    out = {.device = device,
           .row = 2 * device + 1,
           .speed_vs_alone = alone.median / together.median,
           .half = std::nullopt};
    if (alone.interval && together.interval) {
      out.half = std::hypot(alone.half_width(), together.half_width());
    }
  }
  return out;
}

}  // namespace trainmeter
