// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How numbers look to a reader.
#include "record/names.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <regex>
#include <stdexcept>

using namespace trainmeter;

TEST(Names, Seconds) {
  EXPECT_EQ(format_seconds(12.34e-6), "12.3 us");
  EXPECT_EQ(format_seconds(4.561e-3), "4.56 ms");
  EXPECT_EQ(format_seconds(7.894), "7.89 s");
  EXPECT_EQ(format_seconds(3.2 * 3600), "3.20 h");
  EXPECT_EQ(format_seconds(12 * 86400.0), "12.0 d");
  EXPECT_EQ(format_seconds(NAN), "n/a");
}

TEST(Names, Bytes) {
  EXPECT_EQ(format_bytes(32.0 * 1024 * 1024), "32 MiB");
  EXPECT_EQ(format_bytes(1024), "1 KiB");
  EXPECT_EQ(format_bytes(100), "100 B");
  EXPECT_EQ(format_bytes(12.34 * 1024 * 1024 * 1024), "12.3 GiB");
}

TEST(Names, Rates) {
  EXPECT_EQ(format_flops(412e9), "412 GFLOP/s");
  EXPECT_EQ(format_flops(1.358e12), "1.36 TFLOP/s");
  EXPECT_EQ(format_flops(999.9e9), "1.00 TFLOP/s");  // never "1000 GFLOP/s"
  EXPECT_EQ(format_bandwidth(43.1e9), "43.1 GB/s");
  EXPECT_EQ(format_bandwidth(3.36e12), "3.36 TB/s");
}

TEST(Names, CountsPercentAndMoney) {
  EXPECT_EQ(format_count(2788000), "2,788,000");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_hours(0.33123), "0.331");
  EXPECT_EQ(format_hours(17.26), "17.3");
  EXPECT_EQ(format_hours(999.4), "999");
  EXPECT_EQ(format_hours(999.6), "1,000");
  EXPECT_EQ(format_hours(2788000), "2,788,000");
  EXPECT_EQ(format_percent(0.3894), "38.9 %");
  EXPECT_EQ(format_percent(1.57), "157 %");
  EXPECT_EQ(format_usd(5576000), "$5,576,000");
  EXPECT_EQ(format_usd(1.5), "$1.50");
  EXPECT_EQ(format_usd(-1234), "-$1,234");
  EXPECT_EQ(format_usd(-1e30), "-$1e+30");  // no line of thirty digits
  EXPECT_EQ(format_count(1.234e99), "1.23e+99");
}

TEST(Names, Dtypes) {
  for (const std::string& name : dtype_names()) EXPECT_GT(dtype_bytes(name), 0) << name;
  EXPECT_EQ(dtype_bytes("bf16"), 2);
  EXPECT_THROW(dtype_bytes("bf32"), std::invalid_argument);
}

TEST(Names, NowIsIso8601) {
  EXPECT_TRUE(std::regex_match(utc_now(), std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")));
}
