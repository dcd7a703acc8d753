// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The rules that make a verdict, one function each, in the order in which they are asked.
// docs/claims.md has them in words.
#pragma once

#include "report/claims.hpp"

#include <optional>

namespace trainmeter {

struct Finding {
  std::string verdict, rule, reason, would_change;
};

// Two printed figures, or one and the datasheet's peak, that don't go together: the first
// Arithmetic that doesn't agree. contradictory, under that arithmetic's rule.
std::optional<Finding> contradiction(const Verdict& claim);

// More FLOP/s (or bytes/s) per GPU than the best that anybody measured. An upper bound beyond it
// proves nothing and is passed over. exceeds_measured.
std::optional<Finding> above_measured(const Verdict& claim);

// At least one figure was held against a measurement, and lies within it. consistent; the reason
// says how many of the stages that was.
std::optional<Finding> within_measured(const Verdict& claim, const Run& run);

// Nothing could be held against anything: what is missing. untestable.
Finding nothing_to_test(const Verdict& claim, const Run& run);

}  // namespace trainmeter
