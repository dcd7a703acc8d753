// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The prior of a variance between starts, and how much it rests on.
#include "report/spread.hpp"

#include "record/statistics.hpp"

#include <Eigen/Dense>
#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/polygamma.hpp>
#include <boost/math/special_functions/trigamma.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

namespace trainmeter {
namespace {

using boost::math::digamma;
using boost::math::trigamma;

// Sum of squared deviations from the mean.
double squares(const std::vector<double>& values) {
  const double middle = mean(values);
  double sum = 0;
  for (const double x : values) sum += (x - middle) * (x - middle);
  return sum;
}

// x with trigamma(x) = y, by Newton's method on 1 / trigamma, which is convex. Source: Smyth
// (2004), appendix.
double inverse_trigamma(double y) {
  double x = 0.5 + 1 / y;
  for (int i = 0; i < 50; ++i) {
    const double value = trigamma(x);
    const double step = value * (1 - value / y) / boost::math::polygamma(2, x);
    x += step;
    if (-step < 1e-9 * x) break;
  }
  return x;
}

// Degrees of freedom of the pooled variance: (sum d)^2 / sum over pairs of sqrt(d_i d_j) r_ij^2,
// where r_ij correlates the deviations of two cases over their common starts. The sum over pairs is
// the squared norm of a sum of outer products. Chance correlations count too, which errs on the
// side of fewer.
double known_freedom(const std::vector<StartTimes>& sides) {
  std::size_t starts = 0;
  for (const StartTimes& side : sides) {
    for (const std::size_t start : side.start) starts = std::max(starts, start + 1);
  }
  const auto size = static_cast<Eigen::Index>(starts);
  Eigen::MatrixXd products = Eigen::MatrixXd::Zero(size, size);
  double total = 0;
  for (const StartTimes& side : sides) {
    const double middle = side.mean();
    Eigen::VectorXd deviation = Eigen::VectorXd::Zero(size);
    for (std::size_t i = 0; i < side.count(); ++i)
      deviation[static_cast<Eigen::Index>(side.start[i])] = side.log_time[i] - middle;
    const double freedom = static_cast<double>(side.count() - 1);
    total += freedom;
    if (deviation.squaredNorm() > 0) {
      products.noalias() +=
          std::sqrt(freedom) / deviation.squaredNorm() * deviation * deviation.transpose();
    }
  }
  return products.squaredNorm() > 0 ? total * total / products.squaredNorm() : 0;
}

}  // namespace

double StartTimes::mean() const {
  return trainmeter::mean(log_time);
}

double StartTimes::variance() const {
  return std::max(kLeastVariance, squares(log_time) / static_cast<double>(count() - 1));
}

SpreadPrior learn_spread(const std::vector<StartTimes>& all_sides) {
  std::vector<StartTimes> sides;
  std::ranges::copy_if(all_sides, std::back_inserter(sides),
                       [](const StartTimes& side) { return side.count() > 1; });
  if (sides.size() < kLeastVariances) return {};

  // The logarithm of s2 / variance is that of an F-distributed number with d and `strength` degrees
  // of freedom; mean and variance over the cases give the two unknowns.
  std::vector<double> logs;
  double pooled = 0, freedom = 0, by_chance = 0;
  for (const StartTimes& side : sides) {
    const double d = static_cast<double>(side.count() - 1);
    logs.push_back(std::log(side.variance()) - digamma(d / 2) + std::log(d / 2));
    pooled += d * side.variance();
    freedom += d;
    by_chance += trigamma(d / 2) / static_cast<double>(sides.size());
  }
  const auto others = static_cast<double>(logs.size() - 1);
  // With its standard error, so that less is pooled where there are few.
  const double scatter = squares(logs) / others * (1 + std::sqrt(2 / others));

  SpreadPrior prior{.variance = pooled / freedom,
                    .strength = std::numeric_limits<double>::infinity(),
                    .known = known_freedom(sides)};
  if (scatter > by_chance) {
    const double half = inverse_trigamma(scatter - by_chance);
    prior.strength = 2 * half;
    prior.variance = std::exp(mean(logs) + digamma(half) - std::log(half));
  }
  return prior;
}

}  // namespace trainmeter
