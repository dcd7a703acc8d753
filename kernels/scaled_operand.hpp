// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// An operand of an fp8 GEMM on the host: e4m3 elements and their scales, where cuBLASLt wants them.
#pragma once

#include "kernels/gemm.hpp"

#include <cstdint>
#include <vector>

namespace trainmeter {

// What shares a scale. Both blocks are 128 deep in k, the contiguous dimension.
enum class ScaleBlock { tensor, row, square };  // all of it; 1 x 128; 128 x 128

// [rows, k] row-major. A value is an element times the scale of its block. Scales, fp32:
// - tensor: one
// - row: [ceil(k / 128)][rows, rounded up to 4]: the rows are contiguous
// - square: [ceil(rows / 128)][ceil(k / 128), rounded up to 4]: blocks of k are contiguous
// (cuBLAS documentation, "1D and 2D block scaling": VEC128_32F and BLK128x128_32F.)
struct ScaledOperand {
  std::int64_t rows = 0;
  std::int64_t k = 0;
  ScaleBlock block = ScaleBlock::tensor;
  std::vector<std::uint8_t> elements;
  std::vector<float> scales;
};

// Of a GEMM's operands, by its scaling, which isn't none.
ScaleBlock scale_block_of_a(const GemmProblem& problem);
ScaleBlock scale_block_of_b(const GemmProblem& problem);

std::int64_t scale_count(ScaleBlock block, std::int64_t rows, std::int64_t k);
std::int64_t scale_index(ScaleBlock block, std::int64_t rows, std::int64_t k, std::int64_t row,
                         std::int64_t column);

// Scales are amax / 448 of each block, 1 where all are zero; a block with what isn't finite is NaN.
ScaledOperand scaled_operand(const float* values, std::int64_t rows, std::int64_t k,
                             ScaleBlock block);

// The values, rounded to fp32: [rows, k].
std::vector<float> values_of(const ScaledOperand& operand);

}  // namespace trainmeter
