// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which kernel of the Hopper family does a GEMM, and what none of them can.
#pragma once

#include "kernels/gemm_grouped.hpp"

#include <array>
#include <span>
#include <string>

namespace trainmeter::hopper {

// A family of tiles, the largest first: rows x columns of C a block, blocks a cluster, stages of
// the ring. GemmConfig's and Fp8Config's parameters.
struct TileShape {
  int rows, columns, blocks, stages;
  int lead = 0;
};
inline constexpr std::array<TileShape, 7> kTileShapes = {{{128, 256, 2, 4},
                                                          {128, 256, 2, 3},
                                                          {128, 256, 2, 3, 2},
                                                          {128, 192, 2, 4, 2},
                                                          {128, 128, 2, 5},
                                                          {64, 256, 1, 4},
                                                          {64, 128, 1, 6}}};
inline constexpr std::array<TileShape, 4> kFp8TileShapes = {
    {{256, 128, 2, 3}, {256, 128, 2, 3, 1}, {128, 128, 2, 5}, {64, 128, 1, 7}}};
inline constexpr std::array<TileShape, 4> kFp8TileShapesThatAdd = {
    {{256, 128, 2, 3}, {128, 128, 2, 4}, {128, 128, 2, 5}, {64, 128, 1, 7}}};

// Those of the problem's type and output.
std::span<const TileShape> tiles_of(const GemmProblem& problem);

std::string to_string(const TileShape& tile);  // "128 x 256, clusters of 2"

// The tile of the problem's family (bf16's or fp8's) that leaves the least to the busiest of the
// SMs, `sms` or fewer where the problem says so: rounds of blocks x what a block's step takes, be
// it products or loads; the smallest of those that are alike. Its index.
std::size_t tile_for(const GemmProblem& problem, int sms);

// Empty where TMA can describe the operands and a kernel of the family multiplies them, else the
// limit: element types, rows of a multiple of 16 bytes, sizes below 2^31.
std::string why_no_maps(const GemmProblem& problem);

// The same of groups, and where their sizes don't add up.
std::string why_no_groups(const GroupedGemmProblem& problem);

}  // namespace trainmeter::hopper
