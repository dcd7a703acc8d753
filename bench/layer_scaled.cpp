// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Moves quantised operands from layout to layout.
#include "bench/layer_scaled.hpp"

#include "bench/layer_ways.hpp"
#include "kernels/gemm_grouped_operands.hpp"
#include "kernels/operand_values.hpp"
#include "kernels/step_arrays.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string_view>

namespace trainmeter {
namespace {

ScaledOperand empty_operand(std::int64_t rows, std::int64_t k, ScaleBlock block) {
  ScaledOperand out{.rows = rows, .k = k, .block = block, .elements = {}, .scales = {}};
  out.elements.resize(static_cast<std::size_t>(rows * k));
  out.scales.resize(static_cast<std::size_t>(scale_count(block, rows, k)));
  return out;
}

std::size_t place_of_scale(const ScaledOperand& of, std::int64_t row, std::int64_t column) {
  return static_cast<std::size_t>(scale_index(of.block, of.rows, of.k, row, column));
}

// A cast's scales lie row by row, a GEMM's block of k by block of k.
ScaledOperand cast_operand(const Operation& cast, std::string_view elements,
                           std::string_view scales, std::int64_t rows, std::int64_t k) {
  ScaledOperand out = empty_operand(rows, k, ScaleBlock::row);
  const std::vector<std::byte> bytes = operand_bytes(cast, elements);
  const std::vector<double> of_rows = operand_values(cast, scales);
  const std::int64_t blocks = cast_blocks(k);
  if (bytes.size() != out.elements.size() || std::ssize(of_rows) != rows * blocks)
    throw std::invalid_argument("a cast of another size");
  std::ranges::transform(bytes, out.elements.begin(),
                         [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t block = 0; block < blocks; ++block) {
      out.scales[place_of_scale(out, row, block * kCastBlock)] =
          static_cast<float>(of_rows[static_cast<std::size_t>(row * blocks + block)]);
    }
  }
  return out;
}

// Rows [row, row + rows) and columns [column, column + cols).
ScaledOperand part(const ScaledOperand& all, std::int64_t row, std::int64_t rows,
                   std::int64_t column, std::int64_t cols) {
  ScaledOperand out = empty_operand(rows, cols, ScaleBlock::row);
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto from = all.elements.begin() + (row + r) * all.k + column;
    std::copy_n(from, cols, out.elements.begin() + r * cols);
    for (std::int64_t c = 0; c < cols; c += kCastBlock) {
      out.scales[place_of_scale(out, r, c)] = all.scales[place_of_scale(all, row + r, column + c)];
    }
  }
  return out;
}

}  // namespace

CastTensor cast_tensor(const Operation& cast, std::int64_t rows, std::int64_t cols) {
  return {.rows = cast_operand(cast, "q", "s", rows, cols),
          .columns = cast_operand(cast, "q_t", "s_t", cols, rows)};
}

ScaledOperands split_rows(const ScaledOperand& all, std::int64_t groups) {
  const std::int64_t each = all.rows / groups;
  ScaledOperands out;
  for (std::int64_t g = 0; g < groups; ++g) out.push_back(part(all, g * each, each, 0, all.k));
  return out;
}

ScaledOperands split_columns(const ScaledOperand& all, std::int64_t groups) {
  const std::int64_t each = all.k / groups;
  if (groups > 1 && each % kCastBlock != 0)
    throw std::invalid_argument("a scale of tokens that two groups share");
  ScaledOperands out;
  for (std::int64_t g = 0; g < groups; ++g) out.push_back(part(all, 0, all.rows, g * each, each));
  return out;
}

ScaledOperands scaled_weights(const Tensor& weight, const GemmWork& fprop, bool transposed) {
  const std::int64_t rows = transposed ? fprop.k : fprop.n;
  const std::int64_t k = transposed ? fprop.n : fprop.k;
  ScaledOperands out;
  std::vector<float> values(static_cast<std::size_t>(rows * k));
  for (std::int64_t group = 0; group < fprop.groups; ++group) {
    const double* const at = weight.data() + group * rows * k;
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t column = 0; column < k; ++column) {
        values[static_cast<std::size_t>(row * k + column)] =
            static_cast<float>(at[transposed ? column * rows + row : row * k + column]);
      }
    }
    out.push_back(scaled_operand(values.data(), rows, k, ScaleBlock::square));
  }
  return out;
}

void give_scaled(Operation& gemm, const GemmWork& work, const ScaledOperands& a,
                 const ScaledOperands& b) {
  const GemmProblem problem = gemm_problem(work, DType::fp8, DeviceKind::gpu);
  const LaidOperands laid = lay_scaled(grouped_problem(problem, work.pass), a, b);
  set_operand_bytes(gemm, "a", laid.a);
  set_operand_bytes(gemm, "b", laid.b);
  set_operand_bytes(gemm, "scales_a", std::as_bytes(std::span(laid.scales_a)));
  set_operand_bytes(gemm, "scales_b", std::as_bytes(std::span(laid.scales_b)));
}

}  // namespace trainmeter
