// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// fp8 on the host: the format, quantising with scales, and how a tensor core's sums lose digits
// that promotion to fp32 keeps.
#include "kernels/dtype.hpp"
#include "kernels/fp8_model.hpp"
#include "kernels/random.hpp"
#include "kernels/scaled_operand.hpp"

#include "exact_fp8.hpp"
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

namespace trainmeter {
namespace {

TEST(Fp8, ValuesByHand) {
  EXPECT_EQ(float_from_fp8(0x7e), 448);
  EXPECT_EQ(float_from_fp8(0xfe), -448);
  EXPECT_EQ(float_from_fp8(0x38), 1);
  EXPECT_EQ(float_from_fp8(0x39), 1.125);
  EXPECT_EQ(float_from_fp8(0x08), 0x1p-6);
  EXPECT_EQ(float_from_fp8(0x01), 0x1p-9);
  EXPECT_EQ(float_from_fp8(0x00), 0);
  EXPECT_TRUE(std::isnan(float_from_fp8(0x7f)) && std::isnan(float_from_fp8(0xff)));
}

TEST(Fp8, EveryFiniteValueComesBack) {
  for (int bits = 0; bits < 256; ++bits) {
    const auto byte = static_cast<std::uint8_t>(bits);
    const float value = float_from_fp8(byte);
    if (std::isnan(value)) {
      EXPECT_EQ(bits & 0x7f, 0x7f);
    } else {
      EXPECT_EQ(fp8_from_float(value), byte) << value;
    }
  }
}

TEST(Fp8, RoundsToNearestAndSaturates) {
  EXPECT_EQ(float_from_fp8(fp8_from_float(1.0625F)), 1.0F);   // a tie, to even
  EXPECT_EQ(float_from_fp8(fp8_from_float(1.1875F)), 1.25F);  // a tie, to even
  EXPECT_EQ(float_from_fp8(fp8_from_float(500)), kFp8Max);
  EXPECT_EQ(float_from_fp8(fp8_from_float(-500)), -kFp8Max);
  EXPECT_TRUE(std::isnan(float_from_fp8(fp8_from_float(std::numeric_limits<float>::infinity()))));
  EXPECT_TRUE(std::isnan(float_from_fp8(fp8_from_float(std::nanf("")))));
}

// Each value within half a step of e4m3 at its block's scale.
TEST(ScaledOperand, ComesBackWithinTheFormatsBound) {
  constexpr std::int64_t kRows = 130, kDepth = 300;
  std::vector<float> values(kRows * kDepth);
  fill_random(values.data(), kRows * kDepth, DType::fp32, 5);
  for (std::int64_t i = 0; i < 40 * kDepth; ++i) values[i] *= 1e-3F;  // rows of another size
  for (const ScaleBlock block : {ScaleBlock::tensor, ScaleBlock::row, ScaleBlock::square}) {
    const ScaledOperand made = scaled_operand(values.data(), kRows, kDepth, block);
    ASSERT_EQ(static_cast<std::int64_t>(made.scales.size()), scale_count(block, kRows, kDepth));
    const std::vector<float> back = values_of(made);
    for (std::int64_t row = 0; row < kRows; ++row) {
      for (std::int64_t c = 0; c < kDepth; ++c) {
        const float scale = made.scales[scale_index(block, kRows, kDepth, row, c)];
        const float x = values[row * kDepth + c];
        const float error = std::abs(back[row * kDepth + c] - x);
        ASSERT_TRUE(error <= std::abs(x) * 0x1.01p-4F + scale * 0x1p-10F)
            << row << ", " << c << ": " << x;
      }
    }
  }
}

TEST(ScaledOperand, WhatIsNotFiniteMakesItsBlockNaN) {
  std::vector<float> values(256 * 256, 1);
  values[200 * 256 + 10] = std::numeric_limits<float>::infinity();
  const std::vector<float> rows =
      values_of(scaled_operand(values.data(), 256, 256, ScaleBlock::row));
  EXPECT_TRUE(std::isnan(rows[200 * 256 + 127]));
  EXPECT_EQ(rows[200 * 256 + 128], 1);
  EXPECT_EQ(rows[199 * 256 + 10], 1);
  const std::vector<float> squares =
      values_of(scaled_operand(values.data(), 256, 256, ScaleBlock::square));
  EXPECT_TRUE(std::isnan(squares[128 * 256 + 127]));
  EXPECT_EQ(squares[127 * 256 + 10], 1);
}

// C in bf16 of A and B, both along k.
std::vector<std::uint16_t> product_of(const ScaledOperand& operand_a,
                                      const ScaledOperand& operand_b) {
  const std::vector<float> a = values_of(operand_a), b = values_of(operand_b);
  const std::int64_t k = operand_a.k;
  std::vector<std::uint16_t> c;
  for (std::int64_t i = 0; i < operand_a.rows; ++i) {
    for (std::int64_t j = 0; j < operand_b.rows; ++j) {
      float sum = 0;
      for (std::int64_t q = 0; q < k; ++q) sum += a[i * k + q] * b[j * k + q];
      c.push_back(bf16_from_float(sum));
    }
  }
  return c;
}

// With the scales of what lies `rows` further on, and `deep` in k, from the end on to the
// beginning.
ScaledOperand with_scales_of(const ScaledOperand& right, std::int64_t rows, std::int64_t deep) {
  ScaledOperand wrong = right;
  const auto at = [&](std::int64_t row, std::int64_t k) {
    return scale_index(right.block, right.rows, right.k, row, k);
  };
  for (std::int64_t row = 0; row < right.rows; ++row) {
    for (std::int64_t k = 0; k < right.k; k += 128)
      wrong.scales[at(row, k)] = right.scales[at((row + rows) % right.rows, (k + deep) % right.k)];
  }
  return wrong;
}

// The numbers on which kernels are compared bit for bit: a scale of another row (a fragment's other
// one, another warp's or consumer's), another block of columns, or another block of k (the next
// step's, that of a ring's stage one round ago, of a cluster's first part of k) changes C.
TEST(ExactFp8, AWrongScaleShows) {
  constexpr std::int64_t kRows = 80, kColumns = 256, kDepth = 8 * 128;
  for (const ScaleBlock block_b : {ScaleBlock::square, ScaleBlock::row}) {
    const std::vector<float> a = exact_values(kRows, kDepth, ScaleBlock::row, 1);
    const std::vector<float> b = exact_values(kColumns, kDepth, block_b, 2);
    const ScaledOperand made_a = scaled_operand(a.data(), kRows, kDepth, ScaleBlock::row);
    const ScaledOperand made_b = scaled_operand(b.data(), kColumns, kDepth, block_b);
    EXPECT_EQ(values_of(made_a), a);
    EXPECT_EQ(values_of(made_b), b);
    const std::vector<std::uint16_t> right = product_of(made_a, made_b);
    const auto expect_other = [&](const ScaledOperand& one, const ScaledOperand& other) {
      const std::vector<std::uint16_t> wrong = product_of(one, other);
      std::size_t different = 0;
      for (std::size_t i = 0; i < right.size(); ++i) different += right[i] != wrong[i] ? 1 : 0;
      EXPECT_LT(right.size() / 2, different);
    };
    for (const std::int64_t rows : {1, 8, 16, 64}) {
      SCOPED_TRACE(std::to_string(rows) + " rows further");
      expect_other(with_scales_of(made_a, rows, 0), made_b);
      if (block_b == ScaleBlock::row) expect_other(made_a, with_scales_of(made_b, rows, 0));
    }
    expect_other(made_a, with_scales_of(made_b, 128, 0));
    for (const std::int64_t steps : {1, 2, 3, 4, 5, 6, 7}) {
      SCOPED_TRACE(std::to_string(steps) + " steps of k further");
      expect_other(with_scales_of(made_a, 0, steps * 128), made_b);
      expect_other(made_a, with_scales_of(made_b, 0, steps * 128));
    }
  }
}

// A dot product's error without promotion and with, in units of its terms' Euclidean norm.
struct Errors {
  double never = 0, every_128 = 0;
};

Errors root_mean_square_errors(std::int64_t k) {
  constexpr int kDots = 200;
  std::vector<float> values(2 * k * kDots);
  fill_random(values.data(), 2 * k * kDots, DType::fp32, 9);
  const ScaledOperand made = scaled_operand(values.data(), 2 * kDots, k, ScaleBlock::tensor);
  Errors sums;
  for (int dot = 0; dot < kDots; ++dot) {
    const std::span a(made.elements.data() + 2 * dot * k, static_cast<std::size_t>(k));
    const std::span b(made.elements.data() + (2 * dot + 1) * k, static_cast<std::size_t>(k));
    double exact = 0, squares = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      const double product = static_cast<double>(float_from_fp8(a[i])) * float_from_fp8(b[i]);
      exact += product;
      squares += product * product;
    }
    sums.never += std::pow(fp8_dot(a, b, 0) - exact, 2) / squares;
    sums.every_128 += std::pow(fp8_dot(a, b, 128) - exact, 2) / squares;
  }
  return {std::sqrt(sums.never / kDots), std::sqrt(sums.every_128 / kDots)};
}

// Why kernels promote: without it the error grows with k, with it hardly.
// `--gtest_filter=Fp8Sums.*` prints the table of docs/kernels.md, which scripts/fp8_sums.py draws.
TEST(Fp8Sums, PromotionKeepsWhatATensorCoreLoses) {
  std::puts("k, relative error without promotion, with promotion every 128");
  Errors at_128, at_16384;
  for (std::int64_t k = 128; k <= 16384; k *= 2) {
    const Errors errors = root_mean_square_errors(k);
    std::printf("%6ld  %.1e  %.1e\n", static_cast<long>(k), errors.never, errors.every_128);
    if (k == 128) at_128 = errors;
    if (k == 16384) at_16384 = errors;
  }
  EXPECT_EQ(at_128.never, at_128.every_128);
  EXPECT_LT(at_16384.every_128, 1.5 * at_128.every_128);
  EXPECT_LT(4 * at_16384.every_128, at_16384.never);
}

// 4096, then many terms too small to show beside it, then -4096.
TEST(Fp8Sums, WhatCancelsIsLostWithoutPromotion) {
  std::vector<std::uint8_t> a(384, fp8_from_float(0.25F));
  std::vector<std::uint8_t> b(384, fp8_from_float(0.25F));
  for (std::size_t i : {std::size_t{0}, std::size_t{256}}) {
    a[i] = fp8_from_float(i == 0 ? 64 : -64);
    b[i] = fp8_from_float(64);
  }
  for (std::size_t i = 1; i < 128; ++i) a[i] = a[256 + i] = 0;
  EXPECT_EQ(fp8_dot(a, b, 128), 128 * 0.0625F);
  EXPECT_EQ(fp8_dot(a, b, 0), 0);
}

}  // namespace
}  // namespace trainmeter
