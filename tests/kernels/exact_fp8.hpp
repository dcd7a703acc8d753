// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Operands of a block-scaled fp8 GEMM whose result is exact, so that kernels can be compared bit
// for bit, and whose scales differ, so that a wrong one shows.
#pragma once

#include "kernels/scaled_operand.hpp"

#include <cmath>
#include <cstdint>
#include <vector>

namespace trainmeter {

// 0, 1 or 2 for a block of rows and of k, as if drawn: no shift by rows, blocks or stages of a ring
// leaves all of them as they were.
inline int exponent_of_block(std::int64_t row, std::int64_t k) {
  auto hash =
      static_cast<std::uint32_t>(row) * 0x9e3779b1U + static_cast<std::uint32_t>(k) * 0x85ebca77U;
  hash = (hash ^ hash >> 15) * 0x2c1b3c6dU;
  return static_cast<int>((hash >> 16) % 3);
}

// [rows, k], for scales of `block`. Whole numbers of -7 to 7, the first of each 128 in a row 7 in
// size, each block's divided by 1, 2 or 4: its scale is 1/64, 1/128 or 1/256, and its elements are
// 64 times the whole numbers. So each sum of 128 is exact, even with a tensor core's few bits
// (fp8_model.hpp). C is a multiple of 1/16 and at most 49 k: exact in fp32, in any order and added
// to itself, up to k = 10699 (2 x 49 k x 16 < 2^24).
inline std::vector<float> exact_values(std::int64_t rows, std::int64_t k, ScaleBlock block,
                                       std::uint32_t seed) {
  constexpr std::int64_t kBlock = 128;
  std::vector<float> values(static_cast<std::size_t>(rows * k));
  for (std::int64_t i = 0; i < rows * k; ++i) {
    seed = seed * 1664525U + 1013904223U;
    const auto drawn = static_cast<int>(seed >> 16);
    const bool first = i % k % kBlock == 0;
    const int whole = first ? (drawn % 2 == 0 ? 7 : -7) : drawn % 15 - 7;
    const std::int64_t row = i / k / (block == ScaleBlock::square ? kBlock : 1);
    values[static_cast<std::size_t>(i)] =
        std::ldexp(static_cast<float>(whole), -exponent_of_block(row, i % k / kBlock));
  }
  return values;
}

}  // namespace trainmeter
