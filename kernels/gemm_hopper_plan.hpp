// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which kernel of the Hopper family does a GEMM, and what none of them can.
#pragma once

#include "kernels/gemm_grouped.hpp"

#include <array>
#include <span>
#include <string>
#include <vector>

namespace trainmeter::hopper {

// A family of tiles, the largest first: rows x columns of C a block, blocks a cluster, stages of
// the ring, and whether the cluster's blocks share a tile's k. GemmConfig's and Fp8Config's
// parameters.
struct TileShape {
  int rows, columns, blocks, stages;
  bool splits_k = false;
};
inline constexpr std::array<TileShape, 6> kTileShapes = {{{128, 256, 2, 3},
                                                          {128, 256, 2, 4},
                                                          {128, 192, 2, 4},
                                                          {128, 128, 2, 5},
                                                          {64, 256, 1, 4},
                                                          {64, 128, 1, 6}}};
// A decode step's few rows are in layout nt, which has two tiles more.
inline constexpr std::array<TileShape, 8> kTileShapesAlongK = {{{128, 256, 2, 3},
                                                                {128, 256, 2, 4},
                                                                {128, 192, 2, 4},
                                                                {128, 128, 2, 5},
                                                                {64, 256, 1, 4},
                                                                {64, 128, 1, 6},
                                                                {64, 128, 2, 7, true},
                                                                {64, 128, 4, 4, true}}};
inline constexpr std::array<TileShape, 3> kFp32OutTileShapes = {
    {{128, 256, 2, 4}, {128, 128, 2, 5}, {64, 128, 1, 6}}};
inline constexpr std::array<TileShape, 5> kFp8TileShapes = {{{256, 128, 2, 3},
                                                             {128, 128, 2, 5},
                                                             {64, 128, 1, 7},
                                                             {64, 128, 2, 7, true},
                                                             {64, 128, 4, 4, true}}};
inline constexpr std::array<TileShape, 3> kFp8TileShapesThatAdd = {
    {{128, 128, 2, 4}, {128, 128, 2, 5}, {64, 128, 1, 7}}};
// Those of the problem's type and output.
std::span<const TileShape> tiles_of(const GemmProblem& problem);

std::string to_string(const TileShape& tile);  // "128 x 256, clusters of 2"

// Which tiles of the problem's family are worth a try on the device, on `sms` SMs or fewer where
// the problem says so: indices, first the one that leaves the least to the busiest of them, then
// those that leave at most kWorthATry times as much. Work is rounds of blocks x what a block's step
// takes, be it products or loads. TRAINMETER_GEMM_TILE=i in the environment: that one alone.
constexpr double kWorthATry = 1.5;
std::vector<std::size_t> tiles_for(const GemmProblem& problem, int sms);

// Empty where TMA can describe the operands and a kernel of the family multiplies them, else the
// limit: element types, rows of a multiple of 16 bytes, sizes below 2^31.
std::string why_no_maps(const GemmProblem& problem);

// The same of groups, and where their sizes don't add up.
std::string why_no_groups(const GroupedGemmProblem& problem);

}  // namespace trainmeter::hopper
