// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The loops of a step's kernels against what one works out by hand: fp8, single rows, the router.
#include "kernels/step_loops.hpp"

#include "kernels/random.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

// Casts one row; its values again, scaled back.
struct CastRow {
  explicit CastRow(std::vector<float> values) : x(std::move(values)), q(x.size()) {
    scales.resize(static_cast<std::size_t>(cast_blocks(static_cast<std::int64_t>(x.size()))));
    cast_fp8(q.data(), scales.data(), x.data(), 1, static_cast<std::int64_t>(x.size()));
  }
  std::vector<float> x;
  std::vector<std::uint8_t> q;
  std::vector<float> scales;
};

TEST(CastFp8, OfABlockByHand) {
  // amax 448: scale 1, each value as e4m3 has it, ties to even.
  const CastRow cast({448, -448, 1, 1.0625F, 1.1875F, 0x1p-6F, 0x1p-9F, 0x1p-10F, 0x1.8p-10F, 0, 17,
                      19, 0x1.fp-7F});
  EXPECT_EQ(cast.scales[0], 1);
  EXPECT_THAT(cast.q, ::testing::ElementsAre(0x7e, 0xfe, 0x38, 0x38, 0x3a, 0x08, 0x01, 0x00, 0x01,
                                             0x00, 0x58, 0x5a, 0x08));
}

TEST(CastFp8, ScalesEachBlockByItself) {
  std::vector<float> x(300, 0.5F);
  x[0] = 896;    // scale 2
  x[128] = -14;  // scale 1 / 32
  const CastRow cast(x);
  ASSERT_EQ(cast.scales.size(), 3U);
  EXPECT_EQ(cast.scales[0], 2);
  EXPECT_EQ(cast.scales[1], 1.0F / 32);
  EXPECT_EQ(cast.scales[2], 0.5F / 448);
  EXPECT_EQ(cast.q[0], 0x7e);
  EXPECT_EQ(float_from_fp8(cast.q[1]), 0.25);
  EXPECT_EQ(cast.q[128], 0xfe);
  EXPECT_EQ(float_from_fp8(cast.q[129]), 16);
  EXPECT_EQ(cast.q[299], 0x7e);
}

TEST(CastFp8, ZeroAndNonFiniteBlocks) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(),
        std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    std::vector<float> x(384, 1.0F);
    std::fill_n(x.begin() + 128, 128, 0.0F);
    x[300] = bad;
    const CastRow cast(x);
    EXPECT_EQ(cast.q[127], 0x7e);
    EXPECT_EQ(cast.scales[1], 1);
    EXPECT_EQ(std::count(cast.q.begin() + 128, cast.q.begin() + 256, 0), 128);
    EXPECT_TRUE(std::isnan(cast.scales[2]));
    EXPECT_EQ(std::count(cast.q.begin() + 256, cast.q.end(), 0x7f), 128);
  }
  // Below 448 x 2^-126 the scale stays a normal number.
  const CastRow tiny({1e-40F, 0});
  EXPECT_EQ(tiny.scales[0], kLeastScale);
  EXPECT_NEAR(float_from_fp8(tiny.q[0]) * static_cast<double>(kLeastScale), 1e-40, 0x1p-136);
}

TEST(CastFp8, TransposedIsTheCastOfTheTranspose) {
  constexpr std::int64_t kRows = 100;
  constexpr std::int64_t kCols = 70;
  std::vector<float> x(kRows * kCols);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  x[5 * kCols + 3] = std::numeric_limits<float>::infinity();
  for (std::int64_t r = 0; r < kRows; ++r) x[static_cast<std::size_t>(r * kCols + 9)] = 0;
  std::vector<float> turned(x.size());
  for (std::int64_t r = 0; r < kRows; ++r) {
    for (std::int64_t c = 0; c < kCols; ++c) turned[c * kRows + r] = x[r * kCols + c];
  }
  std::vector<std::uint8_t> q(x.size());
  std::vector<std::uint8_t> expected(x.size());
  std::vector<float> scales(kCols);
  std::vector<float> expected_scales(kCols);
  cast_transposed(q.data(), scales.data(), x.data(), {kRows, kCols, kCols, kRows, 1});
  cast_fp8(expected.data(), expected_scales.data(), turned.data(), kCols, kRows);
  EXPECT_EQ(q, expected);
  EXPECT_TRUE(std::isnan(scales[3]) && std::isnan(expected_scales[3]));
  scales[3] = expected_scales[3] = 0;
  EXPECT_EQ(scales, expected_scales);
}

TEST(CastFp8, OfASquareHasOneScale) {
  constexpr std::int64_t kRows = 3;
  constexpr std::int64_t kCols = 5;
  std::vector<float> x(kRows * kCols, 1.0F);
  x[7] = -896;  // scale 2
  std::vector<std::uint8_t> q(x.size());
  float scale = 0;
  cast_square(q.data(), &scale, x.data(), kRows, kCols, kCols);
  EXPECT_EQ(scale, 2);
  EXPECT_EQ(float_from_fp8(q[7]), -448);
  EXPECT_EQ(float_from_fp8(q[14]), 0.5);
  x[3] = std::numeric_limits<float>::infinity();
  cast_square(q.data(), &scale, x.data(), kRows, kCols, kCols);
  EXPECT_TRUE(std::isnan(scale));
  EXPECT_EQ(std::ranges::count(q, 0x7f), kRows * kCols);
}

// Three tokens of two columns. What stays above 2^-6 of its new scale keeps all its bits.
TEST(CastFp8, OfFp8AgainByHand) {
  const std::vector<std::uint8_t> q = {fp8_from_float(448),      fp8_from_float(1),
                                       fp8_from_float(2.75F),    fp8_from_float(3),
                                       fp8_from_float(-0.8125F), 0};
  const float s[3] = {1, 2, 0.25F};
  std::vector<std::uint8_t> turned(q.size());
  float scales[2];
  const TransposedTile tile = {.rows = 3, .cols = 2, .stride = 2, .q_stride = 3, .scale_stride = 1};
  recast_tile(turned.data(), scales, q.data(), s, tile);
  EXPECT_THAT(scales, ::testing::ElementsAre(1, 0x1p-6F));  // 448 as it was; 6 is 384 / 64
  EXPECT_EQ(float_from_fp8(turned[0]), 448);
  EXPECT_EQ(float_from_fp8(turned[1]), 5.5);
  EXPECT_EQ(float_from_fp8(turned[2]), -0.203125);
  EXPECT_EQ(float_from_fp8(turned[3]), 64);
  EXPECT_EQ(float_from_fp8(turned[4]), 384);
  EXPECT_EQ(turned[5], 0);
  const float beyond[3] = {1.125F, 1, 1};  // 504: above 448, so the next power of two
  recast_tile(turned.data(), scales, q.data(), beyond, tile);
  EXPECT_EQ(scales[0], 2);
  EXPECT_EQ(float_from_fp8(turned[0]), 256);  // 252 between 240 and 256
  const float bad[3] = {1, std::numeric_limits<float>::quiet_NaN(), 1};
  recast_tile(turned.data(), scales, q.data(), bad, tile);
  EXPECT_TRUE(std::isnan(scales[0]) && std::isnan(scales[1]));
  EXPECT_EQ(std::ranges::count(turned, 0x7f), 6);
}

TEST(StepLoops, OneRowByHand) {
  float y[4];
  const float x[4] = {3, 4, 0, 0};
  const float w[4] = {1, 2, 3, 4};
  rmsnorm(y, x, w, 1, 2);  // root mean square: sqrt(12.5)
  EXPECT_NEAR(y[0], 3 / std::sqrt(12.5), 1e-6);
  EXPECT_NEAR(y[1], 8 / std::sqrt(12.5), 1e-6);
  const float b[2] = {10, 20};
  layernorm(y, x, w, b, 1, 2);  // 3.5 -+ 0.5
  EXPECT_NEAR(y[0], 9, 1e-4);
  EXPECT_NEAR(y[1], 22, 1e-4);
  gelu(y, x, 4);
  EXPECT_NEAR(y[0], 1.5 * (1 + std::tanh(std::sqrt(2 / M_PI) * (3 + 0.044715 * 27))), 1e-5);
  EXPECT_EQ(y[2], 0);
  swiglu(y, x, 1, 2);  // gates 3 and 4 on zeros
  EXPECT_EQ(y[0], 0);
  swiglu(y, w, 1, 2);
  EXPECT_NEAR(y[0], 1 / (1 + std::exp(-1.0)) * 3, 1e-6);
  const float quarter_turn[2] = {0, 1};
  rope(y, x, quarter_turn, 1, 1, 2);
  EXPECT_EQ(y[0], -4);
  EXPECT_EQ(y[1], 3);
  float loss = 0;
  const std::int32_t target = 1;
  cross_entropy(&loss, y, x, &target, 1, 2);  // log(e^3 + e^4) - 4 = log(1 + 1 / e)
  EXPECT_NEAR(loss, std::log(1 + std::exp(-1.0)), 1e-6);
  EXPECT_NEAR(y[0], 1 / (1 + std::exp(1.0)), 1e-6);
  EXPECT_NEAR(y[1], -1 / (1 + std::exp(1.0)), 1e-6);
}

// Each gradient against the forward kernel in fp32: the loss is sum of dy y, its slope along one
// element by a central difference of 2^-7.
TEST(StepLoops, GradientsAreTheSlopesOfTheForwardKernels) {
  constexpr std::int64_t kRows = 3;
  constexpr std::int64_t kCols = 8;  // rope: two heads of four
  const auto random = [](std::size_t count, std::uint64_t seed) {
    std::vector<float> out(count);
    fill_random(out.data(), static_cast<std::int64_t>(count), DType::fp32, seed);
    return out;
  };
  std::vector<float> x = random(2 * kRows * kCols, 1);
  std::vector<float> w = random(kCols, 2);
  const std::vector<float> dy = random(kRows * kCols, 3);
  const auto slope = [&](float& at, const auto& forward) {
    constexpr float kStep = 0x1p-7F;
    const float kept = at;
    const auto loss = [&](float moved) {
      at = moved;
      std::vector<float> y(kRows * kCols);
      forward(y.data());
      return std::inner_product(y.begin(), y.end(), dy.begin(), 0.0);
    };
    const double out = (loss(kept + kStep) - loss(kept - kStep)) / (2 * kStep);
    at = kept;
    return out;
  };
  std::vector<float> dx(2 * kRows * kCols);
  std::vector<float> dw(kCols);
  const auto norm = [&](float* y) { rmsnorm(y, x.data(), w.data(), kRows, kCols); };
  rmsnorm_backward(dx.data(), dw.data(), x.data(), w.data(), dy.data(), kRows, kCols);
  for (std::size_t i = 0; i < kRows * kCols; ++i) EXPECT_NEAR(dx[i], slope(x[i], norm), 2e-3);
  for (std::size_t c = 0; c < kCols; ++c) EXPECT_NEAR(dw[c], slope(w[c], norm), 2e-3);
  const std::vector<float> b(kCols);
  std::vector<float> db(kCols);
  const auto layer = [&](float* y) { layernorm(y, x.data(), w.data(), b.data(), kRows, kCols); };
  std::ranges::fill(dw, 0.0F);
  layernorm_backward(dx.data(), dw.data(), db.data(), x.data(), w.data(), dy.data(), kRows, kCols);
  for (std::size_t i = 0; i < kRows * kCols; ++i) EXPECT_NEAR(dx[i], slope(x[i], layer), 2e-3);
  for (std::size_t c = 0; c < kCols; ++c) EXPECT_NEAR(dw[c], slope(w[c], layer), 2e-3);
  for (std::size_t c = 0; c < kCols; ++c)
    EXPECT_NEAR(db[c], dy[c] + dy[kCols + c] + dy[2 * kCols + c], 1e-6);
  const auto smooth = [&](float* y) { gelu(y, x.data(), kRows * kCols); };
  gelu_backward(dx.data(), x.data(), dy.data(), kRows * kCols);
  for (std::size_t i = 0; i < kRows * kCols; ++i) EXPECT_NEAR(dx[i], slope(x[i], smooth), 2e-3);
  const auto gate = [&](float* y) { swiglu(y, x.data(), kRows, kCols); };
  swiglu_backward(dx.data(), x.data(), dy.data(), kRows, kCols);
  for (std::size_t i = 0; i < dx.size(); ++i) EXPECT_NEAR(dx[i], slope(x[i], gate), 2e-3);
  const std::vector<float> table = random(kRows * 4, 4);  // a linear map, whatever its entries
  const auto turn = [&](float* y) { rope(y, x.data(), table.data(), kRows, 2, 4); };
  rope_backward(dx.data(), dy.data(), table.data(), kRows, 2, 4);
  for (std::size_t i = 0; i < kRows * kCols; ++i) EXPECT_NEAR(dx[i], slope(x[i], turn), 2e-3);
}

TEST(StepLoops, APermutationsGradientSumsTheCopies) {
  const float dy[8] = {1, 2, 10, 20, 100, 200, 1000, 2000};  // four copies of two columns
  const std::int32_t place[4] = {0, 3, 2, 1};                // of two tokens
  float dx[4];
  permute_backward(dx, dy, place, 2, 2, 2);
  EXPECT_THAT(dx, ::testing::ElementsAre(1001, 2002, 110, 220));
}

TEST(StepLoops, UnpermuteByHand) {
  const float x[8] = {1, 2, 10, 20, 100, 200, 1000, 2000};  // four copies of two columns
  const std::int32_t place[4] = {0, 3, 2, 1};               // of two tokens
  const float w[4] = {1, 0.5, 2, 3};
  const RoutedRows of = {place, w, 2, 2, 2};
  float y[4];
  unpermute(y, x, of);
  EXPECT_THAT(y, ::testing::ElementsAre(501, 1002, 230, 460));
  const float dy[4] = {1, 2, 3, 4};
  float dx[8];
  float dw[4];
  unpermute_backward(dx, dw, x, dy, of);
  EXPECT_THAT(dx, ::testing::ElementsAre(1, 2, 9, 12, 6, 8, 0.5, 1));
  EXPECT_THAT(dw, ::testing::ElementsAre(5, 5000, 1100, 110));
}

TEST(StepLoops, ATokensExpertsByHand) {
  const float x[6] = {1, 3, 3, -2, 1 + std::log(3.0F), 2};
  std::int32_t chosen[3];
  float w[3];
  topk_softmax(chosen, w, x, {1, 6, 3});
  EXPECT_THAT(chosen, ::testing::ElementsAre(1, 2, 4));  // of equal ones the lower first
  const float sum = 2 * std::exp(2.0F) + 3;
  EXPECT_THAT(w, ::testing::Pointwise(::testing::FloatNear(1e-6F),
                                      {std::exp(2.0F) / sum, std::exp(2.0F) / sum, 3 / sum}));
  const float gates[2] = {0.25F, 0.75F};
  const float d_gates[2] = {8, 4};  // 5 in the gates' mean
  const std::int32_t two[2] = {3, 0};
  float dx[5];
  topk_softmax_backward(dx, two, gates, d_gates, {1, 5, 2});
  EXPECT_THAT(dx, ::testing::ElementsAre(-0.75, 0, 0, 0.75, 0));
}

// Scores of four groups of two: affinities of 1/2 but where a logit is 2 (s) or 9, and biases.
TEST(StepLoops, ATokensExpertsInGroupsByHand) {
  const float x[8] = {9, -9, 0, 0, 2, 0, 0, 0};
  const float bias[8] = {0, 0, 0.25F, 0, -0.25F, 0.25F, 0.25F, 0};
  const float s = 1 / (1 + std::exp(-2.0F));
  std::int32_t chosen[3];
  float w[3];
  float affinity[3];
  // Of groups of 1.00, 1.25, 1.38 and 1.25 the third and, as the lower of equal ones, the second;
  // there of scores 0.75, 0.50, 0.63 and 0.75 the first and the last, the lower one first.
  topk_sigmoid({chosen, w, affinity}, x, bias, {1, 8, 3, 4, 2});
  EXPECT_THAT(chosen, ::testing::ElementsAre(2, 5, 4));
  EXPECT_THAT(affinity, ::testing::Pointwise(::testing::FloatNear(1e-6F), {0.5F, 0.5F, s}));
  const float scale = 2.5F / (1 + s);  // no bias is in it
  EXPECT_THAT(w,
              ::testing::Pointwise(::testing::FloatNear(1e-6F), {scale / 2, scale / 2, scale * s}));
  // Without groups the highest affinity of all is chosen.
  topk_sigmoid({chosen, w, affinity}, x, bias, {1, 8, 3});
  EXPECT_THAT(chosen, ::testing::ElementsAre(0, 2, 5));
  const float of_two[2] = {0.25F, 0.75F};
  const float d_gates[2] = {8, 4};  // 5 in the affinities' mean
  const std::int32_t two[2] = {3, 0};
  float dx[5];
  topk_sigmoid_backward(dx, two, of_two, d_gates, {1, 5, 2});
  EXPECT_THAT(dx,
              ::testing::ElementsAre(2.5F * 0.75F * 0.25F * -1, 0, 0, 2.5F * 0.25F * 0.75F * 3, 0));
}

// The gradient against the forward kernel, the choice being the same on both sides of each element.
TEST(StepLoops, ASigmoidRoutersGradientIsTheSlopeOfItsGates) {
  constexpr std::int64_t kExperts = 12;
  constexpr std::int64_t kTopK = 3;
  const RouterRows rows = {1, kExperts, kTopK, 3, 2};
  std::vector<float> x = {0.3F, -1, 2, 0.1F, -0.4F, 1.2F, 0.7F, -2, 0.2F, -0.1F, 1.6F, -0.6F};
  const std::vector<float> bias(kExperts, 0.125F);
  const std::vector<float> dw = {1, -2, 0.5F};
  std::vector<std::int32_t> chosen(kTopK);
  std::vector<float> affinity(kTopK);
  const auto loss = [&] {
    std::vector<float> w(kTopK);
    topk_sigmoid({chosen.data(), w.data(), affinity.data()}, x.data(), bias.data(), rows);
    return std::inner_product(w.begin(), w.end(), dw.begin(), 0.0);
  };
  loss();
  std::vector<float> dx(kExperts);
  topk_sigmoid_backward(dx.data(), chosen.data(), affinity.data(), dw.data(), rows);
  EXPECT_EQ(std::ranges::count(dx, 0.0F), kExperts - kTopK);
  for (std::size_t e = 0; e < kExperts; ++e) {
    constexpr float kStep = 0x1p-6F;
    const float kept = x[e];
    x[e] = kept + kStep;
    const double above = loss();
    x[e] = kept - kStep;
    const double below = loss();
    x[e] = kept;
    EXPECT_NEAR(dx[e], (above - below) / (2 * kStep), 1e-3) << e;
  }
}

TEST(StepLoops, LargeValuesOverflowNothing) {
  float y[2];
  const float gates[4] = {-200, 200, 1, 1};
  swiglu(y, gates, 1, 2);
  EXPECT_NEAR(y[0], 0, 1e-30);
  EXPECT_EQ(y[1], 200);
  float dx[4];
  const float ones[2] = {1, 1};
  swiglu_backward(dx, gates, ones, 1, 2);
  EXPECT_NEAR(dx[0], 0, 1e-30);
  EXPECT_EQ(dx[1], 1);
  EXPECT_NEAR(dx[2], 0, 1e-30);
  EXPECT_EQ(dx[3], 200);
  gelu(y, gates, 2);
  EXPECT_NEAR(y[0], 0, 1e-30);
  EXPECT_EQ(y[1], 200);
  gelu_backward(dx, gates, ones, 2);
  EXPECT_NEAR(dx[0], 0, 1e-30);
  EXPECT_EQ(dx[1], 1);
  float loss = 0;
  const float logits[2] = {-1e4F, 1e4F};
  const std::int32_t target = 0;
  cross_entropy(&loss, y, logits, &target, 1, 2);
  EXPECT_EQ(loss, 2e4F);
  EXPECT_EQ(y[1], 1);
  EXPECT_EQ(y[0], -1);
}

}  // namespace
}  // namespace trainmeter
