// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The rates of GEMMs: the very shape, else the curve by the shapes around it.
#include "report/gemm_curve.hpp"
#include "report/rates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <tuple>
#include <utility>

namespace trainmeter {

struct RateBook::Known {
  const RatePoint* point = nullptr;
  GemmSize size = {};  // of one group
  double log_m = 0, log_n = 0, log_k = 0;
  double residual = 0;  // log of rate / share of the curve
  double distance = 0;  // to the shape asked for
};

namespace {

constexpr double kReach = 1.0;        // in log of a dimension: how far a shape speaks for others
constexpr double kOtherLayout = 0.1;  // added to the distance of another layout
constexpr double kOutside = 0.05;     // weight of all shapes together where none is near
// Of a weight gradient at other passes' rate, corrected by weight gradients of other sizes.
// Assumed: no record here has them in fp8 at sizes enough to learn it.
constexpr double kOfOthersError = 0.1;
constexpr double kReachOfPass = 3;  // how far, as kReach, they speak for others

double log_of(std::int64_t value) {
  return std::log(static_cast<double>(value));
}

bool serves(const RatePoint& p, std::string_view layout) {
  return p.pass_layout == "none" || p.pass_layout == layout_that_serves(p.dtype, layout);
}

double distance(const GemmSize& a, const GemmSize& b) {
  return std::hypot(log_of(a[0] * a[3]) - log_of(b[0] * b[3]), log_of(a[1]) - log_of(b[1]),
                    log_of(a[2]) - log_of(b[2]));
}

}  // namespace

GemmSize size_of_a_group(const RatePoint& p) {
  if (p.operation != "grouped_gemm") return {p.m, p.n, p.k, p.groups};
  return p.of_weight_gradients() ? GemmSize{p.m, p.n, p.k / p.groups, p.groups}
                                 : GemmSize{p.m / p.groups, p.n, p.k, p.groups};
}

// One for each shape: the best backend, in the layout asked for where both were measured. Weight
// gradients are kernels of their own: only theirs, where one near by was measured; and all others
// by all others.
std::vector<RateBook::Known> RateBook::known_shapes(const std::string& dtype,
                                                    std::string_view layout, const GemmSize& near,
                                                    bool adds) const {
  std::vector<const RatePoint*> all;
  for (const RatePoint& p : points_) {
    const bool gemm = p.operation == "gemm" || (p.operation == "grouped_gemm" && !p.uneven);
    if (gemm && p.dtype == dtype && p.m > 0 && p.n > 0 && p.k > 0) all.push_back(&p);
  }
  const auto keep = [&](bool weight_gradients) {
    std::vector<const RatePoint*> out;
    std::ranges::copy_if(all, std::back_inserter(out), [&](const RatePoint* p) {
      return p->of_weight_gradients() == weight_gradients;
    });
    return out;
  };
  std::vector<const RatePoint*> those = keep(false);
  if (layout == "tn") {
    std::vector<const RatePoint*> own = keep(true);
    const auto is_near = [&](const RatePoint* p) {
      return distance(size_of_a_group(*p), near) < kReach;
    };
    if (std::ranges::any_of(own, is_near)) those = std::move(own);
  }
  if (those.empty()) those = std::move(all);

  const auto peak = device_.peak_flops.find(dtype);
  const double peak_flops = peak == device_.peak_flops.end() ? 0 : peak->second;
  std::vector<Known> out;
  for (const RatePoint* p : those) {
    const GemmSize size = size_of_a_group(*p);
    const auto same = std::ranges::find(out, size, &Known::size);
    const auto [m, n, k, groups] = size;
    const double share = gemm_share(device_, dtype, m, n, k, groups, peak_flops);
    const Known known{.point = p,
                      .size = size,
                      .log_m = log_of(m * groups),
                      .log_n = log_of(n),
                      .log_k = log_of(k),
                      .residual = std::log(p->value / share)};
    const auto rank = [&](const RatePoint& of) {
      return std::tuple(serves(of, layout), !of.of_weight_gradients() || of.adds == adds, of.value);
    };
    if (same == out.end()) {
      out.push_back(known);
    } else if (rank(*same->point) < rank(*p)) {
      *same = known;
    }
  }
  return out;
}

// Weighted mean of the residuals, by a Gaussian of the distance; far from everything, of all.
// `distance` is that of the nearest.
RateBook::Known RateBook::interpolated(const std::vector<Known>& known, double m, double n,
                                       double k, const RatePoint* left_out) {
  Known out;
  out.distance = std::numeric_limits<double>::infinity();
  double sum = 0;
  double weights = 0;
  double nearest_weight = 0;
  for (const Known& other : known) {
    if (other.point == left_out) continue;
    const double distance = std::hypot(other.log_m - m, other.log_n - n, other.log_k - k);
    const double near = std::exp(-0.5 * distance * distance / (kReach * kReach));
    const double weight = near + kOutside / static_cast<double>(known.size());
    sum += weight * other.residual;
    weights += weight;
    nearest_weight = std::max(nearest_weight, near);
    if (distance < out.distance) {
      out.distance = distance;
      out.point = other.point;
    }
  }
  out.residual = sum / weights;
  return out;
}

// How wrong the curve is where a shape wasn't measured, learnt by leaving each out: root mean
// square of the log ratio.
double RateBook::shape_error(const std::vector<Known>& known) {
  if (known.size() < 3) return kLeastShapeError;
  double sum = 0;
  for (const Known& k : known) {
    const double guess = interpolated(known, k.log_m, k.log_n, k.log_k, k.point).residual;
    sum += (guess - k.residual) * (guess - k.residual);
  }
  return std::max(kLeastShapeError, std::sqrt(sum / static_cast<double>(known.size())));
}

// What the weight gradients that were measured not too far away reach of the rates that other
// passes have at their sizes: geometric mean over shapes.
std::optional<double> RateBook::weight_gradients_of_others(const std::string& dtype,
                                                           const GemmSize& near, bool adds) const {
  const bool both = std::ranges::any_of(points_, [&](const RatePoint& p) {
    return p.operation == "gemm" && p.dtype == dtype && !p.of_weight_gradients() && p.m > 0;
  });
  if (!both) return std::nullopt;
  double sum = 0;
  double shapes = 0;
  for (const RatePoint& p : points_) {
    if (p.dtype != dtype || !p.of_weight_gradients() || p.uneven || p.m < 1) continue;
    if (!(distance(size_of_a_group(p), near) < kReachOfPass)) continue;
    const auto [m, n, k, groups] = size_of_a_group(p);
    const auto here = gemm(dtype, "tn", m, n, k, groups, adds);
    const auto others = gemm(dtype, "nn", m, n, k, groups, adds);
    // Each shape once: by the point that stands for it.
    if (!here || !others || here->origin != p.origin) continue;
    sum += std::log(here->value / others->value);
    ++shapes;
  }
  if (shapes < 1) return std::nullopt;
  return std::exp(sum / shapes);
}

std::optional<Rate> RateBook::gemm(const std::string& dtype, std::string_view layout,
                                   std::int64_t m, std::int64_t n, std::int64_t k,
                                   std::int64_t groups, bool adds) const {
  const GemmSize wanted = {m, n, k, groups};
  const std::vector<Known> known = known_shapes(dtype, layout, wanted, adds);
  if (known.empty()) {  // only figures without a shape: better than nothing, and said so
    const auto any = best_gemm(dtype);
    if (!any) return std::nullopt;
    return rate_at(*any, 4 * kLeastShapeError, "shape not printed");
  }
  for (const Known& one : known) {
    if (serves(*one.point, layout) && one.size == wanted)
      return rate_at(*one.point, 0, "exact shape");
  }
  const auto peak = device_.peak_flops.find(dtype);
  const double share = gemm_share(device_, dtype, m, n, k, groups,
                                  peak == device_.peak_flops.end() ? 0 : peak->second);
  const Known at = interpolated(known, log_of(m * groups), log_of(n), log_of(k), nullptr);
  // The uncertainty grows with the distance to the nearest known shape, up to twice the error
  // there.
  const bool same = at.point->pass_layout == layout_that_serves(dtype, layout);
  const double apart = at.distance + (same ? 0 : kOtherLayout);
  const double far = 1 - std::exp(-0.5 * apart * apart / (kReach * kReach));
  const auto [near_m, near_n, near_k, near_groups] = size_of_a_group(*at.point);
  Rate rate = rate_at(*at.point, shape_error(known) * (0.5 + 1.5 * far),
                      fmt::format("between shapes, nearest {}{}x{}x{}",
                                  near_groups > 1 ? fmt::format("{} x ", near_groups) : "", near_m,
                                  near_n, near_k));
  rate.value = share * std::exp(at.residual);
  if (layout != "tn" || rate.of_weight_gradients) return rate;
  if (const auto reach = weight_gradients_of_others(dtype, wanted, adds)) {
    rate.value *= *reach;
    rate.shape = std::hypot(rate.shape, kOfOthersError);
    rate.how +=
        fmt::format(" x {:.2f}, what the weight gradients that were measured reach", *reach);
    rate.of_weight_gradients = true;
  }
  return rate;
}

}  // namespace trainmeter
