// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Order statistics.
#include "record/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

namespace trainmeter {
namespace {

void require_numbers(std::span<const double> samples) {
  if (samples.empty()) throw std::invalid_argument("statistics: no samples");
  if (std::ranges::any_of(samples, [](double x) { return std::isnan(x); })) {
    throw std::invalid_argument("statistics: a sample is not a number");
  }
}

double quantile_of_sorted(const std::vector<double>& sorted, double p) {
  const double place = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - std::floor(place)) * (sorted[above] - sorted[below]);
}

}  // namespace

double quantile(std::span<const double> samples, double p) {
  require_numbers(samples);
  if (!(p >= 0 && p <= 1)) throw std::invalid_argument("quantile: p outside 0..1");
  std::vector<double> sorted(samples.begin(), samples.end());
  std::ranges::sort(sorted);
  return quantile_of_sorted(sorted, p);
}

double median(std::span<const double> samples) {
  return quantile(samples, 0.5);
}

double mean(std::span<const double> samples) {
  require_numbers(samples);
  return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

double median_absolute_deviation(std::span<const double> samples) {
  const double middle = median(samples);
  std::vector<double> distance;
  distance.reserve(samples.size());
  for (const double x : samples) distance.push_back(std::abs(x - middle));
  return median(distance);
}

}  // namespace trainmeter
