// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A search for the fastest shape of a GEMM: shapes at random first, then around the best one,
// nearer and nearer, and at random again. The same seed and the same rates give the same shapes.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <vector>

namespace trainmeter {

using GemmShape = std::array<std::int64_t, 3>;  // m, n, k

struct SearchSpace {
  std::int64_t step = 64;    // dimensions are multiples of it
  std::int64_t most = 4096;  // and at most this
  GemmShape first = {256, 256, 256};
  double max_run_s = 0.05;  // by the best rate so far: larger shapes are scaled down
};

class ShapeSearch {
 public:
  ShapeSearch(const SearchSpace& space, std::uint64_t seed);

  // A shape that was not proposed before; nothing where there is hardly a new one left.
  std::optional<GemmShape> next();

  // What became of a proposal, FLOP/s. One that could not be measured is simply never taken.
  void take(const GemmShape& shape, double flops_per_s);

  // Those taken, the fastest first, at most `count`.
  [[nodiscard]] std::vector<GemmShape> best(std::size_t count) const;
  [[nodiscard]] double rate(const GemmShape& shape) const { return rates_.at(shape); }
  [[nodiscard]] std::size_t taken() const { return rates_.size(); }

 private:
  void start_over();
  std::optional<GemmShape> unproposed(GemmShape (ShapeSearch::*draw)());
  GemmShape anywhere();
  GemmShape near_best();
  [[nodiscard]] GemmShape fitted(const std::array<double, 3>& wanted) const;
  double uniform(double low, double high);

  SearchSpace space_;
  std::mt19937_64 random_;
  std::map<GemmShape, double> rates_;
  std::set<GemmShape> proposed_;
  std::optional<GemmShape> best_;
  int at_random_ = 0;  // proposals left before those around the best
  double reach_ = 1;   // a neighbour's dimension differs by at most this factor
  int failures_ = 0;   // proposals around the best since it was found, at this reach
};

}  // namespace trainmeter
