// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Non-temporal stores of x86: the line goes to memory without being read first. Each loop exists
// for SSE2, AVX2 and AVX-512; the widest that the processor has is taken. A fence ends each loop,
// since these stores are weakly ordered.
#include "kernels/memory_loops.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace trainmeter {

#if defined(__x86_64__)
namespace {

#define TRAINMETER_AVX2 __attribute__((target("avx2")))
#define TRAINMETER_AVX512 __attribute__((target("avx512f")))

void copy_sse2(void* a, const void* b, std::int64_t bytes) {
  auto* out = static_cast<__m128i*>(a);
  const auto* in = static_cast<const __m128i*>(b);
  for (std::int64_t i = 0; i < bytes / 16; ++i) _mm_stream_si128(out + i, _mm_load_si128(in + i));
  _mm_sfence();
}

void write_sse2(void* a, const void* pattern, std::int64_t bytes) {
  auto* out = static_cast<__m128i*>(a);
  const auto* value = static_cast<const __m128i*>(pattern);
  for (std::int64_t i = 0; i < bytes / 16; ++i) _mm_stream_si128(out + i, value[i % 4]);
  _mm_sfence();
}

void triad_fp64_sse2(double* a, const double* b, const double* c, double s, std::int64_t count) {
  const __m128d factor = _mm_set1_pd(s);
  for (std::int64_t i = 0; i < count; i += 2) {
    _mm_stream_pd(a + i, _mm_add_pd(_mm_load_pd(b + i), _mm_mul_pd(factor, _mm_load_pd(c + i))));
  }
  _mm_sfence();
}

void triad_fp32_sse2(float* a, const float* b, const float* c, float s, std::int64_t count) {
  const __m128 factor = _mm_set1_ps(s);
  for (std::int64_t i = 0; i < count; i += 4) {
    _mm_stream_ps(a + i, _mm_add_ps(_mm_load_ps(b + i), _mm_mul_ps(factor, _mm_load_ps(c + i))));
  }
  _mm_sfence();
}

TRAINMETER_AVX2 void copy_avx2(void* a, const void* b, std::int64_t bytes) {
  auto* out = static_cast<__m256i*>(a);
  const auto* in = static_cast<const __m256i*>(b);
  for (std::int64_t i = 0; i < bytes / 32; i += 2) {
    _mm256_stream_si256(out + i, _mm256_load_si256(in + i));
    _mm256_stream_si256(out + i + 1, _mm256_load_si256(in + i + 1));
  }
  _mm_sfence();
}

TRAINMETER_AVX2 void write_avx2(void* a, const void* pattern, std::int64_t bytes) {
  auto* out = static_cast<__m256i*>(a);
  const __m256i low = _mm256_load_si256(static_cast<const __m256i*>(pattern));
  const __m256i high = _mm256_load_si256(static_cast<const __m256i*>(pattern) + 1);
  for (std::int64_t i = 0; i < bytes / 32; i += 2) {
    _mm256_stream_si256(out + i, low);
    _mm256_stream_si256(out + i + 1, high);
  }
  _mm_sfence();
}

TRAINMETER_AVX2 void triad_fp64_avx2(double* a, const double* b, const double* c, double s,
                                     std::int64_t count) {
  const __m256d factor = _mm256_set1_pd(s);
  for (std::int64_t i = 0; i < count; i += 4) {
    _mm256_stream_pd(
        a + i, _mm256_add_pd(_mm256_load_pd(b + i), _mm256_mul_pd(factor, _mm256_load_pd(c + i))));
  }
  _mm_sfence();
}

TRAINMETER_AVX2 void triad_fp32_avx2(float* a, const float* b, const float* c, float s,
                                     std::int64_t count) {
  const __m256 factor = _mm256_set1_ps(s);
  for (std::int64_t i = 0; i < count; i += 8) {
    _mm256_stream_ps(
        a + i, _mm256_add_ps(_mm256_load_ps(b + i), _mm256_mul_ps(factor, _mm256_load_ps(c + i))));
  }
  _mm_sfence();
}

TRAINMETER_AVX512 void copy_avx512(void* a, const void* b, std::int64_t bytes) {
  auto* out = static_cast<__m512i*>(a);
  const auto* in = static_cast<const __m512i*>(b);
  for (std::int64_t i = 0; i < bytes / 64; ++i) {
    _mm512_stream_si512(out + i, _mm512_load_si512(in + i));
  }
  _mm_sfence();
}

TRAINMETER_AVX512 void write_avx512(void* a, const void* pattern, std::int64_t bytes) {
  auto* out = static_cast<__m512i*>(a);
  const __m512i value = _mm512_load_si512(pattern);
  for (std::int64_t i = 0; i < bytes / 64; ++i) _mm512_stream_si512(out + i, value);
  _mm_sfence();
}

TRAINMETER_AVX512 void triad_fp64_avx512(double* a, const double* b, const double* c, double s,
                                         std::int64_t count) {
  const __m512d factor = _mm512_set1_pd(s);
  for (std::int64_t i = 0; i < count; i += 8) {
    _mm512_stream_pd(a + i, _mm512_fmadd_pd(factor, _mm512_load_pd(c + i), _mm512_load_pd(b + i)));
  }
  _mm_sfence();
}

TRAINMETER_AVX512 void triad_fp32_avx512(float* a, const float* b, const float* c, float s,
                                         std::int64_t count) {
  const __m512 factor = _mm512_set1_ps(s);
  for (std::int64_t i = 0; i < count; i += 16) {
    _mm512_stream_ps(a + i, _mm512_fmadd_ps(factor, _mm512_load_ps(c + i), _mm512_load_ps(b + i)));
  }
  _mm_sfence();
}

}  // namespace

MemoryLoops non_temporal_loops() {
  if (__builtin_cpu_supports("avx512f")) {
    return {copy_avx512, write_avx512, triad_fp64_avx512, triad_fp32_avx512};
  }
  if (__builtin_cpu_supports("avx2")) {
    return {copy_avx2, write_avx2, triad_fp64_avx2, triad_fp32_avx2};
  }
  return {copy_sse2, write_sse2, triad_fp64_sse2, triad_fp32_sse2};
}

#else

MemoryLoops non_temporal_loops() {
  return {nullptr, nullptr, nullptr, nullptr};
}

#endif

}  // namespace trainmeter
