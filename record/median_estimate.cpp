// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Autocorrelation of ranks, batches, Student's t.
#include "record/median_estimate.hpp"

#include <boost/math/distributions/students_t.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace trainmeter {
namespace {

constexpr double kTimesOfABatch = 10;  // autocorrelation times
constexpr std::size_t kLeastBatches = 5;
constexpr std::size_t kMostBatches = 20;
constexpr double kSokalWindow = 5;
constexpr double kDriftSigmas = 3;  // beyond chance

// Ranks about their mean; ties share theirs.
std::vector<double> centred_ranks(std::span<const double> samples) {
  std::vector<std::size_t> order(samples.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return samples[i]; });
  const double middle = static_cast<double>(samples.size() - 1) / 2;
  std::vector<double> ranks(samples.size());
  for (std::size_t first = 0; first < order.size();) {
    std::size_t last = first;
    while (last + 1 < order.size() && samples[order[last + 1]] == samples[order[first]]) ++last;
    const double rank = static_cast<double>(first + last) / 2 - middle;
    for (std::size_t i = first; i <= last; ++i) ranks[order[i]] = rank;
    first = last + 1;
  }
  return ranks;
}

std::vector<double> batch_medians(std::span<const double> samples, std::size_t batches) {
  std::vector<double> out;
  for (std::size_t b = 0; b < batches; ++b) {
    const std::size_t first = b * samples.size() / batches;
    const std::size_t end = (b + 1) * samples.size() / batches;
    out.push_back(median(samples.subspan(first, end - first)));
  }
  return out;
}

// Least squares of y over 0, 1, ...: the rise from the first to the last, and its standard error.
struct Rise {
  double value = 0, error = 0;
};
Rise rise_of(const std::vector<double>& y) {
  const auto n = static_cast<double>(y.size());
  const double centre = mean(y);
  double xx = 0;
  double xy = 0;
  double yy = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double x = static_cast<double>(i) - (n - 1) / 2;
    xx += x * x;
    xy += x * (y[i] - centre);
    yy += (y[i] - centre) * (y[i] - centre);
  }
  const double slope = xy / xx;
  const double rest = std::max(0.0, yy - slope * xy) / (n - 2);
  return {slope * (n - 1), std::sqrt(rest / xx) * (n - 1)};
}

}  // namespace

double autocorrelation_time(std::span<const double> samples) {
  const std::vector<double> x = centred_ranks(samples);
  const double variance = std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
  if (!(variance > 0)) return 1;  // all the same
  double time = 1;
  for (std::size_t lag = 1; lag < x.size() / 2; ++lag) {
    const double product =
        std::inner_product(x.begin() + static_cast<std::ptrdiff_t>(lag), x.end(), x.begin(), 0.0);
    time += 2 * product / variance;
    if (static_cast<double>(lag) >= kSokalWindow * std::max(1.0, time)) return std::max(1.0, time);
  }
  return static_cast<double>(samples.size());
}

double MedianEstimate::half_width() const {
  if (!interval) return std::numeric_limits<double>::infinity();
  return (interval->high - interval->low) / 2 / median;
}

MedianEstimate estimate_median(std::span<const double> samples, double confidence) {
  MedianEstimate out;
  out.median = median(samples);
  if (samples.size() < kLeastSamplesForInterval) {
    out.why_none = "too few samples";
    return out;
  }
  out.autocorrelation_time = autocorrelation_time(samples);
  const double batch = kTimesOfABatch * out.autocorrelation_time;
  const auto fit = static_cast<std::size_t>(static_cast<double>(samples.size()) / batch);
  const std::vector<double> medians =
      batch_medians(samples, std::clamp(fit, kLeastBatches, kMostBatches));
  const Rise rise = rise_of(medians);
  if (kDriftSigmas * rise.error < std::abs(rise.value)) out.drift = rise.value / out.median;
  if (std::abs(out.drift) > kMostDrift) {
    out.why_none = "drifting";
    return out;
  }
  if (fit < kLeastBatches) {
    out.why_none = "too alike in time: fewer than five batches of ten autocorrelation times";
    return out;
  }
  const auto n = static_cast<double>(medians.size());
  const double centre = mean(medians);
  double squares = 0;
  for (const double m : medians) squares += (m - centre) * (m - centre);
  const double error = std::sqrt(squares / (n - 1) / n);
  const boost::math::students_t t(n - 1);
  const double half = boost::math::quantile(t, (1 + confidence) / 2) * error;
  out.interval = Interval{out.median - half, out.median + half};
  return out;
}

MedianEstimate estimate_ratio(std::span<const double> a, std::span<const double> b,
                              double confidence) {
  if (a.size() != b.size()) throw std::invalid_argument("statistics: pairs have two sides");
  std::vector<double> logs;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!(a[i] > 0 && b[i] > 0)) throw std::invalid_argument("statistics: a sample is not above 0");
    logs.push_back(std::log(a[i] / b[i]));
  }
  // Shifted so that a relative drift of the ratio is one of the number.
  for (double& x : logs) x += 1;
  MedianEstimate out = estimate_median(logs, confidence);
  out.median = std::exp(out.median - 1);
  if (out.interval) {
    out.interval = Interval{std::exp(out.interval->low - 1), std::exp(out.interval->high - 1)};
  }
  return out;
}

}  // namespace trainmeter
