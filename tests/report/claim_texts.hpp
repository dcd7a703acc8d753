// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Claims as a test writes them.
#pragma once

#include "report/claims.hpp"

#include "fixtures.hpp"
#include <nlohmann/json.hpp>

#include <string>

namespace trainmeter {

// A claim's keys besides id, title and source.
inline Claim claim_of(const std::string& keys) {
  nlohmann::json value = nlohmann::json::parse("{" + keys + "}");
  value["id"] = "mine";
  value["title"] = "Mine";
  value["source"] = {{"title", "t"}, {"locator", "l"}, {"url", "u"}, {"read_on", "2026-11-25"}};
  return read_claim(value, "claim.json", published_library());
}

inline Verdict judged_text(const std::string& keys) {
  return judge(claim_of(keys), published_library());
}

}  // namespace trainmeter
