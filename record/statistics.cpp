// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Order statistics and the bootstrap.
#include "record/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
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

std::optional<Interval> bootstrap_median(std::span<const double> samples, double confidence,
                                         std::uint64_t seed, int resamples) {
  require_numbers(samples);
  if (!(confidence > 0 && confidence < 1) || resamples < 2) {
    throw std::invalid_argument("bootstrap: confidence outside 0..1, or fewer than 2 resamples");
  }
  if (samples.size() < 5) return std::nullopt;
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::size_t> pick(0, samples.size() - 1);
  std::vector<double> resample(samples.size());
  std::vector<double> medians(static_cast<std::size_t>(resamples));
  for (double& result : medians) {
    for (double& x : resample) x = samples[pick(random)];
    result = median(resample);
  }
  std::ranges::sort(medians);
  const double tail = (1 - confidence) / 2;
  return Interval{quantile_of_sorted(medians, tail), quantile_of_sorted(medians, 1 - tail)};
}

}  // namespace trainmeter
