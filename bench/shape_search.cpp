// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Coarse to fine, and over again.
#include "bench/shape_search.hpp"

#include "record/formulas.hpp"

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

constexpr int kAtRandom = 12;  // proposals before each descent
constexpr int kPatience = 6;   // proposals that bring nothing before the reach shrinks
constexpr double kFarthest = 2;
constexpr double kNearest = 1.05;  // then the descent is over
constexpr int kDraws = 100;        // before the space counts as searched

}  // namespace

ShapeSearch::ShapeSearch(const SearchSpace& space, std::uint64_t seed)
    : space_(space), random_(seed) {
  start_over();
}

std::optional<GemmShape> ShapeSearch::next() {
  if (proposed_.empty()) {
    proposed_.insert(space_.first);
    return space_.first;
  }
  if (at_random_ == 0 && best_) {
    if (const auto shape = unproposed(&ShapeSearch::near_best)) {
      if (++failures_ == kPatience) {
        failures_ = 0;
        reach_ = std::sqrt(reach_);
      }
      if (reach_ < kNearest) start_over();
      return shape;
    }
    start_over();
  }
  at_random_ = std::max(0, at_random_ - 1);
  return unproposed(&ShapeSearch::anywhere);
}

std::optional<GemmShape> ShapeSearch::unproposed(GemmShape (ShapeSearch::*draw)()) {
  for (int i = 0; i < kDraws; ++i) {
    const GemmShape shape = (this->*draw)();
    if (proposed_.insert(shape).second) return shape;
  }
  return std::nullopt;
}

void ShapeSearch::start_over() {
  at_random_ = kAtRandom;
  reach_ = kFarthest;
  failures_ = 0;
}

void ShapeSearch::take(const GemmShape& shape, double flops_per_s) {
  if (!rates_.emplace(shape, flops_per_s).second) return;
  if (best_ && !(rates_.at(*best_) < flops_per_s)) return;
  best_ = shape;
  failures_ = 0;
}

std::vector<GemmShape> ShapeSearch::best(std::size_t count) const {
  std::vector<GemmShape> shapes;
  for (const auto& [shape, rate] : rates_) shapes.push_back(shape);
  std::ranges::stable_sort(shapes, std::ranges::greater{},
                           [this](const GemmShape& shape) { return rate(shape); });
  shapes.resize(std::min(count, shapes.size()));
  return shapes;
}

// Each dimension log-uniform: as many shapes between 128 and 256 as between 2048 and 4096.
GemmShape ShapeSearch::anywhere() {
  std::array<double, 3> wanted{};
  for (double& dimension : wanted) {
    dimension = std::exp(uniform(std::log(static_cast<double>(space_.step)),
                                 std::log(static_cast<double>(space_.most))));
  }
  return fitted(wanted);
}

GemmShape ShapeSearch::near_best() {
  const double log_reach = std::log(reach_);
  std::array<double, 3> wanted{};
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const bool moves = uniform(0, 1) < 0.5;
    wanted[i] =
        static_cast<double>((*best_)[i]) * (moves ? std::exp(uniform(-log_reach, log_reach)) : 1);
  }
  return fitted(wanted);
}

GemmShape ShapeSearch::fitted(const std::array<double, 3>& wanted) const {
  double scale = 1;
  if (best_) {
    const double flops =
        gemm_flops(std::llround(wanted[0]), std::llround(wanted[1]), std::llround(wanted[2]));
    const double run_s = flops / rates_.at(*best_);
    scale = std::cbrt(std::min(1.0, space_.max_run_s / run_s));
  }
  GemmShape shape{};
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const double steps = std::round(scale * wanted[i] / static_cast<double>(space_.step));
    shape[i] = std::clamp(static_cast<std::int64_t>(steps) * space_.step, space_.step, space_.most);
  }
  return shape;
}

double ShapeSearch::uniform(double low, double high) {
  // std::uniform_real_distribution may differ between libraries, and a search is to be repeatable.
  return low + (high - low) * std::ldexp(static_cast<double>(random_() >> 11), -53);
}

}  // namespace trainmeter
