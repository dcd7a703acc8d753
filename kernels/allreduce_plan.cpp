// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The switch points, and cutting into pieces.
#include "kernels/allreduce_plan.hpp"

#include "kernels/operation.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>

namespace trainmeter {
namespace {

using enum AllReduceAlgorithm;

constexpr std::int64_t kKiB = 1024;
constexpr std::int64_t kMiB = 1024 * kKiB;
constexpr int kAnyRanks = std::numeric_limits<int>::max();
constexpr std::int64_t kAnyBytes = std::numeric_limits<std::int64_t>::max();

// Found by trying block sizes and both ways of storing, with two ranks on two cores of an EPYC,
// with four, and both algorithms, on two of a Xeon.
constexpr std::array kSwitchPoints = {
    SwitchPoint{2, kAnyBytes, {one_shot, 128 * kKiB, true, true}},
    SwitchPoint{kAnyRanks, 16 * kKiB, {one_shot, 16 * kKiB, false, false}},
    SwitchPoint{kAnyRanks, 512 * kKiB, {two_shot, 256 * kKiB, false, true}},
    SwitchPoint{kAnyRanks, kAnyBytes, {two_shot, 256 * kKiB, true, true}},
};

// Where others switch, not found by a sweep of ours: vLLM adds in one shot up to 512 KiB between up
// to 4 GPUs and 256 KiB between 8, FlashInfer up to 32 MiB between 2. Two ranks read as much either
// way, but one shot copies it once more. Blocks: NCCL's kernels over peer memory take 65 GB/s each
// (its cost model), so that 8 fill NVLink's 450 and 36 leave room.
constexpr std::array kPeerSwitchPoints = {
    PeerSwitchPoint{2, 2 * kMiB, {one_shot, 36}},
    PeerSwitchPoint{4, 512 * kKiB, {one_shot, 36}},
    PeerSwitchPoint{kMostPeers, 256 * kKiB, {one_shot, 36}},
    PeerSwitchPoint{kMostPeers, kAnyBytes, {two_shot, 36}},
};

constexpr const char* kPlanVariable = "TRAINMETER_ALLREDUCE_PLAN";

// The plan of the first row that holds.
template <class Rows>
auto plan_of(const Rows& rows, int ranks, std::int64_t bytes) {
  return std::ranges::find_if(
             rows,
             [&](const auto& row) { return ranks <= row.most_ranks && bytes <= row.most_bytes; })
      ->plan;
}

}  // namespace

std::string_view to_string(AllReduceAlgorithm algorithm) {
  return algorithm == one_shot ? "one_shot" : "two_shot";
}

std::span<const SwitchPoint> switch_points() {
  return kSwitchPoints;
}

AllReducePlan plan_all_reduce(int ranks, std::int64_t bytes) {
  return plan_of(kSwitchPoints, ranks, bytes);
}

std::span<const PeerSwitchPoint> peer_switch_points() {
  return kPeerSwitchPoints;
}

PeerPlan plan_peer_all_reduce(int ranks, std::int64_t bytes) {
  if (ranks < 2 || ranks > kMostPeers) {
    throw std::invalid_argument("between 2 and 8 ranks, not " + std::to_string(ranks));
  }
  return plan_of(kPeerSwitchPoints, ranks, bytes);
}

PeerPlan chosen_peer_plan(int ranks, std::int64_t bytes) {
  const char* const text = std::getenv(kPlanVariable);
  if (text == nullptr || *text == '\0') return plan_peer_all_reduce(ranks, bytes);
  std::istringstream words{std::string(text)};
  std::string word;
  std::getline(words, word, ',');
  PeerPlan plan;
  const bool known = word == "one_shot" || word == "two_shot";
  if (word == "two_shot") plan.algorithm = two_shot;
  if (!known || !(words >> plan.blocks) || !words.eof() || plan.blocks < 1 ||
      plan.blocks > kMostPeerBlocks) {
    throw Unavailable(std::string(kPlanVariable) + "='" + text +
                      "': expected one_shot or two_shot, a comma and thread blocks (1 to " +
                      std::to_string(kMostPeerBlocks) + ")");
  }
  return plan;
}

int peer_blocks(const PeerPlan& plan, int ranks, std::int64_t bytes, int resident) {
  constexpr std::int64_t kBlockBytes = std::int64_t{16} * kPeerThreads;
  const std::int64_t part = plan.algorithm == one_shot ? bytes : (bytes + ranks - 1) / ranks;
  const std::int64_t wanted = (part + kBlockBytes - 1) / kBlockBytes;
  const int most = std::min({plan.blocks, resident, kMostPeerBlocks});
  return static_cast<int>(std::clamp<std::int64_t>(wanted, 1, std::max(1, most)));
}

Piece piece_of(std::int64_t count, int parts, int index, std::int64_t unit) {
  const std::int64_t units = (count + unit - 1) / unit;
  const auto at = [&](std::int64_t part) { return std::min(count, units * part / parts * unit); };
  return {at(index), at(index + 1) - at(index)};
}

}  // namespace trainmeter
