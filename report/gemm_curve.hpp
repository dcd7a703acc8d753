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

// What a stream reaches of the datasheet's memory bandwidth, where nothing was measured: a copy on
// an H100, 2,903 of 3,350 GB/s (micro/h100.json).
inline constexpr double kMemoryShare = 0.87;

// What the best GEMM reaches of the datasheet's peak, where nothing was measured: MAMF of six GPUs,
// bf16 and fp8, 0.71 to 0.87 (micro/).
inline constexpr double kGemmOfPeak = 0.78;

// Share in (0, 1] of the rate that an endless GEMM of this dtype would reach on `device`, whose
// tensor rate is `peak_flops` (0: no bound by memory). 1 on a CPU, where libraries pick their
// blocks to fit.
double gemm_share(const System& device, const std::string& dtype, std::int64_t m, std::int64_t n,
                  std::int64_t k, std::int64_t groups, double peak_flops);

}  // namespace trainmeter
