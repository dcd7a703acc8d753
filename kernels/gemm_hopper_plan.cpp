// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Limits and the choice of a tile, by arithmetic alone.
#include "kernels/gemm_hopper_plan.hpp"

#include <algorithm>
#include <limits>

namespace trainmeter::hopper {
namespace {

// An SM multiplies 2,048 pairs of bf16 in the time that L2 takes to bring it some 40 bytes:
// products lost for an element that is loaded. Assumed; to be measured.
constexpr double kProductsOfALoad = 96;

std::int64_t rounded_up(std::int64_t count, std::int64_t size) {
  return (count + size - 1) / size;
}

}  // namespace

std::size_t tile_for(const GemmProblem& p, int sms) {
  std::size_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < kTileShapes.size(); ++i) {
    const TileShape& t = kTileShapes[i];
    const std::int64_t tiles =
        rounded_up(p.m, t.rows * t.blocks) * rounded_up(p.n, t.columns) * p.groups;
    const std::int64_t rounds = rounded_up(tiles * t.blocks, sms / t.blocks * t.blocks);
    const double products = t.rows * t.columns;
    const double loaded = t.rows + static_cast<double>(t.columns) / t.blocks;
    const double work = static_cast<double>(rounds) * std::max(products, kProductsOfALoad * loaded);
    if (work <= least) least = work, best = i;
  }
  return best;
}

std::string why_no_maps(const GemmProblem& p) {
  if (p.dtype != DType::bf16)
    return "hopper: multiplies bf16, not " + std::string(to_string(p.dtype));
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  for (const std::int64_t size : {p.m, p.n, p.k, p.groups}) {
    if (size > kMost) return "hopper: sizes are below 2^31";
  }
  constexpr std::int64_t kAligned = 8;  // elements: TMA's strides are multiples of 16 bytes
  const char* who = nullptr;
  if (p.n % kAligned != 0) who = "n";
  if (p.layout == Layout::tn ? p.m % kAligned != 0 : p.k % kAligned != 0)
    who = p.layout == Layout::tn ? "m" : "k";
  if (who == nullptr) return "";
  return std::string("hopper: TMA takes rows of a multiple of 16 bytes: ") + who +
         " is a multiple of 8 in layout " + std::string(to_string(p.layout));
}

}  // namespace trainmeter::hopper
