// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Conversions and an exponential that a loop over vectors can hold: no calls, no branches. Inlined,
// so that each is compiled for the widths of the function around it.
#pragma once

#include "kernels/dtype.hpp"
#include "kernels/power_scale.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#define TRAINMETER_INLINE [[gnu::always_inline]] inline

namespace trainmeter {

TRAINMETER_INLINE std::uint32_t bits_of(float x) {
  return std::bit_cast<std::uint32_t>(x);
}

TRAINMETER_INLINE float to_float(float x) {
  return x;
}

TRAINMETER_INLINE float to_float(Bf16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
}

TRAINMETER_INLINE void store(float& to, float x) {
  to = x;
}

// As bf16_from_float() does it.
TRAINMETER_INLINE void store(Bf16& to, float x) {
  const std::uint32_t bits = bits_of(x);
  const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const std::uint32_t nan = (bits >> 16) | 0x40U;
  to = static_cast<Bf16>((bits & 0x7fffffffU) > kInfinityBits ? nan : rounded);
}

// To e4m3: round to nearest, ties to even, sizes above kFp8Max become kFp8Max. Not for NaN.
TRAINMETER_INLINE std::uint8_t e4m3_of(float x) {
  const std::uint32_t sign = (bits_of(x) >> 24) & 0x80U;
  const float size = std::bit_cast<float>(bits_of(x) & 0x7fffffffU);
  const float limited = size < kFp8Max ? size : kFp8Max;
  const std::uint32_t bits = bits_of(limited);
  // Below 2^-6 the steps are 2^-9, as fp32's are from 2^14 on: the addition rounds.
  const std::uint32_t small = bits_of(limited + 0x1p14F) - bits_of(0x1p14F);
  const std::uint32_t large = ((bits + 0x7ffffU + ((bits >> 20) & 1U)) >> 20) - (120U << 3);
  return static_cast<std::uint8_t>(sign | (limited < 0x1p-6F ? small : large));
}

// Of a block whose largest size has these bits: amax becomes kFp8Max; NaN where it isn't finite.
struct Fp8Scale {
  float scale, inverse;
};

// Sizes as bits are ordered as the sizes are, with infinity and NaN on top, which a maximum of
// floats might drop.
TRAINMETER_INLINE Fp8Scale scale_of(std::uint32_t amax_bits) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  if (amax_bits >= kInfinityBits) return {kNaN, kNaN};
  if (amax_bits == 0) return {1, 1};
  const float scale = std::max(std::bit_cast<float>(amax_bits) / kFp8Max, kLeastScale);
  return {scale, 1 / scale};
}

// The same with the least power of two that is amax / kFp8Max or more.
TRAINMETER_INLINE Fp8Scale power_scale_of(std::uint32_t amax_bits) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  if (amax_bits >= kInfinityBits) return {kNaN, kNaN};
  if (amax_bits == 0) return {1, 1};
  const auto bits = static_cast<std::uint32_t>(power_scale_exponent(amax_bits) + 127) << 23;
  return {std::bit_cast<float>(bits), std::bit_cast<float>((254U << 23) - bits)};
}

// As float_from_fp8() does it.
TRAINMETER_INLINE float from_e4m3(std::uint8_t q) {
  const std::uint32_t size = q & 0x7fU;
  const std::uint32_t normal = (size << 20) + (120U << 23);
  const std::uint32_t small = bits_of(static_cast<float>(static_cast<int>(size)) * 0x1p-9F);
  const std::uint32_t finite = size < 8 ? small : normal;
  const std::uint32_t bits = size == 0x7f ? 0x7fc00000U : finite;
  return std::bit_cast<float>(bits | (q & 0x80U) << 24);
}

// exp(x) to 3 units in the last place, for |x| <= 87, beyond that as at 87: 2^k e^r with |r| <=
// log(2) / 2 and Taylor's polynomial, whose next term is below 6e-9. Adding 1.5 x 2^23 rounds to a
// whole k. x is limited as an integer: of a selection between floats the compiler makes two ways,
// and for the constant one a division that vectors then do, slowly, with subnormal results.
TRAINMETER_INLINE float exp_of(float x) {
  constexpr float kRound = 12582912;
  const std::uint32_t size = bits_of(x) & 0x7fffffffU;
  const std::uint32_t capped = std::min(size, bits_of(87.0F));
  const std::uint32_t kept = size > kInfinityBits ? size : capped;  // NaN stays
  const float limited = std::bit_cast<float>(kept | (bits_of(x) & 0x80000000U));
  const float rounded = limited * 1.44269504F + kRound;
  const float k = rounded - kRound;
  const float r = limited - k * 0.693359375F - k * -2.12194440e-4F;  // log(2) in two parts
  float sum = 1.0F / 5040;
  sum = sum * r + 1.0F / 720;
  sum = sum * r + 1.0F / 120;
  sum = sum * r + 1.0F / 24;
  sum = sum * r + 1.0F / 6;
  sum = sum * r + 0.5F;
  sum = sum * r + 1;
  sum = sum * r + 1;
  return sum * std::bit_cast<float>((bits_of(rounded) - bits_of(kRound) + 127U) << 23);
}

}  // namespace trainmeter
