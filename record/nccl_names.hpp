// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What nccl-tests calls our operations and element types, both ways. Empty where it has no name.
#pragma once

#include <string>
#include <string_view>

namespace trainmeter {

std::string nccl_program(std::string_view operation);     // allreduce -> all_reduce_perf
std::string operation_of_nccl(std::string_view program);  // and back
std::string nccl_type(std::string_view dtype);            // fp32 -> float
std::string dtype_of_nccl(std::string_view type);

// Whether its `count` is that of one of as many parts as there are ranks.
bool nccl_counts_parts(std::string_view operation);

}  // namespace trainmeter
