// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a co-runner is measured by is taken again where it moved nothing meanwhile: its thread may
// have been without its core, or one of its runs may have lasted longer.
#pragma once

#include "record/error.hpp"

#include <chrono>

namespace trainmeter {

// Calls `attempt(number)`, of number 0, 1, ..., until it returns what converts to true, and returns
// that. Throws EnvironmentFailed where it never does for 10 s: a count of attempts would be less
// than a scheduler's slice where each is short.
template <class Attempt>
auto until_it_moves(Attempt attempt) {
  using Steady = std::chrono::steady_clock;
  constexpr std::chrono::seconds kPatience(10);
  const auto begin = Steady::now();
  for (int number = 0;; ++number) {
    if (auto moved = attempt(number)) return moved;
    if (Steady::now() - begin > kPatience) {
      throw EnvironmentFailed("a co-runner moved nothing for 10 s: others hold its cores");
    }
  }
}

}  // namespace trainmeter
