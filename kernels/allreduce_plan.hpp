// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How our own all-reduce cuts a payload up: algorithm and block size by ranks and bytes, and who
// adds which part. Pure arithmetic.
#pragma once

#include "kernels/collective_layout.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace trainmeter {

// one_shot: every rank reads what all others published, and adds it all: (n - 1) S bytes read a
// rank. two_shot: every rank adds its piece of each block, then reads the others' sums: 2 (n - 1) /
// n S bytes. The same for two ranks, where one_shot waits once less.
enum class AllReduceAlgorithm { one_shot, two_shot };
std::string_view to_string(AllReduceAlgorithm algorithm);

struct AllReducePlan {
  AllReduceAlgorithm algorithm = AllReduceAlgorithm::one_shot;
  std::int64_t block_bytes = 0;  // of the payload at a time: what the ranks hand on in their caches
  bool ahead = false;            // publish a block before the last one is taken
  bool streaming = false;        // write the result past the caches
};

// Where the plan changes. Rows are in order: the first that holds for both counts.
struct SwitchPoint {
  int most_ranks = 0;
  std::int64_t most_bytes = 0;
  AllReducePlan plan;
};
std::span<const SwitchPoint> switch_points();

// The most bytes of a block.
inline constexpr std::int64_t kMostBlockBytes = std::int64_t{512} << 10;

AllReducePlan plan_all_reduce(int ranks, std::int64_t bytes);

// Part `index` of `count` elements cut into `parts`, each (but the last with any) a multiple of
// `unit` elements.
Piece piece_of(std::int64_t count, int parts, int index, std::int64_t unit);

}  // namespace trainmeter
