// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Trials in turn.
#include "kernels/fastest.hpp"

#include "kernels/gpu_timer.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace trainmeter {
namespace {

constexpr int kTrials = 6;         // in pairs, once forward and once backward
constexpr double kHopeless = 1.5;  // so much slower than the best: not tried again

double median(std::vector<double> times) {
  std::ranges::sort(times);
  const std::size_t half = times.size() / 2;
  return times.size() % 2 == 1 ? times[half] : (times[half - 1] + times[half]) / 2;
}

}  // namespace

std::size_t fastest_of(std::size_t ways, const TimesOfWays& times_of) {
  std::vector<std::vector<double>> times(ways);
  std::vector<double> middle(ways, std::numeric_limits<double>::infinity());
  std::vector<std::size_t> left(ways);
  std::iota(left.begin(), left.end(), std::size_t{0});
  const auto best = [&] {
    return *std::ranges::min_element(left, {}, [&](std::size_t way) { return middle[way]; });
  };
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<std::size_t> order = left;
    std::rotate(order.begin(), order.begin() + std::ssize(order) * (trial / 2) / (kTrials / 2),
                order.end());
    if (trial % 2 == 1) std::ranges::reverse(order);
    const std::vector<double> found = times_of(order, trial);
    for (std::size_t i = 0; i < order.size(); ++i) {
      times[order[i]].push_back(found[i]);
      middle[order[i]] = median(times[order[i]]);
    }
    const double most = kHopeless * middle[best()];
    std::erase_if(left, [&](std::size_t way) { return most < middle[way]; });
  }
  return best();
}

std::size_t fastest_of(void* stream, std::size_t ways,
                       const std::function<void(std::size_t, int)>& launch, int kernels) {
  GpuTimer timer;
  return fastest_of(ways, [&](const std::vector<std::size_t>& order, int trial) {
    return timer.time(
        stream, static_cast<int>(order.size()),
        [&](int i) { launch(order[static_cast<std::size_t>(i)], trial); }, kernels);
  });
}

}  // namespace trainmeter
