// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The median of timings in the order taken, and how well it is known: neighbours in time are alike,
// so an interval that takes them for independent is too narrow.
#pragma once

#include "record/statistics.hpp"

#include <optional>
#include <span>
#include <string>

namespace trainmeter {

// Integrated autocorrelation time in samples: n samples know as much as n / this independent ones.
// 1 where they are independent, (1 + r) / (1 - r) for AR(1) with coefficient r. Of the ranks, so
// that outliers don't hide it, with Sokal's window (1997): up to the first lag of five times the
// estimate. At least 1, since what is anticorrelated is taken for independent; the number of
// samples where no window ends within half of them.
double autocorrelation_time(std::span<const double> samples);

struct MedianEstimate {
  double median = 0;
  // Of the median; none where the samples can't tell, and `why_none` says why not.
  std::optional<Interval> interval;
  std::string why_none;
  double autocorrelation_time = 0;  // of the samples; 0: unknown
  // Relative change of the median from the first to the last samples by a straight line, where it
  // is beyond chance; else 0.
  double drift = 0;

  // Half the interval / median; infinite without an interval.
  [[nodiscard]] double half_width() const;
};

inline constexpr std::size_t kLeastSamplesForInterval = 50;  // five batches of ten
inline constexpr double kMostDrift = 0.02;                   // with more, a median has no interval

// Batch medians: between 5 and 20 batches of at least ten autocorrelation times, Student's t on
// their medians (batch means: Schmeiser 1982; here of medians). Coverage by simulation, also where it
// is less because the samples are too few for what correlates them:
// tests/record/median_estimate_test.cpp.
// std::invalid_argument for no samples or NaN.
MedianEstimate estimate_median(std::span<const double> samples, double confidence = 0.95);

// The same of a[i] / b[i] for samples taken in turn: geometric, so the other way round it is the
// inverse. std::invalid_argument unless both have the same number, all above 0.
MedianEstimate estimate_ratio(std::span<const double> a, std::span<const double> b,
                              double confidence = 0.95);

}  // namespace trainmeter
