// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which kernel of the Hopper family does a GEMM, and what none of them can.
#pragma once

#include "kernels/gemm.hpp"

#include <array>
#include <string>

namespace trainmeter::hopper {

// The family, the largest tile first: rows x columns of C a block, blocks a cluster, stages of the
// ring. GemmConfig's parameters.
struct TileShape {
  int rows, columns, blocks, stages;
};
inline constexpr std::array<TileShape, 4> kTileShapes = {
    {{128, 256, 2, 4}, {128, 128, 2, 5}, {64, 256, 1, 4}, {64, 128, 1, 6}}};

// The tile that leaves the least to the busiest of `sms` SMs: rounds of blocks x what a block's
// step takes, be it products or loads; the smallest of those that are alike. Its index in
// kTileShapes.
std::size_t tile_for(const GemmProblem& problem, int sms);

// Empty where TMA can describe the operands, else the limit: bf16, rows of a multiple of 16 bytes,
// sizes below 2^31.
std::string why_no_maps(const GemmProblem& problem);

}  // namespace trainmeter::hopper
