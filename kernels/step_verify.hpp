// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Did a kernel of a step compute what it should? On the host, for the CPU's and the GPU's.
#pragma once

#include "kernels/operation.hpp"
#include "kernels/step_kernel.hpp"

#include <vector>

namespace trainmeter {

// Compares every element with a reference in fp64. Both lists are in the order of step_arrays():
// `before` holds inputs and states as they were before the one run, `after` outputs and states; the
// others may be null. `error` is the largest error in units of what rounding can explain at that
// element, `bound` is 1. step_verify_parts.hpp says where the bound comes from.
Check verify_step(const StepProblem& problem, const std::vector<const void*>& before,
                  const std::vector<const void*>& after);

}  // namespace trainmeter
