// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ordinary loads and stores. This file is compiled with -fno-tree-loop-distribute-patterns
// (CMakeLists.txt): else the compiler turns copy into memcpy and write into memset, which choose
// non-temporal stores by themselves for large arrays.
#include "kernels/memory_loops.hpp"

#include "kernels/target_clones.hpp"

namespace trainmeter {
namespace {

// 64 bytes, one line: the compiler splits it where registers are narrower.
using Doubles = double __attribute__((vector_size(64), may_alias));
using Floats = float __attribute__((vector_size(64), may_alias));

TRAINMETER_TARGET_CLONES
void copy(void* a, const void* b, std::int64_t bytes) {
  auto* out = static_cast<Doubles*>(a);
  const auto* in = static_cast<const Doubles*>(b);
  const std::int64_t lines = bytes / 64;
  for (std::int64_t i = 0; i < lines; i += 4) {
    out[i] = in[i];
    out[i + 1] = in[i + 1];
    out[i + 2] = in[i + 2];
    out[i + 3] = in[i + 3];
  }
}

TRAINMETER_TARGET_CLONES
void write(void* a, const void* pattern, std::int64_t bytes) {
  auto* out = static_cast<Doubles*>(a);
  const Doubles value = *static_cast<const Doubles*>(pattern);
  const std::int64_t lines = bytes / 64;
  for (std::int64_t i = 0; i < lines; i += 4) {
    out[i] = value;
    out[i + 1] = value;
    out[i + 2] = value;
    out[i + 3] = value;
  }
}

TRAINMETER_TARGET_CLONES
void triad_fp64(double* a, const double* b, const double* c, double s, std::int64_t count) {
  auto* out = reinterpret_cast<Doubles*>(a);
  const auto* left = reinterpret_cast<const Doubles*>(b);
  const auto* right = reinterpret_cast<const Doubles*>(c);
  const std::int64_t lines = count / 8;
  for (std::int64_t i = 0; i < lines; ++i) out[i] = left[i] + s * right[i];
}

TRAINMETER_TARGET_CLONES
void triad_fp32(float* a, const float* b, const float* c, float s, std::int64_t count) {
  auto* out = reinterpret_cast<Floats*>(a);
  const auto* left = reinterpret_cast<const Floats*>(b);
  const auto* right = reinterpret_cast<const Floats*>(c);
  const std::int64_t lines = count / 16;
  for (std::int64_t i = 0; i < lines; ++i) out[i] = left[i] + s * right[i];
}

}  // namespace

MemoryLoops plain_loops() {
  return {copy, write, triad_fp64, triad_fp32};
}

TRAINMETER_TARGET_CLONES
double sum_of(const double* a, std::int64_t count) {
  const auto* in = reinterpret_cast<const Doubles*>(a);
  Doubles s0{};
  Doubles s1{};
  Doubles s2{};
  Doubles s3{};
  for (std::int64_t i = 0; i < count / 8; i += 4) {
    s0 += in[i];
    s1 += in[i + 1];
    s2 += in[i + 2];
    s3 += in[i + 3];
  }
  const Doubles all = (s0 + s1) + (s2 + s3);
  double sum = 0;
  for (int lane = 0; lane < 8; ++lane) sum += all[lane];
  return sum;
}

TRAINMETER_TARGET_CLONES
double sum_of(const float* a, std::int64_t count) {
  const auto* in = reinterpret_cast<const Floats*>(a);
  Floats s0{};
  Floats s1{};
  Floats s2{};
  Floats s3{};
  for (std::int64_t i = 0; i < count / 16; i += 4) {
    s0 += in[i];
    s1 += in[i + 1];
    s2 += in[i + 2];
    s3 += in[i + 3];
  }
  const Floats all = (s0 + s1) + (s2 + s3);
  double sum = 0;
  for (int lane = 0; lane < 16; ++lane) sum += static_cast<double>(all[lane]);
  return sum;
}

}  // namespace trainmeter
