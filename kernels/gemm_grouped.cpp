// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Sizes of groups.
#include "kernels/gemm_grouped.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>

namespace trainmeter {
namespace {

constexpr std::array<std::pair<Skew, std::string_view>, 3> kSkews = {
    {{Skew::balanced, "balanced"}, {Skew::zipf, "zipf"}, {Skew::hot, "hot"}}};

double weight_of(Skew skew, std::int64_t rank, std::int64_t groups) {
  switch (skew) {
    case Skew::zipf:
      return 1 / static_cast<double>(rank + 1);
    case Skew::hot:
      return rank == 0 ? static_cast<double>(std::max<std::int64_t>(groups - 1, 1)) : 1;
    case Skew::balanced:
      break;
  }
  return 1;
}

}  // namespace

std::string_view to_string(Skew skew) {
  for (const auto& [known, name] : kSkews) {
    if (known == skew) return name;
  }
  throw std::invalid_argument("no such skew");
}

std::optional<Skew> skew_from(std::string_view name) {
  for (const auto& [skew, known] : kSkews) {
    if (known == name) return skew;
  }
  return std::nullopt;
}

std::vector<std::int64_t> group_sizes(std::int64_t total, std::int64_t groups, Skew skew,
                                      std::uint64_t seed) {
  if (total < 1 || groups < 1) throw std::invalid_argument("at least one group, and one to share");
  std::vector<double> weights;
  for (std::int64_t rank = 0; rank < groups; ++rank)
    weights.push_back(weight_of(skew, rank, groups));
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::int64_t> sizes;
  for (const double weight : weights)
    sizes.push_back(static_cast<std::int64_t>(static_cast<double>(total) * weight / all));
  // What rounding down left over, one each, to the largest first.
  std::int64_t left = total - std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
  for (std::size_t i = 0; left > 0; --left, i = (i + 1) % sizes.size()) ++sizes[i];
  std::ranges::shuffle(sizes, std::mt19937_64(seed));
  return sizes;
}

GemmProblem problem_of_group(const GroupedGemmProblem& problem, std::size_t group) {
  GemmProblem one = problem.all;
  (one.accumulate ? one.k : one.m) = problem.sizes.at(group);
  return one;
}

}  // namespace trainmeter
