// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How our own all-reduces, on CPUs and on GPUs, cut a payload up: algorithm and blocks by ranks and
// bytes, and who adds which part. Pure arithmetic.
#pragma once

#include "kernels/collective_layout.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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
  bool operator==(const AllReducePlan&) const = default;
};

// Where the plan changes. Rows are in order: the first that holds for both counts.
struct SwitchPoint {
  int most_ranks = 0;
  std::int64_t most_bytes = 0;
  AllReducePlan plan;
  std::optional<AllReducePlan> other = std::nullopt;  // faster on some machines: both are tried
};
std::span<const SwitchPoint> switch_points();

// The most bytes of a block.
inline constexpr std::int64_t kMostBlockBytes = std::int64_t{256} << 10;

AllReducePlan plan_all_reduce(int ranks, std::int64_t bytes);
// All that the table has for it, or that of the environment,
// TRAINMETER_ALLREDUCE_PLAN=two_shot,262144,ahead,streaming, for the search that fills the table
// (scripts/allreduce_sweep.py); the last two as wanted. Unavailable where it says something else.
std::vector<AllReducePlan> chosen_plans(int ranks, std::int64_t bytes);
std::string plan_of_environment();  // that variable's text, which must be the same on every rank

// The same for GPUs that reach each other's memory (allreduce_peer_kernel.hpp).
inline constexpr int kMostPeers = 8;        // ranks
inline constexpr int kMostPeerBlocks = 64;  // thread blocks of a rank
inline constexpr int kPeerThreads = 512;    // of a thread block

struct PeerPlan {
  AllReduceAlgorithm algorithm = AllReduceAlgorithm::one_shot;
  int blocks = 0;  // thread blocks of each rank, at most
};

struct PeerSwitchPoint {
  int most_ranks = 0;
  std::int64_t most_bytes = 0;
  PeerPlan plan;
};
std::span<const PeerSwitchPoint> peer_switch_points();

PeerPlan plan_peer_all_reduce(int ranks, std::int64_t bytes);
// The same, or that of the environment, TRAINMETER_ALLREDUCE_PLAN=two_shot,24.
PeerPlan chosen_peer_plan(int ranks, std::int64_t bytes);
// What is wrong with that variable, in one line, between CPUs' ranks or GPUs; empty where nothing
// is.
std::string plan_mistake(bool between_gpus);

// Thread blocks of each rank: no more than the plan's, than `resident` (what a GPU runs at once of
// each), or than have 16 bytes for each of their threads; at least 1.
int peer_blocks(const PeerPlan& plan, int ranks, std::int64_t bytes, int resident);

// Part `index` of `count` elements cut into `parts`, each (but the last with any) a multiple of
// `unit` elements.
Piece piece_of(std::int64_t count, int parts, int index, std::int64_t unit);

}  // namespace trainmeter
