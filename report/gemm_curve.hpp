// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How a GEMM's rate depends on its shape, as a share of what the largest shapes reach: tiles that
// don't fill the SMs evenly, the fixed cost of a tile, and memory bandwidth. One curve for every
// dtype; known shapes correct it (report/rates.hpp).
#pragma once

#include "workload/system.hpp"

#include <cstdint>
#include <string>

namespace trainmeter {

// Share in (0, 1] of the rate that an endless GEMM of this dtype would reach on `device`, whose
// tensor rate is `peak_flops` (0: no bound by memory). 1 on a CPU, where libraries pick their
// blocks to fit.
double gemm_share(const System& device, const std::string& dtype, std::int64_t m, std::int64_t n,
                  std::int64_t k, std::int64_t groups, double peak_flops);

}  // namespace trainmeter
