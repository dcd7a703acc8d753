// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A GEMM of ours for Hopper in each tile of its family, of which it would try the likely ones and
// keep the fastest.
#pragma once

#include "kernels/gemm_hopper_plan.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>

// `Problem`: of a product, or of groups.
template <class Problem, class Body>
void with_each_tile(const Problem& problem, Body body) {
  constexpr const char* kTile = "TRAINMETER_GEMM_TILE";
  const char* const asked = std::getenv(kTile);
  const std::optional<std::string> before =
      asked == nullptr ? std::nullopt : std::optional<std::string>(asked);
  const auto family = trainmeter::hopper::tiles_of(problem);
  for (std::size_t i = 0; i < family.size(); ++i) {
    SCOPED_TRACE(to_string(family[i]));
    ::setenv(kTile, std::to_string(i).c_str(), 1);
    body();
  }
  before ? ::setenv(kTile, before->c_str(), 1) : ::unsetenv(kTile);
}
