// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What fewer SMs, their place and the traffic beside it cost a layer's parts (layer_bench
// --co_sms).
#pragma once

#include "record/record.hpp"
#include "report/document.hpp"

#include <nlohmann/json.hpp>

#include <vector>

namespace trainmeter {

// Heading and table of all such layers in the records, the factors of record/layer_factors.hpp side
// by side. Nothing where none was measured.
Document layers_beside(const std::vector<Record>& records);
nlohmann::ordered_json layers_beside_json(const std::vector<Record>& records);

}  // namespace trainmeter
