// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What stands between the rates of a step's GEMMs, as they were measured or published, and the
// step: the factors of their architecture, and what the run's power cap leaves.
#pragma once

#include "report/rates.hpp"
#include "report/step_time.hpp"
#include "workload/run.hpp"

#include <functional>
#include <string>

namespace trainmeter {

// Of GEMMs in this dtype.
GemmFactors gemm_factors(const System& system, const RateBook& book, const std::string& dtype);

// What the run's power cap leaves of rates in this dtype: 1 where it has none, or none lower than
// the power they were measured at. `assume` hears where it is less.
double power_share_of(const Run& run, const System& system, const RateBook& book,
                      const std::string& dtype, const std::function<void(std::string)>& assume);

}  // namespace trainmeter
