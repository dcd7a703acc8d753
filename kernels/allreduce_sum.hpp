// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The arithmetic of an all-reduce on a CPU: elementwise sums of several arrays.
#pragma once

#include "kernels/dtype.hpp"

#include <cstdint>
#include <span>

namespace trainmeter {

bool can_sum(DType type);  // fp64, fp32, bf16, fp16

// How a result is written.
struct Stores {
  bool past_caches = false;  // where the processor can
  // What the caller reads next: brought into the caches meanwhile, a line for each line that is
  // written past them, since memory reads and writes at the same time.
  std::span<const char> next = {};
};

// out[i] = in[0][i] + in[1][i] + ..., in this order; bf16 and fp16 are added in fp32 and rounded
// once. `out` may be one of `in`.
void sum_arrays(DType type, void* out, std::span<const void* const> in, std::int64_t count,
                const Stores& stores = {});

// out = in, which don't overlap.
void copy_bytes(void* out, const void* in, std::int64_t bytes, const Stores& stores = {});

}  // namespace trainmeter
