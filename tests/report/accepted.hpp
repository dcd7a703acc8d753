// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What `accept` says of records, for its tests.
#pragma once

#include "report/accept.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

namespace trainmeter {

inline Acceptance accepted(const std::vector<Record>& records, const AcceptRules& rules = {}) {
  FleetFacts facts(rules);
  for (const Record& record : records) facts.add(record);
  return accept(facts);
}

inline const Judged& node(const Acceptance& acceptance, const std::string& name) {
  const auto found = std::ranges::find(acceptance.nodes, name, &Judged::name);
  if (found == acceptance.nodes.end()) throw std::out_of_range(name);
  return *found;
}

}  // namespace trainmeter
