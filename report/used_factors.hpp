// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which factors a prediction stands on, each with its range and what it rests on, and which of them
// were measured instead.
#pragma once

#include "report/step_time.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

struct UsedFactor {
  Factor factor = Factor::in_place_other;
  double low = 0, middle = 0, high = 0;  // 5 %, 50 % and 95 % of the belief
  // d log(step time) / d log(factor): by how many per cent the step moves with one per cent.
  double elasticity = 0;
  bool learnt = false;                    // published steps narrowed it; else its range is assumed
  std::string why;                        // of the assumption, or how it was measured
  KeyPlace place;                         // of that, or of what was learnt
  std::vector<std::string> origins = {};  // FILE:LINE of records, where it was measured
  bool projected = false;                 // then: on another chip
};

// measured, projected, published steps, assumed
std::string basis_of(const UsedFactor& used);

// A line for each that moves the step by 2 % of its own change or more and was learnt from a single
// other family (Calibration::learnt_from_one).
std::vector<std::string> learnt_from_one_family(const std::vector<UsedFactor>& used,
                                                const Calibration& calibration,
                                                const std::string& family);

// Those that move the step of `bill`, the strongest first. `belief` is the one that prices it, with
// `measured` in it.
std::vector<UsedFactor> used_factors(const Bill& bill, const FactorTable& priors,
                                     const Belief& belief,
                                     const std::vector<MeasuredFactor>& measured = {});

// The strongest first; those that move the step alike by name.
void sort_by_effect(std::vector<UsedFactor>& factors);

nlohmann::ordered_json to_json(const UsedFactor& used);

// How much slower a GEMM is between a step's other kernels than alone: the link between its rate
// and the step. Measured, by dtype and pass, and of a run's own operations by dtype; else one of
// `used`, by dtype.
struct InPlaceLink {
  std::string what;                  // "bf16 GEMMs fprop", "bf16 operations"
  double ratio = 1;                  // rate in the step / rate alone
  double low = 0, high = 0;          // 5 % and 95 %
  std::string basis;                 // measured, as alone, published steps, assumed, asked for
  std::string why;                   // how it was measured, or the reason of the assumption
  std::vector<std::string> origins;  // FILE:LINE of records
  std::optional<Factor> factor;      // where none was measured
};
std::vector<InPlaceLink> in_place_links(const Bill& bill, const std::vector<UsedFactor>& used);

nlohmann::ordered_json to_json(const InPlaceLink& link);

}  // namespace trainmeter
