// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A time is the slowest rank's; of each plan the shortest counts. Every rank has the same times, so
// they agree without a word.
#include "kernels/allreduce_choice.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kTriedBytes = std::int64_t{4} << 20;
constexpr int kLeastRounds = 10;
constexpr int kMostRounds = 300;
constexpr double kEnoughS = 0.02;
constexpr double kWorth = 0.97;  // of the other's time

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

AllReducePlan fastest_plan(ShmGroup& group, std::span<const AllReducePlan> plans,
                           std::int64_t bytes, DType type) {
  if (plans.size() == 1) return plans.front();
  const std::int64_t count = std::min(bytes, kTriedBytes) / size_of(type);
  std::vector<char> send(static_cast<std::size_t>(count * size_of(type)));
  std::vector<char> receive(send.size());
  std::vector<double> shortest_s(plans.size(), std::numeric_limits<double>::infinity());
  double all_s = 0;
  for (int round = 0; round < kLeastRounds || (all_s < kEnoughS && round < kMostRounds); ++round) {
    for (std::size_t i = 0; i < plans.size(); ++i) {
      group.barrier();
      const auto begin = std::chrono::steady_clock::now();
      group.all_reduce(send.data(), receive.data(), count, type, plans[i]);
      const double slowest_s = std::ranges::max(group.gather(seconds_since(begin)));
      shortest_s[i] = std::min(shortest_s[i], slowest_s);
      all_s += slowest_s;
    }
  }
  std::size_t best = 0;
  for (std::size_t i = 1; i < plans.size(); ++i) {
    if (shortest_s[i] < kWorth * shortest_s[best]) best = i;
  }
  return plans[best];
}

}  // namespace trainmeter
