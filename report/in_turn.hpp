// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Two implementations of one problem that were measured sample by sample in turn (--versus).
#pragma once

#include "record/record.hpp"
#include "report/document.hpp"

#include <nlohmann/json.hpp>

#include <vector>

namespace trainmeter {

// Heading and table of all pairs in the records that were measured on normal data, not out of the
// caches, in their order: both rates, and the ratio of the paired samples, which no change of the
// clock from pair to pair moves. Nothing where there is none.
Document in_turn(const std::vector<Record>& records);
nlohmann::ordered_json in_turn_json(const std::vector<Record>& records);

}  // namespace trainmeter
