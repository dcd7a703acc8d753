// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What operations and the traffic beside them take from each other (overlap_bench): what an
// operation keeps of its speed against what is moved meanwhile, by the SMs that it is moved on.
#pragma once

#include "record/record.hpp"
#include "report/document.hpp"
#include "report/factors.hpp"

#include <nlohmann/json.hpp>

#include <vector>

namespace trainmeter {

// Heading, chart and table of all overlaps in the records, and beside them what predictions assume.
// Nothing where none was measured.
Document interference(const std::vector<Record>& records, const FactorTable& assumed);
nlohmann::ordered_json interference_json(const std::vector<Record>& records);

}  // namespace trainmeter
