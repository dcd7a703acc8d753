// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What `accept --trend` promises, on series whose truth is known. Prints the table of
// docs/accepting.md.
#include "report/trend.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <random>

using namespace trainmeter;

namespace {

struct Scenario {
  const char* what;
  int dates;
  double correlation = 0;  // of successive dates (autoregressive of order 1)
  double step = 0;         // from date `from` on, in spreads between dates
  double from = 0;         // share of the dates before it
  double slide = 0;        // over all dates, in spreads
  double most = 0;         // promised: of unchanged series, so many have p below 5 %
  double least = 0;        // promised: of changed series, so many at least
};

struct Score {
  double one = 0, of_16 = 0, of_256 = 0, near = 0;  // shares of the series
};

constexpr int kSeries = 2000;

Score simulate(const Scenario& s) {
  std::mt19937_64 random(20261127);
  std::normal_distribution<double> normal;
  const int first_after = static_cast<int>(s.from * s.dates);
  Score score;
  for (int i = 0; i < kSeries; ++i) {
    std::vector<double> series;
    double state = normal(random);
    for (int t = 0; t < s.dates; ++t) {
      const double change = (t >= first_after ? s.step : 0) + s.slide * t / s.dates;
      series.push_back(0.01 * (state - change));
      const double r = s.correlation;
      state = r * state + std::sqrt(1 - r * r) * normal(random);
    }
    const ChangePoint found = change_point(series);
    score.one += found.p < 0.05;
    score.of_16 += found.p < 0.05 / 16;
    score.of_256 += found.p < 0.05 / 256;
    score.near += std::abs(static_cast<int>(found.first_after) - first_after) <= 1;
  }
  for (double* count : {&score.one, &score.of_16, &score.of_256, &score.near}) *count /= kSeries;
  return score;
}

}  // namespace

TEST(TrendSimulation, FewFalseChangesAndTheStepsFound) {
  const std::vector<Scenario> scenarios = {
      {.what = "nothing changed", .dates = 20, .most = 0.05},
      {.what = "the same", .dates = 30, .most = 0.05},
      {.what = "the same", .dates = 60, .most = 0.05},
      {.what = "successive dates correlate by 0.5", .dates = 20, .correlation = 0.5, .most = 0.1},
      {.what = "the same", .dates = 30, .correlation = 0.5, .most = 0.1},
      {.what = "the same", .dates = 60, .correlation = 0.5, .most = 0.1},
      {.what = "by 0.8", .dates = 20, .correlation = 0.8, .most = 0.15},
      {.what = "the same", .dates = 30, .correlation = 0.8, .most = 0.15},
      {.what = "the same", .dates = 60, .correlation = 0.8, .most = 0.15},
      {.what = "a step of 5 spreads in the middle", .dates = 11, .step = 5, .from = 0.5},
      {.what = "the same", .dates = 20, .step = 5, .from = 0.5, .least = 0.95},
      {.what = "the same", .dates = 30, .step = 5, .from = 0.5, .least = 0.95},
      {.what = "the same", .dates = 60, .step = 5, .from = 0.5, .least = 0.95},
      {.what = "the same, correlated by 0.5",
       .dates = 30,
       .correlation = 0.5,
       .step = 5,
       .from = 0.5},
      {.what = "the same", .dates = 60, .correlation = 0.5, .step = 5, .from = 0.5, .least = 0.95},
      {.what = "before the last quarter", .dates = 30, .step = 5, .from = 0.75},
      {.what = "the same", .dates = 60, .step = 5, .from = 0.75, .least = 0.95},
      {.what = "a slow slide by 5 spreads", .dates = 30, .slide = 5, .least = 0.95},
      {.what = "the same", .dates = 60, .slide = 5, .least = 0.95}};
  std::cout << fmt::format("{:36}{:>6}{:>11}{:>12}{:>12}{:>10}\n", "", "dates", "1 series",
                           "16 series", "256 series", "date");
  for (const Scenario& s : scenarios) {
    const Score score = simulate(s);
    std::cout << fmt::format("{:36}{:>6}{:>9.1f} %{:>10.1f} %{:>10.1f} %{:>10}\n", s.what, s.dates,
                             100 * score.one, 100 * score.of_16, 100 * score.of_256,
                             s.step > 0 ? fmt::format("{:.1f} %", 100 * score.near) : "-");
    if (s.most > 0) {
      EXPECT_LT(score.one, s.most) << s.what << s.dates;
    }
    if (s.least > 0) {
      EXPECT_GT(score.one, s.least) << s.what << s.dates;
    }
    if (s.step > 0) {
      EXPECT_GT(score.near, 0.9) << s.what << s.dates;
    }
  }
}
