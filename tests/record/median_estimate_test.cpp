// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Whether intervals hold the true median as often as they say: independent and autocorrelated
// noise, skewed and heavy-tailed, with the stop rule that looks again and again.
#include "record/median_estimate.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <utility>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

constexpr double kTruth = 1.0;  // the median of all noises here

// AR(1) standard normal noise through `shape`, which keeps 0 where it is: the median is kTruth.
class Noise {
 public:
  Noise(double coefficient, double sigma, std::function<double(double)> shape, std::uint64_t seed)
      : r_(coefficient), sigma_(sigma), shape_(std::move(shape)), random_(seed) {
    state_ = normal_(random_);
  }
  double operator()() {
    state_ = r_ * state_ + std::sqrt(1 - r_ * r_) * normal_(random_);
    return kTruth * (1 + sigma_ * shape_(state_));
  }

 private:
  double r_, sigma_;
  std::function<double(double)> shape_;
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
  double state_ = 0;
};

double plain(double x) {
  return x;
}
double skewed(double x) {  // as timings are: a sharp edge below, a tail above
  return std::exp(x) - 1;
}
double heavy(double x) {  // Cauchy-like beyond two sigmas
  return std::abs(x) < 2 ? x : x * std::exp(std::abs(x) - 2);
}

struct Coverage {
  double share = 0;  // of the intervals that hold the truth
  int intervals = 0;
  double share_of_converged = 0;  // the same of those that the rule stopped at
  int converged = 0;
};

// The stop rule: looks at 50, 100, 200, ... samples, until the interval is narrow at two successive
// looks or the samples are many.
using Noises = std::function<std::function<double()>(std::uint64_t seed)>;
Coverage coverage(const Noises& noises, std::size_t most, int trials) {
  int hits = 0;
  int hits_of_converged = 0;
  Coverage out;
  for (int trial = 0; trial < trials; ++trial) {
    const std::function<double()> noise = noises(static_cast<std::uint64_t>(trial) + 1);
    std::vector<double> samples;
    MedianEstimate estimate;
    bool narrow = false;
    bool converged = false;
    for (std::size_t n = kLeastSamplesForInterval; n <= most && !converged; n *= 2) {
      while (samples.size() < n) samples.push_back(noise());
      estimate = estimate_median(samples);
      const bool before = std::exchange(narrow, estimate.half_width() < 0.01);
      converged = narrow && (before || 2 * n > most);  // the last look counts alone
    }
    if (!estimate.interval) continue;
    const bool hit = estimate.interval->low < kTruth && kTruth < estimate.interval->high;
    ++out.intervals;
    hits += hit ? 1 : 0;
    out.converged += converged ? 1 : 0;
    hits_of_converged += hit && converged ? 1 : 0;
  }
  out.share = static_cast<double>(hits) / out.intervals;
  out.share_of_converged = static_cast<double>(hits_of_converged) / out.converged;
  return out;
}

}  // namespace

TEST(MedianEstimate, CoversTheTruthAsOftenAsItSays) {
  struct Kind {
    const char* name;
    double (*shape)(double);
  };
  for (const Kind kind : {Kind{"skewed", skewed}, Kind{"heavy", heavy}}) {
    for (const double coefficient : {0.0, 0.5, 0.9}) {
      for (const double sigma : {0.01, 0.05}) {
        constexpr int kTrials = 1000;
        const Coverage c = coverage(
            [&](std::uint64_t seed) { return Noise(coefficient, sigma, kind.shape, seed); }, 3200,
            kTrials);
        EXPECT_GT(c.share, 0.92) << fmt::format("{} AR({}) sigma {}: {:.3f} of {}", kind.name,
                                                coefficient, sigma, c.share, c.intervals);
      }
    }
  }
}

// What changes slowly, or beside noise that hides it, is not seen in few samples.
// docs/how-it-is-measured.md has what this prints.
TEST(MedianEstimate, CoversLessWhereACorrelationIsLong) {
  const Noises slow = [](std::uint64_t seed) {
    return [white = Noise(0, 0.01, plain, seed),
            slow = Noise(0.995, 0.01, plain, seed + 1'000'000)]() mutable {
      return white() + slow() - kTruth;
    };
  };
  const Noises clocks = [](std::uint64_t seed) {
    return [white = Noise(0, 0.005, plain, seed), random = std::mt19937_64(seed), left = 0,
            clock = 0.0]() mutable {
      if (left-- == 0) {
        left = 39;
        clock = random() % 2 == 0 ? 0.01 : -0.01;
      }
      return white() + clock;
    };
  };
  const Noises alike = [](std::uint64_t seed) { return Noise(0.9, 0.01, plain, seed); };
  struct Kind {
    const char* name;
    Noises noises;
    std::size_t most;
    double share;
  };
  constexpr int kTrials = 500;
  for (const Kind& kind :
       {Kind{"AR(0.9) of 1 %, 400 samples at most", alike, 400, 0.72},
        Kind{"independent noise of 1 % and AR(0.995) of 1 %", slow, 3200, 0.35},
        Kind{"independent noise of 0.5 % and two clocks, +- 1 %, of 40 samples a turn", clocks,
             3200, 0.57}}) {
    const Coverage c = coverage(kind.noises, kind.most, kTrials);
    fmt::print("{}: {} of {} converged, and {:.0f} % of those intervals hold the truth\n",
               kind.name, c.converged, kTrials, 100 * c.share_of_converged);
    EXPECT_NEAR(c.share_of_converged, kind.share, 0.03) << kind.name;
  }
}

TEST(MedianEstimate, SaysWhatItCannotTell) {
  Noise noise(0, 0.01, plain, 1);
  std::vector<double> samples;
  while (samples.size() < kLeastSamplesForInterval - 1) samples.push_back(noise());
  const MedianEstimate few = estimate_median(samples);
  EXPECT_FALSE(few.interval);
  EXPECT_EQ(few.why_none, "too few samples");
  EXPECT_EQ(few.half_width(), std::numeric_limits<double>::infinity());
  samples.push_back(noise());
  EXPECT_TRUE(estimate_median(samples).interval);

  Noise slow(0.99, 0.01, plain, 1);  // an autocorrelation time of about 200 samples
  std::vector<double> alike;
  while (alike.size() < 400) alike.push_back(slow());
  const MedianEstimate cannot = estimate_median(alike);
  EXPECT_FALSE(cannot.interval);
  EXPECT_FALSE(cannot.why_none.empty());
  EXPECT_THROW((void)estimate_median({}), std::invalid_argument);
  EXPECT_THROW((void)estimate_median(std::vector<double>(60, std::nan(""))), std::invalid_argument);
}

TEST(MedianEstimate, ADriftGetsNoInterval) {
  for (const double drift : {0.05, -0.05}) {
    Noise noise(0, 0.01, plain, 7);
    std::vector<double> samples;
    for (int i = 0; i < 400; ++i) samples.push_back(noise() * (1 + drift * i / 400));
    const MedianEstimate e = estimate_median(samples);
    EXPECT_FALSE(e.interval);
    EXPECT_EQ(e.why_none, "drifting");
    EXPECT_NEAR(e.drift, drift, 0.015);
  }
  // One of 1 % is below what is flagged; in noise so much smaller it shows as samples that are
  // alike.
  Noise noise(0, 0.001, plain, 7);
  std::vector<double> samples;
  for (int i = 0; i < 400; ++i) samples.push_back(noise() * (1 + 0.01 * i / 400));
  EXPECT_NEAR(estimate_median(samples).drift, 0.01, 0.003);
  EXPECT_THAT(estimate_median(samples).why_none, HasSubstr("too alike"));
}

TEST(MedianEstimate, KnowsTheAutocorrelationTime) {
  for (const auto& [coefficient, time] :
       {std::pair(0.0, 1.0), std::pair(0.5, 3.0), std::pair(0.9, 19.0)}) {
    Noise noise(coefficient, 0.01, plain, 3);
    std::vector<double> samples;
    while (samples.size() < 20000) samples.push_back(noise());
    // Of ranks, whose correlation is 6 / pi asin(r / 2): a little less than the values'.
    EXPECT_NEAR(estimate_median(samples).autocorrelation_time, time, 0.2 * time);
  }
  EXPECT_EQ(estimate_median(std::vector<double>(100, 2.0)).autocorrelation_time, 1);
  EXPECT_EQ(estimate_median(std::vector<double>(100, 2.0)).half_width(), 0);
}

TEST(MedianEstimate, HandComputed) {
  // Alternating, so anticorrelated and taken for independent: five batches of ten, whose medians
  // are 10, 11, 10, 11, 10 and far from a line. s = 0.5477, t(4, 0.975) = 2.7764: half = 0.6801.
  std::vector<double> samples;
  for (const double m : {10.0, 11.0, 10.0, 11.0, 10.0}) {
    for (int i = 0; i < 5; ++i) {
      samples.push_back(m - 5);
      samples.push_back(m + 5);
    }
  }
  const MedianEstimate e = estimate_median(samples);
  EXPECT_EQ(e.autocorrelation_time, 1);
  ASSERT_TRUE(e.interval);
  EXPECT_NEAR(e.interval->high - e.median, 0.6801, 1e-4);
  EXPECT_NEAR(e.median - e.interval->low, 0.6801, 1e-4);
}

TEST(MedianEstimate, ARatioTurnedRoundIsItsInverse) {
  Noise one(0.5, 0.02, skewed, 1);
  Noise two(0.5, 0.02, skewed, 2);
  std::vector<double> a;
  std::vector<double> b;
  for (int i = 0; i < 1000; ++i) {
    a.push_back(1.1 * one());
    b.push_back(two());
  }
  const MedianEstimate forth = estimate_ratio(a, b);
  const MedianEstimate back = estimate_ratio(b, a);
  ASSERT_TRUE(forth.interval && back.interval);
  EXPECT_NEAR(forth.median, 1.1, 0.005);
  EXPECT_NEAR(forth.median * back.median, 1, 1e-12);
  EXPECT_NEAR(forth.interval->low * back.interval->high, 1, 1e-12);
  EXPECT_LT(forth.interval->low, 1.1);
  EXPECT_LT(1.1, forth.interval->high);
  b.pop_back();
  EXPECT_THROW((void)estimate_ratio(a, b), std::invalid_argument);
}
