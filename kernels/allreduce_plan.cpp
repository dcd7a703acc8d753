// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The switch points, and cutting into pieces.
#include "kernels/allreduce_plan.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace trainmeter {
namespace {

using enum AllReduceAlgorithm;

constexpr std::int64_t kKiB = 1024;
constexpr std::int64_t kMiB = 1024 * kKiB;
constexpr int kAnyRanks = std::numeric_limits<int>::max();
constexpr std::int64_t kAnyBytes = std::numeric_limits<std::int64_t>::max();

// Found by trying block sizes and both ways of storing with two ranks, and both algorithms with
// four, on two cores of a Xeon.
constexpr std::array kSwitchPoints = {
    SwitchPoint{2, 4 * kKiB, {one_shot, 4 * kKiB, false, false}},
    SwitchPoint{2, 128 * kKiB, {one_shot, 128 * kKiB, false, true}},
    SwitchPoint{2, kAnyBytes, {one_shot, 128 * kKiB, true, true}},
    SwitchPoint{kAnyRanks, 16 * kKiB, {one_shot, 16 * kKiB, false, false}},
    SwitchPoint{kAnyRanks, 512 * kKiB, {two_shot, 256 * kKiB, false, true}},
    SwitchPoint{kAnyRanks, kAnyBytes, {two_shot, 512 * kKiB, true, true}},
};

}  // namespace

std::string_view to_string(AllReduceAlgorithm algorithm) {
  return algorithm == one_shot ? "one_shot" : "two_shot";
}

std::span<const SwitchPoint> switch_points() {
  return kSwitchPoints;
}

AllReducePlan plan_all_reduce(int ranks, std::int64_t bytes) {
  return std::ranges::find_if(kSwitchPoints,
                              [&](const SwitchPoint& row) {
                                return ranks <= row.most_ranks && bytes <= row.most_bytes;
                              })
      ->plan;
}

Piece piece_of(std::int64_t count, int parts, int index, std::int64_t unit) {
  const std::int64_t units = (count + unit - 1) / unit;
  const auto at = [&](std::int64_t part) { return std::min(count, units * part / parts * unit); };
  return {at(index), at(index + 1) - at(index)};
}

}  // namespace trainmeter
