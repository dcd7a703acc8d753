// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Conversions and an exponential that a loop over vectors can hold: no calls, no branches. Inlined,
// so that each is compiled for the widths of the function around it.
#pragma once

#include "kernels/dtype.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

#define TRAINMETER_INLINE [[gnu::always_inline]] inline

namespace trainmeter {

inline constexpr std::uint32_t kInfinityBits = 0x7f800000;

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
