// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The arithmetic of an all-reduce on a CPU: elementwise sums of several arrays.
#pragma once

#include "kernels/dtype.hpp"

#include <cstdint>
#include <span>

namespace trainmeter {

bool can_sum(DType type);  // fp64, fp32, bf16, fp16

// out[i] = in[0][i] + in[1][i] + ..., in this order; bf16 and fp16 are added in fp32 and rounded
// once. `out` may be one of `in`. `streaming` writes past the caches where the processor can.
void sum_arrays(DType type, void* out, std::span<const void* const> in, std::int64_t count,
                bool streaming);

// out = in, which don't overlap; past the caches where `streaming`.
void copy_bytes(void* out, const void* in, std::int64_t bytes, bool streaming);

}  // namespace trainmeter
