// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Trials in turn.
#include "kernels/fastest.hpp"

#include "kernels/gpu_timer.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

namespace trainmeter {
namespace {

constexpr int kTrials = 5;
constexpr double kHopeless = 1.5;  // so much slower than the best: not tried again

}  // namespace

std::size_t fastest_of(void* stream, std::size_t ways,
                       const std::function<void(std::size_t, int)>& launch, int kernels) {
  std::vector<double> least(ways, std::numeric_limits<double>::infinity());
  std::vector<std::size_t> left(ways);
  std::iota(left.begin(), left.end(), std::size_t{0});
  const auto best = [&] {
    return *std::ranges::min_element(left, {}, [&](std::size_t way) { return least[way]; });
  };
  GpuTimer timer;
  for (int trial = 0; trial < kTrials; ++trial) {
    const std::vector<double> times = timer.time(
        stream, static_cast<int>(left.size()),
        [&](int i) { launch(left[static_cast<std::size_t>(i)], trial); }, kernels);
    for (std::size_t i = 0; i < times.size(); ++i)
      least[left[i]] = std::min(least[left[i]], times[i]);
    const double most = kHopeless * least[best()];
    std::erase_if(left, [&](std::size_t way) { return most < least[way]; });
  }
  return best();
}

}  // namespace trainmeter
