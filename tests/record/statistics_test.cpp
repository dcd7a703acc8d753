// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Statistics against values worked out by hand or by numpy (named where).
#include "record/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <stdexcept>

using namespace trainmeter;

using Samples = std::vector<double>;

TEST(Statistics, Median) {
  EXPECT_DOUBLE_EQ(median(Samples{3, 1, 2}), 2);
  EXPECT_DOUBLE_EQ(median(Samples{4, 1, 3, 2}), 2.5);
  EXPECT_DOUBLE_EQ(median(Samples{7}), 7);
}

TEST(Statistics, QuantileIsTypeSeven) {
  const Samples x = {15, 20, 35, 40, 50};
  EXPECT_DOUBLE_EQ(quantile(x, 0.4), 29);  // numpy.quantile([15,20,35,40,50], .4)
  EXPECT_DOUBLE_EQ(quantile(x, 0), 15);
  EXPECT_DOUBLE_EQ(quantile(x, 1), 50);
  EXPECT_DOUBLE_EQ(quantile(x, 0.95), 48);
  EXPECT_THROW((void)quantile(x, 1.1), std::invalid_argument);
  EXPECT_THROW((void)quantile(x, NAN), std::invalid_argument);
}

TEST(Statistics, MedianAbsoluteDeviation) {
  EXPECT_DOUBLE_EQ(median_absolute_deviation(Samples{1, 1, 2, 2, 4, 6, 9}),
                   1);  // around 2: 1 1 0 0 2 4 7
  EXPECT_DOUBLE_EQ(median_absolute_deviation(Samples{5, 5, 5}), 0);
}

TEST(Statistics, Mean) {
  EXPECT_DOUBLE_EQ(mean(Samples{1, 2, 6}), 3);
}

TEST(Statistics, NothingIsInventedFromNothing) {
  EXPECT_THROW((void)median(Samples{}), std::invalid_argument);
  EXPECT_THROW((void)mean(Samples{}), std::invalid_argument);
  EXPECT_THROW((void)median(Samples{1, NAN}), std::invalid_argument);
  EXPECT_THROW((void)bootstrap_median(Samples{}, 0.9, 1), std::invalid_argument);
  EXPECT_FALSE(bootstrap_median(Samples{1, 2, 3, 4}, 0.9, 1).has_value());
}

TEST(Statistics, BootstrapOfConstantSamplesIsAPoint) {
  const auto interval = bootstrap_median(Samples{2, 2, 2, 2, 2, 2}, 0.95, 1);
  ASSERT_TRUE(interval);
  EXPECT_DOUBLE_EQ(interval->low, 2);
  EXPECT_DOUBLE_EQ(interval->high, 2);
}

TEST(Statistics, BootstrapIsReproducible) {
  const Samples x = {1, 5, 2, 8, 3, 9, 4};
  const auto a = bootstrap_median(x, 0.9, 7);
  const auto b = bootstrap_median(x, 0.9, 7);
  EXPECT_EQ(a->low, b->low);
  EXPECT_EQ(a->high, b->high);
  EXPECT_LE(a->low, median(x));
  EXPECT_GE(a->high, median(x));
}

// The interval holds the true median about as often as it says: 400 experiments of 31 normal
// samples at 95 %.
TEST(Statistics, BootstrapCoversTheTrueMedian) {
  std::mt19937_64 random(11);
  std::normal_distribution<double> normal(10, 1);
  int covered = 0;
  constexpr int kExperiments = 400;
  for (int i = 0; i < kExperiments; ++i) {
    Samples x(31);
    for (double& value : x) value = normal(random);
    const auto interval = bootstrap_median(x, 0.95, static_cast<std::uint64_t>(i), 400);
    if (interval->low <= 10 && 10 <= interval->high) ++covered;
  }
  EXPECT_GT(covered, 0.91 * kExperiments);
  EXPECT_LT(covered, 0.99 * kExperiments);
}
