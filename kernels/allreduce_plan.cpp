// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The switch points, and cutting into pieces.
#include "kernels/allreduce_plan.hpp"

#include "kernels/operation.hpp"
#include "kernels/rounding.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace trainmeter {
namespace {

using enum AllReduceAlgorithm;

constexpr std::int64_t kKiB = 1024;
constexpr std::int64_t kMiB = 1024 * kKiB;
constexpr int kAnyRanks = std::numeric_limits<int>::max();
constexpr std::int64_t kAnyBytes = std::numeric_limits<std::int64_t>::max();

// Found by trying block sizes and both ways of storing, with two ranks on two cores of an EPYC,
// with four, and both algorithms, on two of a Xeon. Between two ranks one shot was the fastest on
// the EPYC for all sizes; on a later Xeon two shots are, from 16 KiB on.
constexpr std::array kSwitchPoints = {
    SwitchPoint{2, 8 * kKiB, {one_shot, 128 * kKiB, true, true}},
    SwitchPoint{2,
                kAnyBytes,
                {two_shot, 256 * kKiB, true, true},
                AllReducePlan{one_shot, 128 * kKiB, true, true}},
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

// The first row that holds.
template <class Rows>
const auto& row_of(const Rows& rows, int ranks, std::int64_t bytes) {
  return *std::ranges::find_if(
      rows, [&](const auto& row) { return ranks <= row.most_ranks && bytes <= row.most_bytes; });
}

// The words between commas, of which the first is an algorithm and the second a number.
struct PlanWords {
  AllReduceAlgorithm algorithm = one_shot;
  std::int64_t number = 0;
  std::vector<std::string> more;
};

std::optional<PlanWords> words_of(const std::string& text) {
  std::istringstream words(text);
  std::string word;
  PlanWords out;
  if (!std::getline(words, word, ',') || (word != "one_shot" && word != "two_shot"))
    return std::nullopt;
  if (word == "two_shot") out.algorithm = two_shot;
  if (!std::getline(words, word, ',')) return std::nullopt;
  const char* const end = word.data() + word.size();
  const auto [stop, failed] = std::from_chars(word.data(), end, out.number);
  if (failed != std::errc{} || stop != end) return std::nullopt;
  while (std::getline(words, word, ',')) out.more.push_back(word);
  return out;
}

std::optional<AllReducePlan> parsed_plan(const std::string& text) {
  constexpr std::int64_t kLine = 64;
  const auto words = words_of(text);
  if (!words || words->number < kLine || words->number > kMostBlockBytes ||
      words->number % kLine != 0) {
    return std::nullopt;
  }
  AllReducePlan plan = {.algorithm = words->algorithm, .block_bytes = words->number};
  for (const std::string& word : words->more) {
    if (word != "ahead" && word != "streaming") return std::nullopt;
    (word == "ahead" ? plan.ahead : plan.streaming) = true;
  }
  return plan;
}

std::optional<PeerPlan> parsed_peer_plan(const std::string& text) {
  const auto words = words_of(text);
  if (!words || words->number < 1 || words->number > kMostPeerBlocks || !words->more.empty())
    return std::nullopt;
  return PeerPlan{.algorithm = words->algorithm, .blocks = static_cast<int>(words->number)};
}

}  // namespace

std::string plan_of_environment() {
  const char* const text = std::getenv(kPlanVariable);
  return text == nullptr ? "" : text;
}

std::string_view to_string(AllReduceAlgorithm algorithm) {
  return algorithm == one_shot ? "one_shot" : "two_shot";
}

std::span<const SwitchPoint> switch_points() {
  return kSwitchPoints;
}

AllReducePlan plan_all_reduce(int ranks, std::int64_t bytes) {
  return row_of(kSwitchPoints, ranks, bytes).plan;
}

std::span<const PeerSwitchPoint> peer_switch_points() {
  return kPeerSwitchPoints;
}

PeerPlan plan_peer_all_reduce(int ranks, std::int64_t bytes) {
  if (ranks < 2 || ranks > kMostPeers) {
    throw std::invalid_argument("between 2 and 8 ranks, not " + std::to_string(ranks));
  }
  return row_of(kPeerSwitchPoints, ranks, bytes).plan;
}

std::vector<AllReducePlan> chosen_plans(int ranks, std::int64_t bytes) {
  if (plan_of_environment().empty()) {
    const SwitchPoint& row = row_of(kSwitchPoints, ranks, bytes);
    std::vector<AllReducePlan> plans = {row.plan};
    if (row.other) plans.push_back(*row.other);
    return plans;
  }
  if (const auto plan = parsed_plan(plan_of_environment())) return {*plan};
  throw Unavailable(plan_mistake(false));
}

PeerPlan chosen_peer_plan(int ranks, std::int64_t bytes) {
  if (plan_of_environment().empty()) return plan_peer_all_reduce(ranks, bytes);
  if (const auto plan = parsed_peer_plan(plan_of_environment())) return *plan;
  throw Unavailable(plan_mistake(true));
}

std::string plan_mistake(bool between_gpus) {
  const std::string text = plan_of_environment();
  if (text.empty() ||
      (between_gpus ? parsed_peer_plan(text).has_value() : parsed_plan(text).has_value()))
    return "";
  return std::string(kPlanVariable) + ": '" + text + "': expected one_shot or two_shot, " +
         (between_gpus ? "thread blocks (1 to " + std::to_string(kMostPeerBlocks) + ")"
                       : "bytes of a block (64 to " + std::to_string(kMostBlockBytes) +
                             ", whole lines of 64), ahead, streaming");
}

int peer_blocks(const PeerPlan& plan, int ranks, std::int64_t bytes, int resident) {
  constexpr std::int64_t kBlockBytes = std::int64_t{16} * kPeerThreads;
  const std::int64_t part = plan.algorithm == one_shot ? bytes : ceil_div(bytes, ranks);
  const std::int64_t wanted = ceil_div(part, kBlockBytes);
  const int most = std::min({plan.blocks, resident, kMostPeerBlocks});
  return static_cast<int>(std::clamp<std::int64_t>(wanted, 1, std::max(1, most)));
}

Piece piece_of(std::int64_t count, int parts, int index, std::int64_t unit) {
  const std::int64_t units = ceil_div(count, unit);
  const auto at = [&](std::int64_t part) { return std::min(count, units * part / parts * unit); };
  return {at(index), at(index + 1) - at(index)};
}

}  // namespace trainmeter
