// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The inner loops of the memory kernels, each over one thread's part of the arrays. Addresses and
// lengths are multiples of 4096 bytes.
#pragma once

#include <cstdint>

namespace trainmeter {

// copy and write move bytes, whatever their type.
struct MemoryLoops {
  void (*copy)(void* a, const void* b, std::int64_t bytes);
  void (*write)(void* a, const void* pattern, std::int64_t bytes);  // pattern: 64 bytes
  void (*triad_fp64)(double* a, const double* b, const double* c, double s, std::int64_t count);
  void (*triad_fp32)(float* a, const float* b, const float* c, float s, std::int64_t count);
};

MemoryLoops plain_loops();         // ordinary stores
MemoryLoops non_temporal_loops();  // stores past the caches; all null where the processor has none

// Sums with several accumulators, so that the latency of an addition doesn't limit the rate.
double sum_of(const double* a, std::int64_t count);
double sum_of(const float* a, std::int64_t count);

}  // namespace trainmeter
