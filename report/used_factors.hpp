// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which factors a prediction stands on, each with its range and what it rests on.
#pragma once

#include "report/step_time.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace trainmeter {

struct UsedFactor {
  Factor factor = Factor::in_place_other;
  double low = 0, middle = 0, high = 0;  // 5 %, 50 % and 95 % of the belief
  // d log(step time) / d log(factor): by how many per cent the step moves with one per cent.
  double elasticity = 0;
  bool learnt = false;  // published steps narrowed it; else its range is assumed
  std::string why;      // of the assumption
};

// Those that move the step of `bill`, the strongest first. `belief` is the one that prices it.
std::vector<UsedFactor> used_factors(const Bill& bill, const FactorTable& priors,
                                     const Belief& belief);

nlohmann::ordered_json to_json(const UsedFactor& used);

}  // namespace trainmeter
