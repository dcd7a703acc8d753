// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Quantising to fp8 with scales, on the host.
#include "kernels/scaled_operand.hpp"

#include "kernels/float_math.hpp"
#include "kernels/rounding.hpp"
#include "kernels/step_arrays.hpp"

#include <algorithm>
#include <atomic>

namespace trainmeter {
namespace {}  // namespace

ScaleBlock scale_block_of_a(const GemmProblem& problem) {
  return problem.scaling == Scaling::tensor ? ScaleBlock::tensor : ScaleBlock::row;
}

ScaleBlock scale_block_of_b(const GemmProblem& problem) {
  if (problem.scaling == Scaling::tensor) return ScaleBlock::tensor;
  return problem.accumulate ? ScaleBlock::row : ScaleBlock::square;
}

std::int64_t scale_count(ScaleBlock block, std::int64_t rows, std::int64_t k) {
  switch (block) {
    case ScaleBlock::row:
      return cast_blocks(k) * round_up(rows, 4);
    case ScaleBlock::square:
      return cast_blocks(rows) * round_up(cast_blocks(k), 4);
    case ScaleBlock::tensor:
      break;
  }
  return 1;
}

std::int64_t scale_index(ScaleBlock block, std::int64_t rows, std::int64_t k, std::int64_t row,
                         std::int64_t column) {
  switch (block) {
    case ScaleBlock::row:
      return column / kCastBlock * round_up(rows, 4) + row;
    case ScaleBlock::square:
      return row / kCastBlock * round_up(cast_blocks(k), 4) + column / kCastBlock;
    case ScaleBlock::tensor:
      break;
  }
  return 0;
}

ScaledOperand scaled_operand(const float* values, std::int64_t rows, std::int64_t k,
                             ScaleBlock block) {
  ScaledOperand out{.rows = rows, .k = k, .block = block, .elements = {}, .scales = {}};
  out.elements.resize(static_cast<std::size_t>(rows * k));
  // The largest size in each block, as bits: they are ordered as sizes are, NaN on top.
  const auto count = static_cast<std::size_t>(scale_count(block, rows, k));
  std::vector<std::atomic<std::uint32_t>> amax(count);
#pragma omp parallel for schedule(static)
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t begin = 0; begin < k; begin += kCastBlock) {
      std::uint32_t most = 0;
      for (std::int64_t c = begin; c < std::min(k, begin + kCastBlock); ++c) {
        most = std::max(most, bits_of(values[row * k + c]) & 0x7fffffffU);
      }
      auto& there = amax[static_cast<std::size_t>(scale_index(block, rows, k, row, begin))];
      std::uint32_t before = there;
      while (before < most && !there.compare_exchange_weak(before, most)) {
      }
    }
  }
  std::vector<Fp8Scale> with(count);
  out.scales.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    with[i] = scale_of(amax[i]);
    out.scales[i] = with[i].scale;
  }
#pragma omp parallel for schedule(static)
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t c = 0; c < k; ++c) {
      const auto at = static_cast<std::size_t>(scale_index(block, rows, k, row, c));
      out.elements[static_cast<std::size_t>(row * k + c)] =
          fp8_from_float(values[row * k + c] * with[at].inverse);
    }
  }
  return out;
}

std::vector<float> values_of(const ScaledOperand& operand) {
  std::vector<float> values(operand.elements.size());
#pragma omp parallel for schedule(static)
  for (std::int64_t row = 0; row < operand.rows; ++row) {
    for (std::int64_t c = 0; c < operand.k; ++c) {
      const auto at = static_cast<std::size_t>(row * operand.k + c);
      const auto scale =
          static_cast<std::size_t>(scale_index(operand.block, operand.rows, operand.k, row, c));
      values[at] = float_from_fp8(operand.elements[at]) * operand.scales[scale];
    }
  }
  return values;
}

}  // namespace trainmeter
