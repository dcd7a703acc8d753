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
}
