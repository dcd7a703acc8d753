// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Plain loops over short blocks that stay in the first cache, for the compiler to vectorise.
#include "kernels/allreduce_sum.hpp"

#include "kernels/target_clones.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <stdexcept>
#include <string>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define TRAINMETER_INLINE [[gnu::always_inline]] inline

namespace trainmeter {
namespace {

constexpr std::int64_t kBlock = 256;  // elements
constexpr std::int64_t kLine = 64;    // bytes

struct Bf16 {
  std::uint16_t bits;
};
struct Fp16 {
  std::uint16_t bits;
};

TRAINMETER_INLINE double wide(double x) {
  return x;
}
TRAINMETER_INLINE float wide(float x) {
  return x;
}
TRAINMETER_INLINE float wide(Bf16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}
// The exponent is moved by multiplying, which is right for subnormals too; infinity and NaN get
// fp32's exponent.
TRAINMETER_INLINE float wide(Fp16 x) {
  const std::uint32_t size = x.bits & 0x7fffU;
  const auto finite = std::bit_cast<std::uint32_t>(std::bit_cast<float>(size << 13) * 0x1p112F);
  const std::uint32_t bits = size >= 0x7c00U ? (size << 13) | 0x7f800000U : finite;
  return std::bit_cast<float>(bits | (static_cast<std::uint32_t>(x.bits & 0x8000U) << 16));
}

TRAINMETER_INLINE void narrow(double& to, double x) {
  to = x;
}
TRAINMETER_INLINE void narrow(float& to, float x) {
  to = x;
}
// As bf16_from_float() does it.
TRAINMETER_INLINE void narrow(Bf16& to, float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const std::uint32_t nan = (bits >> 16) | 0x40U;
  to.bits = static_cast<std::uint16_t>((bits & 0x7fffffffU) > 0x7f800000U ? nan : rounded);
}
// As fp16_from_float() does it. Below 2^-14 the steps are 2^-24, as fp32's are from 1/2 on: the
// addition rounds. From 65520 on it is infinity.
TRAINMETER_INLINE void narrow(Fp16& to, float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t size = bits & 0x7fffffffU;
  const std::uint32_t normal = (size - (112U << 23) + 0xfffU + ((size >> 13) & 1U)) >> 13;
  const std::uint32_t small =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(size) + 0.5F) - 0x3f000000U;
  const std::uint32_t finite = size < 0x38800000U ? small : normal;
  const std::uint32_t nan = 0x7e00U | ((size >> 13) & 0x3ffU);
  const std::uint32_t limited = size >= 0x477ff000U ? 0x7c00U : finite;
  to.bits = static_cast<std::uint16_t>((size > 0x7f800000U ? nan : limited) | (bits >> 31 << 15));
}

bool whole_lines(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) % kLine == 0;
}

#if defined(__x86_64__)
bool can_stream(const void* out) {
  return whole_lines(out);
}

// A load from `next` for each line written: a load, not a prefetch, since it starts the processor's
// own prefetching, too. 16 bytes at a time, which every x86-64 has, are joined to lines by the
// processor; whole lines at once are a tenth faster.
void stream_by_16(char* out, const char* in, std::int64_t bytes, const char* next) {
  for (std::int64_t i = 0; i < bytes; i += 16) {
    if (i % kLine == 0) (void)*static_cast<const volatile char*>(next + i);
    _mm_stream_si128(reinterpret_cast<__m128i*>(out + i),
                     _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i)));
  }
}

__attribute__((target("avx512f"))) void stream_by_64(char* out, const char* in, std::int64_t bytes,
                                                     const char* next) {
  for (std::int64_t i = 0; i < bytes; i += kLine) {
    (void)*static_cast<const volatile char*>(next + i);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(out + i), _mm512_loadu_si512(in + i));
  }
}

// `next` is as long as `in`; it may be `in`.
void stream_lines(char* out, const char* in, std::int64_t bytes, const char* next) {
  static const bool kWide = __builtin_cpu_supports("avx512f") != 0;
  kWide ? stream_by_64(out, in, bytes, next) : stream_by_16(out, in, bytes, next);
}

void end_of_stream() {
  _mm_sfence();
}
#else
bool can_stream(const void* /*out*/) {
  return false;
}
void stream_lines(char* /*out*/, const char* /*in*/, std::int64_t /*bytes*/, const char* /*next*/) {
}
void end_of_stream() {}
#endif

// At most kBlock elements.
template <class T>
TRAINMETER_INLINE void sum_block(T* out, const void* const* in, std::size_t arrays,
                                 std::int64_t first, std::int64_t count) {
  using Wide = decltype(wide(T{}));
  const T* const a = static_cast<const T*>(in[0]) + first;
  const T* const b = static_cast<const T*>(in[1]) + first;
  if (arrays == 2) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) narrow(out[i], wide(a[i]) + wide(b[i]));
    return;
  }
  alignas(kLine) std::array<Wide, kBlock> sum;
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) sum[i] = wide(a[i]) + wide(b[i]);
  for (std::size_t k = 2; k < arrays; ++k) {
    const T* const c = static_cast<const T*>(in[k]) + first;
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) sum[i] += wide(c[i]);
  }
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) narrow(out[i], sum[i]);
}

template <class T>
TRAINMETER_INLINE void sum_of(T* out, const void* const* in, std::size_t arrays, std::int64_t count,
                              const Stores& stores) {
  constexpr std::int64_t kElementsOfLine = kLine / static_cast<std::int64_t>(sizeof(T));
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(T));
  alignas(kLine) std::array<T, kBlock> block;
  std::int64_t first = 0;
  if (stores.past_caches) {
    for (const std::int64_t whole = count / kElementsOfLine * kElementsOfLine; first < whole;) {
      const std::int64_t here = std::min(kBlock, whole - first);
      sum_block(block.data(), in, arrays, first, here);
      const auto* const sums = reinterpret_cast<const char*>(block.data());
      const bool more = (first + here) * kSize <= std::ssize(stores.next);
      stream_lines(reinterpret_cast<char*>(out + first), sums, here * kSize,
                   more ? stores.next.data() + first * kSize : sums);
      first += here;
    }
  }
  for (; first < count; first += kBlock) {
    sum_block(out + first, in, arrays, first, std::min(kBlock, count - first));
  }
}

TRAINMETER_TARGET_CLONES void sum_fp64(void* out, const void* const* in, std::size_t arrays,
                                       std::int64_t count, const Stores& stores) {
  sum_of(static_cast<double*>(out), in, arrays, count, stores);
}
TRAINMETER_TARGET_CLONES void sum_fp32(void* out, const void* const* in, std::size_t arrays,
                                       std::int64_t count, const Stores& stores) {
  sum_of(static_cast<float*>(out), in, arrays, count, stores);
}
TRAINMETER_TARGET_CLONES void sum_bf16(void* out, const void* const* in, std::size_t arrays,
                                       std::int64_t count, const Stores& stores) {
  sum_of(static_cast<Bf16*>(out), in, arrays, count, stores);
}
TRAINMETER_TARGET_CLONES void sum_fp16(void* out, const void* const* in, std::size_t arrays,
                                       std::int64_t count, const Stores& stores) {
  sum_of(static_cast<Fp16*>(out), in, arrays, count, stores);
}

// Not memcpy, which above some KiB moves strings by microcode (glibc): a plain loop was faster at
// writing lines that another core has read.
TRAINMETER_TARGET_CLONES void copy_lines(char* out, const char* in, std::int64_t bytes) {
#pragma omp simd
  for (std::int64_t i = 0; i < bytes; ++i) out[i] = in[i];
}

}  // namespace

bool can_sum(DType type) {
  return type == DType::fp64 || type == DType::fp32 || type == DType::bf16 || type == DType::fp16;
}

void sum_arrays(DType type, void* out, std::span<const void* const> in, std::int64_t count,
                const Stores& stores) {
  Stores can = stores;
  can.past_caches = stores.past_caches && can_stream(out);
  if (in.size() == 1) {
    copy_bytes(out, in[0], count * size_of(type), stores);
  } else if (type == DType::fp64) {
    sum_fp64(out, in.data(), in.size(), count, can);
  } else if (type == DType::fp32) {
    sum_fp32(out, in.data(), in.size(), count, can);
  } else if (type == DType::bf16) {
    sum_bf16(out, in.data(), in.size(), count, can);
  } else if (type == DType::fp16) {
    sum_fp16(out, in.data(), in.size(), count, can);
  } else {
    throw std::invalid_argument("no sums in " + std::string(to_string(type)));
  }
  if (can.past_caches) end_of_stream();
}

void copy_bytes(void* out, const void* in, std::int64_t bytes, const Stores& stores) {
  auto* const to = static_cast<char*>(out);
  const auto* const from = static_cast<const char*>(in);
  std::int64_t streamed = 0;
  if (stores.past_caches && can_stream(out)) {
    streamed = bytes / kLine * kLine;
    stream_lines(to, from, streamed,
                 streamed <= std::ssize(stores.next) ? stores.next.data() : from);
    end_of_stream();
  }
  copy_lines(to + streamed, from + streamed, bytes - streamed);
}

}  // namespace trainmeter
