// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What is judged of two sides' starts, small enough to check by hand, and the spread between starts.
#include "report/compare.hpp"
#include "report/spread.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

using namespace trainmeter;

namespace {

// One case whose log times are these.
ComparedCase case_of(const std::vector<double>& before, const std::vector<double>& after) {
  ComparedCase c;
  std::size_t start = 0;
  for (const double x : before) {
    c.old_side.times.start.push_back(start++);
    c.old_side.times.log_time.push_back(x);
  }
  for (const double x : after) {
    c.new_side.times.start.push_back(start++);
    c.new_side.times.log_time.push_back(x);
  }
  return c;
}

ComparedCase judged(ComparedCase c, const CompareOptions& options = {}) {
  std::vector<ComparedCase> cases = {std::move(c)};
  judge(cases, options);
  return cases.front();
}

// Variance 2.5e-4; that of a mean of five 5e-5, so that two such sides differ by 0.01.
std::vector<double> five(double around) {
  return {around - 0.02, around - 0.01, around, around + 0.01, around + 0.02};
}
}  // namespace

TEST(Compare, TwoStartsASideByHand) {
  // Variance 2e-4 a side, so the difference's is 2e-4, with 2 degrees of freedom: t = 4.3027.
  const ComparedCase c = judged(case_of({0, 0.02}, {0.10, 0.12}));
  EXPECT_NEAR(c.ratio, std::exp(-0.10), 1e-12);
  EXPECT_NEAR(c.ratio_low, std::exp(-0.10 - 4.30265 * std::sqrt(2e-4)), 1e-6);
  EXPECT_NEAR(c.ratio_high, std::exp(-0.10 + 4.30265 * std::sqrt(2e-4)), 1e-6);
  EXPECT_EQ(c.verdict, "cannot_tell");
  EXPECT_EQ(c.spread_from, "starts");
  EXPECT_FALSE(c.p);
}

TEST(Compare, FiveStartsASideByHand) {
  // t = 0.05 / 0.01 with 8 degrees of freedom: p = 0.00105; the 95 % quantile is 2.3060.
  const ComparedCase c = judged(case_of(five(0), five(0.05)));
  EXPECT_NEAR(*c.p, 0.00105, 5e-6);
  EXPECT_NEAR(c.ratio_high, std::exp(-0.05 + 0.023060), 1e-6);
  EXPECT_EQ(c.verdict, "slower");
  EXPECT_TRUE(c.regression);
}

TEST(Compare, ARegressionIsBeyondTheToleranceWithItsWholeInterval) {
  CompareOptions options;
  options.tolerance = 0.03;  // the interval ends at 0.9734
  const ComparedCase c = judged(case_of(five(0), five(0.05)), options);
  EXPECT_EQ(c.verdict, "slower");
  EXPECT_FALSE(c.regression);
}

TEST(Compare, SameMeansWithinTheTolerance) {
  // The one-sided 95 % quantile of 8 degrees of freedom is 1.8595: 0.0186 around no difference.
  CompareOptions options;
  options.tolerance = 0.0185;  // 0.01867 as a logarithm
  EXPECT_EQ(judged(case_of(five(0), five(0)), options).verdict, "same");
  options.tolerance = 0.0184;
  EXPECT_EQ(judged(case_of(five(0), five(0)), options).verdict, "cannot_tell");
}

TEST(Compare, PIsCorrectedForTheNumberOfCases) {
  // p of t = 5, 2.5 and 0: 0.00105, 0.03694, 1; times 3/1, 3/2, 3/3.
  std::vector<ComparedCase> cases = {case_of(five(0), five(0.025)), case_of(five(0), five(0.05)),
                                     case_of(five(0), five(0))};
  judge(cases, {});
  EXPECT_NEAR(*cases[0].p, 1.5 * 0.03694, 2e-4);
  EXPECT_NEAR(*cases[1].p, 3 * 0.00105, 2e-5);
  EXPECT_NEAR(*cases[2].p, 1, 1e-9);
  EXPECT_EQ(cases[0].verdict, "cannot_tell");
  EXPECT_EQ(cases[1].verdict, "slower");
}

TEST(Compare, OneStartIsJudgedByAKnownSpreadOnly) {
  const ComparedCase blind = judged(case_of({0}, {0.5}));
  EXPECT_EQ(blind.verdict, "cannot_tell");
  EXPECT_EQ(blind.spread_from, "assumed");
  CompareOptions options;
  options.spread = 0.02;  // of the difference: 0.02828; 1.96 of it: 0.0554
  const ComparedCase slower = judged(case_of({0}, {0.06}), options);
  EXPECT_EQ(slower.spread_from, "given");
  EXPECT_EQ(slower.verdict, "slower");
  EXPECT_NEAR(std::log(slower.ratio_high / slower.ratio), 1.95996 * 0.02828427, 1e-6);
  EXPECT_EQ(judged(case_of({0}, {0.05}), options).verdict, "cannot_tell");
  EXPECT_EQ(judged(case_of({0}, {0}), options).verdict, "cannot_tell");  // never "same"
}

TEST(Compare, OneStartSpreadsLikeTheOtherSideOfItsCase) {
  // The old side's 2.5e-4 with 4 degrees of freedom: (1 / 5 + 1) of it, and t = 2.7764.
  const ComparedCase c = judged(case_of(five(0), {0.05}));
  EXPECT_EQ(c.spread_from, "starts");
  EXPECT_NEAR(std::log(c.ratio_high / c.ratio), 2.776445 * std::sqrt(3e-4), 1e-6);
  EXPECT_EQ(c.verdict, "cannot_tell");
}

TEST(Compare, WhatOneStartVariesWithinCountsWhereThereAreFew) {
  CompareOptions options;
  options.spread = 0.02;
  ComparedCase c = case_of({0}, {0.06});
  c.new_side.variance_within = 0.02 * 0.02;
  const ComparedCase wider = judged(std::move(c), options);
  EXPECT_NEAR(std::log(wider.ratio_high / wider.ratio), 1.95996 * 0.02 * std::sqrt(3), 1e-6);
  EXPECT_EQ(wider.verdict, "cannot_tell");
}

TEST(Compare, AGivenSpreadIsNotBelievedAgainstTheStarts) {
  CompareOptions options;
  options.spread = 0.001;
  EXPECT_EQ(judged(case_of({0, 0.2}, {0.1, 0.3}), options).verdict, "cannot_tell");
}

TEST(Compare, StartsThatLookEqualAreNotBelieved) {
  const ComparedCase c = judged(case_of({0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}));
  EXPECT_LT(c.ratio_low, 1);
  EXPECT_EQ(*c.p, 1);
  EXPECT_EQ(c.verdict, "same");
}
TEST(Spread, CasesThatMoveTogetherSayNoMoreThanOne) {
  std::vector<StartTimes> together, apart;
  for (std::size_t i = 0; i < kLeastVariances; ++i) {
    together.push_back({{0, 1, 2, 3, 4}, five(static_cast<double>(i))});
    apart.push_back({{5 * i, 5 * i + 1, 5 * i + 2, 5 * i + 3, 5 * i + 4}, five(0)});
  }
  EXPECT_NEAR(learn_spread(together).known, 4, 1e-9);
  EXPECT_NEAR(learn_spread(apart).known, 40, 1e-9);
  EXPECT_TRUE(std::isinf(learn_spread(apart).strength));
  EXPECT_NEAR(learn_spread(apart).variance, 2.5e-4, 1e-12);
  apart.pop_back();
  EXPECT_EQ(learn_spread(apart).known, 0);
}

TEST(Spread, ThePriorOfDrawnVariancesIsFound) {
  // Variances from the model itself: 1e-4 x 12 / chi-squared with 12 degrees of freedom.
  std::mt19937_64 random(5);
  std::chi_squared_distribution<double> chi(12);
  std::normal_distribution<double> normal;
  std::vector<StartTimes> sides(4000);
  for (StartTimes& side : sides) {
    const double deviation = std::sqrt(1e-4 * 12 / chi(random));
    for (std::size_t start = 0; start < 8; ++start) {
      side.start.push_back(start);
      side.log_time.push_back(deviation * normal(random));
    }
  }
  const SpreadPrior prior = learn_spread(sides);
  EXPECT_NEAR(prior.variance, 1e-4, 5e-6);
  EXPECT_NEAR(prior.strength, 12, 3);
  EXPECT_NEAR(prior.known, 49, 3);  // what chance correlations of 8 starts leave: 7 squared
}
