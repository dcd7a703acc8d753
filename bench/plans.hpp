// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From a list of cases to what is measured: each by itself, or in turn with another one.
#pragma once

#include "bench/options.hpp"
#include "bench/runner.hpp"

#include <vector>

namespace trainmeter {

// --versus: each case of another backend beside the same case of `versus`. --pitfalls: each case
// beside itself on zeros, and beside itself on one set of operands. BadInput where the program
// knows no such backend on any machine, Unavailable where it has none on this one.
std::vector<Plan> make_plans(const std::vector<Case>& cases, const Options& options,
                             std::int64_t rotate_bytes);

}  // namespace trainmeter
