// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What each part of a step's breakdown follows from, beside the rates of its work.
#pragma once

#include "report/factors.hpp"

#include <string_view>
#include <vector>

namespace trainmeter {

struct PartSources {
  std::vector<Factor> factors;
  bool in_place = false;                // what GEMMs reach between other kernels, where measured
  std::vector<std::string_view> parts;  // on whose length it depends
};

// As step_time() and predict_rl() make it up. Empty for a part that they don't know.
PartSources sources_of(std::string_view part);

}  // namespace trainmeter
