// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// In the check of a layer in fp8 (layer_flow.hpp): how what a cast wrote comes to the GEMMs that
// read it. Elements and scales move to where a GEMM wants them, unchanged. Weights, which no step
// of a layer casts, are quantised here.
#pragma once

#include "bench/layer_reference.hpp"
#include "kernels/operation.hpp"
#include "kernels/scaled_operand.hpp"

#include <cstdint>
#include <vector>

namespace trainmeter {

// Of a tensor [rows, cols]: itself with a scale for each 1 x 128 of a row, and its transpose
// [cols, rows] with one for each 1 x 128 of a column.
struct CastTensor {
  ScaledOperand rows, columns;
};

// What the step cast_fp8_transpose wrote.
CastTensor cast_tensor(const Operation& cast, std::int64_t rows, std::int64_t cols);

using ScaledOperands = std::vector<ScaledOperand>;  // one of each group

// The tokens of equal groups: rows of what is quantised along a token's columns, or columns of what
// is quantised along tokens. std::invalid_argument where tokens of two groups share a scale.
ScaledOperands split_rows(const ScaledOperand& all, std::int64_t groups);
ScaledOperands split_columns(const ScaledOperand& all, std::int64_t groups);

// [groups, n, k] in blocks of 128 x 128, by the size of its forward GEMM; or each transposed, in
// the same blocks.
ScaledOperands scaled_weights(const Tensor& weight, const GemmWork& fprop, bool transposed);

// Gives A [m, k] and B [n, k] of each group to a GEMM of block-scaled fp8, grouped or of one group.
void give_scaled(Operation& gemm, const GemmWork& work, const ScaledOperands& a,
                 const ScaledOperands& b);

}  // namespace trainmeter
