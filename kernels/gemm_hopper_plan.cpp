// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Limits and the choice of a tile, by arithmetic alone.
#include "kernels/gemm_hopper_plan.hpp"

#include "kernels/rounding.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <optional>
#include <span>

namespace trainmeter::hopper {
namespace {

// An SM multiplies 2,048 pairs of bf16, or 4,096 of fp8, in the time that L2 takes to bring it some
// 40 bytes: products lost for an element that is loaded. An assumption, which only says what is
// tried.
constexpr double kProductsOfALoad = 96;

// Sums of a block's part of k on their way to the block that adds them up, in elements of k that it
// could multiply meanwhile. Another such assumption.
constexpr double kSumsOfAStep = 256;

// A cluster works on as many SMs as it has blocks; all of a share work.
bool divides(const TileShape& tile, int share) {
  return share % tile.blocks == 0;
}

std::string why_no_share(std::span<const TileShape> family, int share) {
  if (std::ranges::any_of(family, [&](const TileShape& t) { return divides(t, share); })) return "";
  const int least = std::ranges::min(family, {}, &TileShape::blocks).blocks;
  return "hopper: clusters of " + std::to_string(least) + " blocks: --sms is a multiple of " +
         std::to_string(least) + " here, not " + std::to_string(share);
}

constexpr const char* kTileOfEnvironment = "TRAINMETER_GEMM_TILE";

std::optional<std::size_t> tile_asked_for(std::span<const TileShape> family, int share) {
  const char* const asked = std::getenv(kTileOfEnvironment);
  if (asked == nullptr) return {};
  const auto i = std::min<std::size_t>(std::strtoul(asked, nullptr, 10), family.size() - 1);
  if (!divides(family[i], share))
    throw Unavailable(std::string(kTileOfEnvironment) + "=" + std::to_string(i) + ": " +
                      to_string(family[i]) + ": --sms=" + std::to_string(share) +
                      " is no multiple of it");
  return i;
}

}  // namespace

std::span<const TileShape> tiles_of(const GemmProblem& p) {
  if (p.fp32_out) return kFp32OutTileShapes;
  if (p.dtype != DType::fp8 && p.layout == GemmLayout::nt) return kTileShapesAlongK;
  if (p.dtype != DType::fp8 && p.accumulate) return kTileShapesThatAdd;
  if (p.dtype != DType::fp8) return kTileShapes;
  return p.accumulate ? std::span<const TileShape>(kFp8TileShapesThatAdd) : kFp8TileShapes;
}

std::span<const TileShape> tiles_of(const GroupedGemmProblem& p) {
  using Family = std::span<const TileShape>;
  if (p.all.dtype == DType::fp8)
    return p.all.accumulate ? Family(kGroupedFp8TileShapesThatAdd) : kGroupedFp8TileShapes;
  return p.all.accumulate ? Family(kGroupedTileShapesThatAdd) : kGroupedTileShapes;
}

std::string to_string(const TileShape& tile) {
  return std::to_string(tile.rows) + " x " + std::to_string(tile.columns) + ", clusters of " +
         std::to_string(tile.blocks) + (tile.shared == Shared::tile ? " that share k" : "") +
         (tile.alternates ? ", in turn" : "");
}

bool tile_is_named() {
  return std::getenv(kTileOfEnvironment) != nullptr;
}

std::vector<std::size_t> tiles_for(const GemmProblem& p, int sms) {
  const std::span<const TileShape> family = tiles_of(p);
  if (const auto asked = tile_asked_for(family, p.sms)) return {*asked};
  if (p.sms > 0) sms = std::min(sms, p.sms);
  std::vector<double> work;
  for (const TileShape& t : family) {
    const bool splits_k = t.shared == Shared::tile;
    const std::int64_t below = t.shared == Shared::b ? t.blocks : 1;  // tiles of a cluster
    const std::int64_t beside = t.shared == Shared::a ? t.blocks : 1;
    const std::int64_t tiles =
        ceil_div(p.m, t.rows * below) * ceil_div(p.n, t.columns * beside) * p.groups;
    if (!divides(t, p.sms) || (splits_k && sms < t.blocks)) {
      work.push_back(std::numeric_limits<double>::infinity());
      continue;
    }
    const std::int64_t at_once = std::int64_t{std::max(sms / t.blocks, 1)} * t.blocks;
    const std::int64_t waves = ceil_div(tiles * t.blocks, at_once);
    const double products = t.rows * t.columns;
    const double loaded = static_cast<double>(t.rows) / static_cast<double>(beside) +
                          static_cast<double>(t.columns) / static_cast<double>(below);
    const double steps = splits_k ? 1.0 / t.blocks + kSumsOfAStep / static_cast<double>(p.k) : 1;
    work.push_back(static_cast<double>(waves) * steps *
                   std::max(products, kProductsOfALoad * loaded));
  }
  std::vector<std::size_t> order(family.size());
  std::iota(order.rbegin(), order.rend(), std::size_t{0});  // of those alike, the smallest first
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return work[i]; });
  const double most = kWorthATry * work[order.front()];
  std::erase_if(order, [&](std::size_t i) { return most < work[i]; });
  return order;
}

std::vector<std::size_t> tiles_for(const GroupedGemmProblem& problem) {
  const std::span<const TileShape> family = tiles_of(problem);
  if (const auto asked = tile_asked_for(family, problem.all.sms)) return {*asked};
  std::vector<std::size_t> fitting;
  for (std::size_t i = 0; i < family.size(); ++i)
    if (divides(family[i], problem.all.sms)) fitting.push_back(i);
  return fitting;
}

std::string why_no_maps(const GemmProblem& p) {
  if (p.dtype == DType::fp8) {
    if (p.scaling != Scaling::block128) return "hopper: fp8 has scales of blocks (block128)";
    if (p.layout != GemmLayout::nt) return "hopper: fp8 operands lie along k: layout nt";
    if (p.groups != 1) return "hopper: fp8 has no batches";
    if (p.fp32_out) return "hopper: fp8's C is in bf16, or added to in fp32";
  } else if (p.dtype == DType::bf16) {
    if (p.scaling != Scaling::none) return "hopper: bf16 has no scales";
    if (p.accumulate && p.layout != GemmLayout::tn)
      return "hopper: bf16 is added to weight gradients only: layout tn";
  } else {
    return "hopper: multiplies bf16 and fp8, not " + std::string(to_string(p.dtype));
  }
  // A cluster's last tile, up to 512 rows or columns, ends within TMA's coordinates, 32 bits.
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max() - 512;
  for (const std::int64_t size : {p.m, p.n, p.k, p.groups}) {
    if (size > kMost) return "hopper: sizes are below 2^31 - 512";
  }
  constexpr std::int64_t kRow = 16;  // bytes: TMA's strides are multiples of it
  const auto why = [&](const char* who, std::int64_t elements) {
    return std::string("hopper: TMA takes rows of a multiple of 16 bytes: ") + who +
           " is a multiple of " + std::to_string(elements) + " in " +
           std::string(to_string(p.dtype)) + " and layout " + std::string(to_string(p.layout));
  };
  const std::int64_t of_operand = kRow / size_of(p.dtype);
  if (p.layout == GemmLayout::tn ? p.m % of_operand != 0 : p.k % of_operand != 0)
    return why(p.layout == GemmLayout::tn ? "m" : "k", of_operand);
  std::int64_t of_n = kRow / output_size_of(p);
  if (p.layout != GemmLayout::nt) of_n = std::max(of_n, of_operand);  // B's rows too
  return p.n % of_n != 0 ? why("n", of_n) : why_no_share(tiles_of(p), p.sms);
}

std::string why_no_groups(const GroupedGemmProblem& problem) {
  const GemmProblem& all = problem.all;
  std::int64_t sum = 0;
  for (const std::int64_t size : problem.sizes) {
    if (size < 0) return "hopper: a group's size is 0 or more";
    sum += size;
  }
  if (sum != (all.accumulate ? all.k : all.m) || sum == 0)
    return "hopper: the groups' sizes add up to all tokens";
  GemmProblem aligned = all;  // which tokens fall on which group is free
  constexpr std::int64_t kAny = 16;
  (all.accumulate ? aligned.k : aligned.m) = kAny;
  if (std::string reason = why_no_maps(aligned); !reason.empty()) return reason;
  if (all.dtype == DType::bf16 && !all.accumulate && all.layout == GemmLayout::tn)
    return "hopper: groups of bf16 are nt or nn, or tn and added to";
  if (all.fp32_out) return "hopper: C of groups is in bf16, or added to in fp32";
  if (all.groups != 1) return "hopper: groups have no batches";
  return why_no_share(tiles_of(problem), all.sms);
}

}  // namespace trainmeter::hopper
