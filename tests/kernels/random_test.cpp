// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The random operands are normal, repeatable, and alike in every element type.
#include "kernels/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kCount = 1'000'000;

std::vector<double> normal(std::uint64_t seed) {
  std::vector<double> data(kCount);
  fill_random(data.data(), kCount, DType::fp64, seed);
  return data;
}

TEST(Random, HasTheMomentsOfTheNormalDistribution) {
  double sum[5] = {};
  double largest = 0;
  for (const double x : normal(1)) {
    for (int power = 1; power <= 4; ++power) sum[power] += std::pow(x, power) / kCount;
    largest = std::max(largest, std::abs(x));
  }
  // Six standard errors of each moment: sqrt(1, 2, 15, 96) / 1000.
  EXPECT_NEAR(sum[1], 0, 0.006);
  EXPECT_NEAR(sum[2], 1, 0.009);
  EXPECT_NEAR(sum[3], 0, 0.024);
  EXPECT_NEAR(sum[4], 3, 0.059);
  EXPECT_GT(largest, 4.2);  // the tail is there
  EXPECT_LT(largest, 7);
}

TEST(Random, HasTheNormalDistributionFunction) {
  std::vector<double> data = normal(2);
  std::sort(data.begin(), data.end());
  double worst = 0;  // Kolmogorov-Smirnov
  for (std::int64_t i = 0; i < kCount; ++i) {
    const double expected = 0.5 * std::erfc(-data[i] / std::sqrt(2.0));
    worst = std::max(worst, std::abs(expected - (static_cast<double>(i) + 0.5) / kCount));
  }
  EXPECT_LT(worst * std::sqrt(static_cast<double>(kCount)), 2.2);  // p = 1e-4
}

TEST(Random, NeighboursAreIndependent) {
  const std::vector<double> data = normal(3);
  double sum = 0;
  for (std::int64_t i = 1; i < kCount; ++i) sum += data[i] * data[i - 1];
  EXPECT_LT(std::abs(sum) / std::sqrt(static_cast<double>(kCount)), 5);
}

TEST(Random, DependsOnSeedAndIndexAlone) {
  const std::vector<double> data = normal(7);
  EXPECT_EQ(data, normal(7));
  EXPECT_NE(data, normal(8));
  std::vector<double> fewer(1000);  // other parts for each thread
  fill_random(fewer.data(), 1000, DType::fp64, 7);
  EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), data.begin()));
}

TEST(Random, RoundsToTheElementType) {
  const std::int64_t count = 10'000;
  const std::vector<double> exact = normal(5);
  std::vector<float> fp32(count);
  std::vector<float> tf32(count);
  std::vector<std::uint16_t> fp16(count);
  std::vector<std::uint16_t> bf16(count);
  std::vector<std::int8_t> int8(count);
  fill_random(fp32.data(), count, DType::fp32, 5);
  fill_random(tf32.data(), count, DType::tf32, 5);
  fill_random(fp16.data(), count, DType::fp16, 5);
  fill_random(bf16.data(), count, DType::bf16, 5);
  fill_random(int8.data(), count, DType::int8, 5);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto x = static_cast<float>(exact[i]);
    EXPECT_EQ(fp32[i], x);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(tf32[i]) & 0x1fffU, 0U);
    EXPECT_LE(std::abs(tf32[i] - x), std::abs(x) * 0x1p-11F);
    EXPECT_EQ(fp16[i], fp16_from_float(x));
    EXPECT_EQ(bf16[i], bf16_from_float(x));
    EXPECT_LE(std::abs(int8[i] - std::clamp(32 * exact[i], -127.0, 127.0)), 0.5);
  }
  std::vector<std::uint8_t> fp8(count);
  std::vector<std::uint8_t> e5m2(count);
  fill_random(fp8.data(), count, DType::fp8, 5);
  fill_random(e5m2.data(), count, DType::fp8_e5m2, 5);
  for (std::size_t i = 0; i < fp8.size(); ++i) {
    const auto x = static_cast<float>(exact[i]);
    EXPECT_EQ(fp8[i], fp8_from_float(x));
    const float read = float_from_fp16(static_cast<std::uint16_t>(e5m2[i] << 8));
    EXPECT_LE(std::abs(read - x), std::abs(x) * 0x1.01p-3F + 0x1p-17F);
  }
}

TEST(Random, SeedsOfOperandsDiffer) {
  std::vector<std::uint64_t> seeds;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    for (int set = 0; set < 20; ++set) {
      for (int operand = 0; operand < 3; ++operand) {
        seeds.push_back(operand_seed(seed, set, operand));
      }
    }
  }
  std::sort(seeds.begin(), seeds.end());
  EXPECT_EQ(std::adjacent_find(seeds.begin(), seeds.end()), seeds.end());
}

}  // namespace
}  // namespace trainmeter
