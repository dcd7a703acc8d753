// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Hopper's fp8 arithmetic on the CPU: how a tensor core adds, and what promotion to fp32 saves.
#pragma once

#include <cstdint>
#include <span>

namespace trainmeter {

// Bits behind the leading one that a term keeps. As DeepSeek-V3's report has it (3.5.2): products
// are aligned to the largest exponent and all but 14 bits are cut off. Not confirmed on a GPU.
inline constexpr int kFp8FractionBits = 13;

// before + the sum of the products, as one wgmma of depth 32 leaves it: each term is aligned to the
// largest of them and cut off, toward zero, after kFp8FractionBits; what is left is added exactly.
float fp8_sum(float before, std::span<const float> products);

// The dot product of two rows of e4m3 in steps of 32; every `promote_every` elements of k (a
// multiple of 32) the partial sum moves to one in fp32. 0: never.
float fp8_dot(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b,
              std::int64_t promote_every);

}  // namespace trainmeter
