// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Several products of unequal sizes in one launch, as the experts of a mixture have them: forward
// and data gradient, where each expert has rows (tokens) of its own, and weight gradient, where
// each has a k (tokens again) of its own.
#pragma once

#include "kernels/gemm.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

// How tokens fall on experts: alike; by Zipf's law, the r-th most wanted getting 1 / r of the
// first; or half of them to one, the rest alike.
enum class Skew { balanced, zipf, hot };
std::string_view to_string(Skew skew);
std::optional<Skew> skew_from(std::string_view name);

// Sizes that add up to `total`, the largest not first but wherever `seed` puts it; some may be 0.
std::vector<std::int64_t> group_sizes(std::int64_t total, std::int64_t groups, Skew skew,
                                      std::uint64_t seed = 1);

// `all` has m and k of all groups together, and groups 1. Each group has B, and rows of A and C, of
// its own; or, where C is added to, parts of k of its own, and a C. Groups of an operand lie one
// after the other; fp8's, where k is theirs, each [m or n, k rounded up to 16].
struct GroupedGemmProblem {
  GemmProblem all;
  std::vector<std::int64_t> sizes;
};

// One group's product.
GemmProblem problem_of_group(const GroupedGemmProblem& problem, std::size_t group);

struct GroupedGemmBackend {
  std::string_view name;
  DeviceKind device;
  std::string (*why_not)(const GroupedGemmProblem&);
  std::unique_ptr<Operation> (*make)(const GroupedGemmProblem&, const OperandOptions&);
  bool on_request = false;  // as in GemmBackend
};

std::span<const GroupedGemmBackend> grouped_gemm_backends();

}  // namespace trainmeter
