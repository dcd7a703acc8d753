// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// fp8 on the host: the format, quantising with scales, and how a tensor core's sums lose digits
// that promotion to fp32 keeps.
#include "kernels/dtype.hpp"
#include "kernels/fp8_model.hpp"
#include "kernels/random.hpp"
#include "kernels/scaled_operand.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>
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
