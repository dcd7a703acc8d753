// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The part of memory_bench that --models asks for.
#pragma once

#include "bench/case.hpp"
#include "bench/options.hpp"
#include "bench/target.hpp"
#include "kernels/step_kernel.hpp"

#include <vector>

namespace trainmeter {

// `kernels` in `dtypes` (bf16, fp32) at the shapes of options.models, each shape once; what doesn't
// fit is left out. BadInput for an unknown model.
CaseList step_cases(const Options& options, const std::vector<StepKernel>& kernels,
                    const std::vector<DType>& dtypes, const Target& target);

// One kernel by one backend.
Case step_case(const StepProblem& problem, const StepBackend& backend);

}  // namespace trainmeter
