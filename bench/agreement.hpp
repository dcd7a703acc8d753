// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ranks prepare each for itself, and one may fail alone: no data there, another driver. They end
// together, and rank 0 says what the others can't.
#pragma once

#include "bench/case.hpp"
#include "kernels/collective.hpp"

#include <cstddef>
#include <functional>
#include <string>

namespace trainmeter {

// Collective. Runs `work`, which may not be collective, and returns kFine where it failed nowhere.
// Else rank 0 throws the first rank's error, named by `who` unless all failed with the same, and
// the others return its exit code.
int done_by_all(World& world, const std::function<void()>& work,
                const std::function<std::string(std::size_t rank)>& who);

// Collective. Leaves out what not all have in their lists: those with less memory have fewer cases,
// and ranks call a case by its place in the list. `whom`: "rank", "device".
void keep_common(World& world, CaseList& list, const std::string& whom);

}  // namespace trainmeter
