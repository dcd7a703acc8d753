// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How far one case's times lie apart from one process start to the next: learnt from all cases
// together, since five starts alone say little about a spread (docs/comparing.md).
#pragma once

#include <cstddef>
#include <vector>

namespace trainmeter {

// The logarithms of one case's times, a start each, on one side of a comparison.
struct StartTimes {
  std::vector<std::size_t> start;  // which start, from 0; both sides are numbered together
  std::vector<double> log_time;    // as many

  [[nodiscard]] std::size_t count() const { return log_time.size(); }
  [[nodiscard]] double mean() const;
  [[nodiscard]] double variance() const;  // between starts; at least two
};

// What all cases say of the variance of one. Empirical Bayes as in limma: a case's own variance s2
// with d degrees of freedom becomes (strength x variance + d x s2) / (strength + d), with
// strength + d degrees of freedom, but no more than `known`. Source: Smyth (2004), Linear models
// and empirical Bayes methods, Statistical Applications in Genetics and Molecular Biology 3(1),
// sections 3 and 6.2.
struct SpreadPrior {
  double variance = 0;
  double strength = 0;  // degrees of freedom; infinite where all cases spread alike
  // Degrees of freedom of `variance` itself. Cases of one start vary together (its clock, its
  // memory), so they are fewer than the cases' own together.
  double known = 0;
};

// A variance below this isn't believed: coarse clocks make starts look equal.
inline constexpr double kLeastVariance = 0.0005 * 0.0005;

// Fewer variances than this say too little about each other; then nothing is known.
inline constexpr std::size_t kLeastVariances = 10;

// From the sides of two starts and more.
SpreadPrior learn_spread(const std::vector<StartTimes>& sides);

}  // namespace trainmeter
