// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Statistics of samples: pure functions. Empty or NaN input gives std::invalid_argument, never an
// invented number.
#pragma once

#include <span>
#include <vector>

namespace trainmeter {

double median(std::span<const double> samples);
double mean(std::span<const double> samples);

// Linear interpolation between order statistics, type 7 of Hyndman and Fan (1996), numpy's default.
// 0 <= p <= 1.
double quantile(std::span<const double> samples, double p);

// Median absolute deviation, not scaled.
double median_absolute_deviation(std::span<const double> samples);

// Of a normal distribution: its standard deviation over its median absolute deviation, and the
// variance of the median of samples over that of their mean (pi / 2).
inline constexpr double kNormalMad = 1.4826;
inline constexpr double kMedianVariance = 1.5708;

struct Interval {
  double low = 0;
  double high = 0;
};

}  // namespace trainmeter
