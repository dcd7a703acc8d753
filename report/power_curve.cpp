// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A line through logarithms of power over those of the clock.
#include "report/power_curve.hpp"

#include "record/statistics.hpp"

#include <boost/math/distributions/students_t.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace trainmeter {
namespace {

constexpr double kSameClock = 0.01;
constexpr std::size_t kLeastClocks = 3;
constexpr double kLeastReach = 1.1;   // highest / lowest clock of a case
constexpr double kConfidence = 0.90;  // as all ranges of an extrapolation

using Points = std::vector<PowerPoint>;  // of one case

// Points of a case, one for each clock that differs, by rising clock.
Points distinct_clocks(Points points) {
  std::ranges::sort(points, {}, &PowerPoint::clock_hz);
  Points out;
  for (std::size_t first = 0; first < points.size();) {
    PowerPoint one{points[first].name, 0, 0};
    std::size_t end = first;
    for (; end < points.size() && points[end].clock_hz < (1 + kSameClock) * points[first].clock_hz;
         ++end) {
      one.clock_hz += points[end].clock_hz;
      one.power_w += points[end].power_w;
    }
    one.clock_hz /= static_cast<double>(end - first);
    one.power_w /= static_cast<double>(end - first);
    out.push_back(one);
    first = end;
  }
  return out;
}

struct Slope {
  double value = 0, low = 0, high = 0;
};

Slope slope_of(const std::vector<Points>& cases, double idle_w) {
  double xx = 0, xy = 0, yy = 0, freedom = -1;
  for (const Points& points : cases) {
    std::vector<double> x, y;
    for (const PowerPoint& p : points) {
      x.push_back(std::log(p.clock_hz));
      y.push_back(std::log(p.power_w - idle_w));
    }
    const double mean_x = mean(x), mean_y = mean(y);
    for (std::size_t i = 0; i < x.size(); ++i) {
      xx += (x[i] - mean_x) * (x[i] - mean_x);
      xy += (x[i] - mean_x) * (y[i] - mean_y);
      yy += (y[i] - mean_y) * (y[i] - mean_y);
    }
    freedom += static_cast<double>(x.size()) - 1;
  }
  const double slope = xy / xx;
  const double error = std::sqrt(std::max(0.0, yy - slope * xy) / freedom / xx);
  const boost::math::students_t t(freedom);
  const double half = boost::math::quantile(t, (1 + kConfidence) / 2) * error;
  return {slope, slope - half, slope + half};
}

double bounded(double exponent) {
  return std::clamp(exponent, kPowerExponentLow, kPowerExponentHigh);
}

}  // namespace

std::vector<PowerPoint> power_points(const Measurement& m) {
  std::vector<PowerPoint> out;
  if (!m.usable() || m.ranks > 1) return out;
  for (const Stretch& s : m.stretches) {
    if (!s.energy_j || !s.sm_clock_hz) continue;
    const double runs_s =
        std::accumulate(m.time_s.begin() + s.first, m.time_s.begin() + s.last + 1, 0.0) *
        static_cast<double>(m.runs_per_sample);
    out.push_back({m.name, *s.sm_clock_hz, *s.energy_j / runs_s});
  }
  return out;
}

std::optional<PowerExponent> measured_exponent(const std::vector<PowerPoint>& points,
                                               double nominal_w) {
  std::map<std::string, Points> by_name;
  for (const PowerPoint& p : points) {
    if (kIdleShareHigh * nominal_w < p.power_w) by_name[p.name].push_back(p);
  }
  std::vector<Points> cases;
  PowerExponent out;
  for (const auto& [name, all] : by_name) {
    const Points distinct = distinct_clocks(all);
    if (distinct.size() < kLeastClocks ||
        distinct.back().clock_hz < kLeastReach * distinct.front().clock_hz) {
      continue;
    }
    out.clocks = std::max(out.clocks, distinct.size());
    cases.push_back(distinct);
  }
  if (cases.empty()) return std::nullopt;
  out.value = bounded(1 / slope_of(cases, kIdleShare * nominal_w).value);
  out.low = out.high = out.value;
  for (const double share : {kIdleShareLow, kIdleShare, kIdleShareHigh}) {
    const Slope slope = slope_of(cases, share * nominal_w);
    if (!(slope.low > 0)) return std::nullopt;
    out.low = std::min(out.low, bounded(1 / slope.high));
    out.high = std::max(out.high, bounded(1 / slope.low));
  }
  return out;
}

SustainedClock sustained_clock(const PowerPoint& measured, double cap_w, double nominal_w,
                               const PowerExponent& exponent) {
  const auto clock = [&](double power, double share) {
    const double idle_w = share * nominal_w;
    return measured.clock_hz * std::pow((cap_w - idle_w) / (measured.power_w - idle_w), power);
  };
  SustainedClock out{.hz = clock(exponent.value, kIdleShare)};
  out.low_hz = out.high_hz = out.hz;
  for (const double power : {exponent.low, exponent.high}) {
    for (const double share : {kIdleShareLow, kIdleShareHigh}) {
      out.low_hz = std::min(out.low_hz, clock(power, share));
      out.high_hz = std::max(out.high_hz, clock(power, share));
    }
  }
  return out;
}

}  // namespace trainmeter
