// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What MFU is given against.
#pragma once

#include "report/rates.hpp"
#include "report/used_inputs.hpp"

#include <optional>
#include <string>

namespace trainmeter {

// The dense peak of `first`, else of the run's precision, else of fp32: the system's, else a
// register loop's. A peak that the best GEMM exceeds is none, such as a register loop that was
// measured while other programs held the cores: the GEMM stands for it.
std::optional<UsedInput> dense_peak(const std::string& first, const Run& run, const System& system,
                                    const RateBook& book);

// The one that the run's source names, else the dense bf16 peak. BadInput where there is neither.
UsedInput mfu_peak(const Run& run, const System& system, const RateBook& book);

}  // namespace trainmeter
