// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Whole layers' samples.
#include "bench/layer_in_turn.hpp"

namespace trainmeter {

std::vector<double> WholeTimer::take(Rotation& rotation, std::int64_t samples, std::int64_t batch) {
  const auto& layer = dynamic_cast<const WholeLayer&>(*rotation.operation);
  std::vector<double> times;
  for (std::int64_t i = 0; i < samples; ++i) {
    double sum_s = 0;
    for (std::int64_t run = 0; run < batch; ++run) sum_s += inner_.whole(layer.steps());
    times.push_back(sum_s / static_cast<double>(batch));
  }
  return times;
}

}  // namespace trainmeter
