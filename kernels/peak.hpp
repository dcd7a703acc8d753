// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the arithmetic units can do at most: a loop of independent multiply-adds on registers, on
// every core of the CPU. A virtual machine hides its clock, so this measured ceiling stands where a
// GPU has its datasheet.
#pragma once

#include "kernels/dtype.hpp"
#include "kernels/operation.hpp"

#include <memory>
#include <string>

namespace trainmeter {

struct PeakProblem {
  DType dtype = DType::fp32;          // fp64, fp32, bf16 (AVX-512 bf16 dot product), int8 (VNNI)
  std::int64_t iterations = 100'000;  // of the inner loop, on every core
};

// Empty where this processor has the instruction, else the reason.
std::string why_no_peak(const PeakProblem& problem);
std::unique_ptr<Operation> make_peak(const PeakProblem& problem);  // backend "registers"
double peak_flops_of_one_run(const PeakProblem& problem);          // over all cores

}  // namespace trainmeter
