// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A time is the slowest rank's; of each plan the median counts. Every rank has the same times, so
// they agree without a word.
#include "kernels/allreduce_choice.hpp"

#include "kernels/rounding.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kTriedBytes = std::int64_t{4} << 20;
constexpr std::int64_t kArenaBytes = std::int64_t{16} << 20;  // beyond a core's own caches
constexpr std::int64_t kLine = 64;
constexpr int kWarmUpRounds = 3;
constexpr int kLeastRounds = 25;
constexpr int kMostRounds = 500;
constexpr double kEnoughS = 0.1;
constexpr double kWorth = 0.95;  // of the other's time

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double middle_of(std::vector<double>& times_s) {
  const auto middle = times_s.begin() + static_cast<std::ptrdiff_t>(times_s.size() / 2);
  std::ranges::nth_element(times_s, middle);
  return *middle;
}

}  // namespace

AllReducePlan fastest_plan(ShmGroup& group, std::span<const AllReducePlan> plans,
                           std::int64_t bytes, DType type, bool in_place) {
  if (plans.size() == 1) return plans.front();
  const std::int64_t count = std::min(bytes, kTriedBytes) / size_of(type);
  // Payloads lie behind each other, as those of a case do that rotates: an odd number of them, so
  // that none is one plan's.
  const std::int64_t stride = round_up(std::max(count * size_of(type), kLine), kLine);
  const std::int64_t sets = (kArenaBytes / stride - 1) | 1;
  std::vector<char> receive(static_cast<std::size_t>(sets * stride));
  std::vector<char> send(in_place ? 0 : receive.size());
  std::vector<std::vector<double>> times_s(plans.size());
  double all_s = 0;
  std::int64_t set = 0;
  for (int round = 0;
       round < kWarmUpRounds + kLeastRounds || (all_s < kEnoughS && round < kMostRounds); ++round) {
    for (std::size_t i = 0; i < plans.size(); ++i) {
      const std::int64_t at = set++ % sets * stride;
      char* const to = receive.data() + at;
      const char* const from = in_place ? to : send.data() + at;
      group.barrier();
      const auto begin = std::chrono::steady_clock::now();
      group.all_reduce(from, to, count, type, plans[i]);
      const double slowest_s = std::ranges::max(group.gather(seconds_since(begin)));
      if (round < kWarmUpRounds) continue;
      times_s[i].push_back(slowest_s);
      all_s += slowest_s;
    }
  }
  std::size_t best = 0;
  for (std::size_t i = 1; i < plans.size(); ++i) {
    if (middle_of(times_s[i]) < kWorth * middle_of(times_s[best])) best = i;
  }
  return plans[best];
}

}  // namespace trainmeter
