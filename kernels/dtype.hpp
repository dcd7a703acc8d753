// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Element types and host conversions to and from them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace trainmeter {

enum class DType { fp64, fp32, tf32, fp16, bf16, fp8, fp8_e5m2, int8 };

std::string_view to_string(DType type);
std::optional<DType> dtype_from(std::string_view name);
std::int64_t size_of(DType type);  // bytes in memory; tf32 is stored as fp32

using Bf16 = std::uint16_t;  // the bits of one

// Round to nearest, ties to even.
std::uint16_t bf16_from_float(float value);
float float_from_bf16(std::uint16_t bits);
std::uint16_t fp16_from_float(float value);
float float_from_fp16(std::uint16_t bits);

// e4m3: no infinity, so sizes above kFp8Max become kFp8Max, and what isn't finite becomes NaN.
inline constexpr float kFp8Max = 448;
inline constexpr float kLeastScale = 0x1p-126F;  // of a block's scale, so that 1 / scale is finite
std::uint8_t fp8_from_float(float value);
float float_from_fp8(std::uint8_t bits);

}  // namespace trainmeter
