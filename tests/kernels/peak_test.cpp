// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The register loops count what they do.
#include "kernels/peak.hpp"

#include "kernels/machine.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace trainmeter {
namespace {

class Peak : public ::testing::TestWithParam<DType> {};

TEST_P(Peak, DoesEveryMultiplyAdd) {
  const PeakProblem problem = {.dtype = GetParam()};
  if (const std::string reason = why_no_peak(problem); !reason.empty()) {
    EXPECT_THROW(make_peak(problem), Unavailable);
    GTEST_SKIP() << "skipped: " << reason;
  }
  // Around the fold of the accumulators, every 65,536 iterations.
  for (const std::int64_t iterations : {1, 1000, 65'536, 65'537, 200'000}) {
    const auto operation = make_peak({.dtype = GetParam(), .iterations = iterations});
    const Check check = operation->verify();
    EXPECT_TRUE(check.ok) << iterations << ": " << check.error << ", " << check.how;
    EXPECT_EQ(operation->sets(), 1);
  }
}

TEST_P(Peak, FlopsGrowWithIterationsAndCores) {
  const PeakProblem one = {.dtype = GetParam(), .iterations = 1};
  if (!why_no_peak(one).empty()) GTEST_SKIP() << "skipped: " << why_no_peak(one);
  const double flops = peak_flops_of_one_run(one);
  EXPECT_GT(flops, 0);
  EXPECT_EQ(peak_flops_of_one_run({.dtype = GetParam(), .iterations = 1000}), 1000 * flops);
  EXPECT_EQ(flops / cpu_info().cores,
            static_cast<double>(static_cast<std::int64_t>(flops / cpu_info().cores)));
}

INSTANTIATE_TEST_SUITE_P(All, Peak,
                         ::testing::Values(DType::fp64, DType::fp32, DType::bf16, DType::int8),
                         [](const auto& p) { return std::string(to_string(p.param)); });

TEST(PeakRefuses, WhatItCannotDo) {
  EXPECT_NE(why_no_peak({.dtype = DType::fp8}), "");
  EXPECT_THROW(make_peak({.dtype = DType::fp8}), Unavailable);
  EXPECT_THROW(make_peak({.dtype = DType::fp32, .iterations = 0}), std::invalid_argument);
  EXPECT_THROW(make_peak({.dtype = DType::fp32, .iterations = -1}), std::invalid_argument);
}

}  // namespace
}  // namespace trainmeter
