// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Names, sizes and conversions of element types.
#include "kernels/dtype.hpp"

#include "record/names.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>

namespace trainmeter {
namespace {

// Kernels and records don't know each other: this test is what keeps their names and sizes alike.
TEST(DType, AgreesWithTheRecordsNames) {
  std::size_t known = 0;
  for (const std::string& name : dtype_names()) {
    const auto type = dtype_from(name);
    ASSERT_TRUE(type.has_value()) << name;
    EXPECT_EQ(to_string(*type), name);
    EXPECT_EQ(static_cast<double>(size_of(*type)), dtype_bytes(name)) << name;
    ++known;
  }
  EXPECT_EQ(known, 8U);
  EXPECT_FALSE(dtype_from("float").has_value());
  EXPECT_FALSE(dtype_from("").has_value());
}

TEST(Bf16, EveryValueComesBack) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto narrow = static_cast<std::uint16_t>(bits);
    const float value = float_from_bf16(narrow);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(float_from_bf16(bf16_from_float(value)))) << bits;
    } else {
      EXPECT_EQ(bf16_from_float(value), narrow);
    }
  }
}

TEST(Bf16, RoundsToNearestTiesToEven) {
  EXPECT_EQ(bf16_from_float(1.0F), 0x3f80);
  EXPECT_EQ(bf16_from_float(1.0F + 0x1p-8F), 0x3f80);             // halfway: even is below
  EXPECT_EQ(bf16_from_float(1.0F + 0x1p-7F + 0x1p-8F), 0x3f82);   // halfway: even is above
  EXPECT_EQ(bf16_from_float(1.0F + 0x1p-8F + 0x1p-20F), 0x3f81);  // just above halfway
  EXPECT_EQ(bf16_from_float(-1.0F - 0x1p-8F), 0xbf80);
  EXPECT_EQ(bf16_from_float(std::numeric_limits<float>::max()), 0x7f80);  // rounds to infinity
  EXPECT_EQ(bf16_from_float(-std::numeric_limits<float>::infinity()), 0xff80);
  EXPECT_EQ(bf16_from_float(0x1p-133F), 0x0001);  // smallest subnormal
  EXPECT_EQ(bf16_from_float(-0.0F), 0x8000);
  // A NaN with nothing in its upper half doesn't turn into infinity.
  EXPECT_TRUE(std::isnan(float_from_bf16(bf16_from_float(std::bit_cast<float>(0x7f800001U)))));
}

TEST(Fp16, EveryValueComesBack) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto narrow = static_cast<std::uint16_t>(bits);
    const float value = float_from_fp16(narrow);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(float_from_fp16(fp16_from_float(value)))) << bits;
    } else {
      EXPECT_EQ(fp16_from_float(value), narrow);
    }
  }
}

TEST(Fp16, RoundsEveryMidpointToEven) {
  for (std::uint16_t bits = 0; bits < 0x7bff; ++bits) {  // between each value and the next
    const float below = float_from_fp16(bits);
    const float above = float_from_fp16(static_cast<std::uint16_t>(bits + 1));
    const float middle = below + (above - below) / 2;  // exact in fp32
    EXPECT_EQ(fp16_from_float(middle), bits % 2 == 0 ? bits : bits + 1);
    EXPECT_EQ(fp16_from_float(std::nextafter(middle, above)), bits + 1);
    EXPECT_EQ(fp16_from_float(std::nextafter(middle, below)), bits);
  }
}

TEST(Fp16, KnownValues) {
  EXPECT_EQ(float_from_fp16(0x3c00), 1.0F);
  EXPECT_EQ(float_from_fp16(0x7bff), 65504.0F);
  EXPECT_EQ(float_from_fp16(0x0001), 0x1p-24F);
  EXPECT_EQ(fp16_from_float(65519.0F), 0x7bff);
  EXPECT_EQ(fp16_from_float(65520.0F), 0x7c00);
  EXPECT_EQ(fp16_from_float(-65520.0F), 0xfc00);
  EXPECT_EQ(fp16_from_float(-0.0F), 0x8000);
  EXPECT_TRUE(std::isnan(float_from_fp16(fp16_from_float(std::bit_cast<float>(0x7f800001U)))));
}

}  // namespace
}  // namespace trainmeter
