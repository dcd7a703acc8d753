// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What each rank makes and all of them need. One that fails alone would leave the others waiting
// for its text; here they all hear of it.
#pragma once

#include "kernels/collective.hpp"

#include <functional>
#include <string>
#include <vector>

namespace trainmeter {

// Collective: every rank's text, by rank, of `make`. Where it throws on a rank, Unavailable on all
// of them, which names that rank and what it said. RankLost passes as it is.
std::vector<std::string> all_made(const Gather& gather, const std::function<std::string()>& make);

}  // namespace trainmeter
