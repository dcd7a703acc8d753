// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Launches of a step's casts to fp8 on a GPU.
#pragma once

#include "kernels/step_kernel.hpp"

#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>
#include <string>

namespace trainmeter::step_cuda {

using CastArrays = std::array<void*, 5>;  // as step_arrays() lists them

bool is_cast(StepKernel kernel);

// Why it can't be launched, or nothing.
std::string why_not_cast(const StepProblem& problem);

// Once before launches: a tile in fp32 is more shared memory than a kernel has unasked.
void prepare_cast(const StepProblem& problem);

void launch_cast(const StepProblem& problem, const CastArrays& arrays, cudaStream_t stream);

}  // namespace trainmeter::step_cuda
