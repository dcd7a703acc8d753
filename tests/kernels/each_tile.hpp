// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A GEMM of ours for Hopper in each tile of its family, of which it would try the likely ones and
// keep the fastest.
#pragma once

#include "kernels/gemm_hopper_plan.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

// `Problem`: of a product, or of groups.
template <class Problem, class Body>
void with_each_tile(const Problem& problem, Body body) {
  const auto family = trainmeter::hopper::tiles_of(problem);
  for (std::size_t i = 0; i < family.size(); ++i) {
    SCOPED_TRACE(to_string(family[i]));
    ::setenv("TRAINMETER_GEMM_TILE", std::to_string(i).c_str(), 1);
    body();
    ::unsetenv("TRAINMETER_GEMM_TILE");
  }
}
