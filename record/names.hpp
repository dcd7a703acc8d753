// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The words a record may use, and how numbers are shown to people.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

const std::vector<std::string>& dtype_names();  // fp64 fp32 tf32 fp16 bf16 fp8 fp8_e5m2 int8

// The memory-bound kernels of a training step, as `operation`: rmsnorm swiglu rope cast_fp8
// cast_fp8_transpose cast_fp8_block recast_fp8 permute residual_add layernorm gelu cross_entropy
// adamw, and their gradients.
const std::vector<std::string>& step_kernel_names();
// Between ranks, as `operation`: allreduce allgather reducescatter broadcast reduce alltoall
// alltoallv sendrecv, and those of a mixture of experts, dispatch and combine.
const std::vector<std::string>& collective_names();
// What training software does beside GEMMs, a kernel an operation (eager) or fused by a compiler,
// forward and backward of one together, each at the speed of that software
// (scripts/validate_step.py measures PyTorch's).
const std::vector<std::string>& eager_operation_names();
// All operations that records hold, in the order of a report.
const std::vector<std::string>& operation_names();

// Why a device's clock was held back: NVML's reasons, and a CPU's quota and heat.
const std::vector<std::string>& throttle_reason_names();

double dtype_bytes(std::string_view dtype);  // in memory; std::invalid_argument for an unknown one

std::string format_seconds(double seconds);        // 12.3 us, 4.56 ms, 7.89 s, 3.2 h, 12 d
std::string format_bytes(double bytes);            // binary, for sizes: 32 MiB
std::string format_flops(double flops_per_s);      // decimal, for rates: 412 GFLOP/s, 1.36 TFLOP/s
std::string format_bandwidth(double bytes_per_s);  // decimal: 43.1 GB/s
std::string format_count(double count);            // 2,788,000
std::string format_hours(double hours);            // the same, three digits below 1000: 0.331
std::string format_percent(double fraction);       // 38.9 %
std::string format_usd(double usd);                // $5,576,000; cents below 100

std::string utc_now();  // 2026-11-24T10:15:00Z

}  // namespace trainmeter
