// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Scales of fp8 that are powers of two, for the CPU's and the GPU's casts.
#pragma once

#include "kernels/dtype.hpp"
#include "kernels/host_device.hpp"

#include <bit>
#include <cstdint>

namespace trainmeter {

inline constexpr std::uint32_t kInfinityBits = 0x7f800000;  // in fp32
inline constexpr int kFp8MaxBits = std::bit_cast<int>(kFp8Max);
inline constexpr int kLeastScaleExponent =
    static_cast<int>(std::bit_cast<std::uint32_t>(kLeastScale) >> 23) - 127;

// The least n for which a block whose largest size has these bits, of a finite number above 0, is
// at most kFp8Max 2^n, and 2^n a normal number: floats as bits go up by 2^23 with each doubling.
TRAINMETER_BOTH int power_scale_exponent(std::uint32_t amax_bits) {
  const int n = (static_cast<int>(amax_bits) - kFp8MaxBits + 0x7fffff) >> 23;
  return n < kLeastScaleExponent ? kLeastScaleExponent : n;
}

}  // namespace trainmeter
