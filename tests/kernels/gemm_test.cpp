// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The CPU's GEMMs give right results in every type, layout and odd shape, and refuse clearly.
#include "kernels/gemm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <tuple>

namespace trainmeter {
namespace {

const GemmBackend* backend_named(std::string_view name) {
  for (const GemmBackend& backend : gemm_backends()) {
    if (backend.name == name) return &backend;
  }
  return nullptr;
}

class CpuGemm : public ::testing::TestWithParam<std::tuple<const char*, DType, GemmLayout>> {};

TEST_P(CpuGemm, IsRight) {
  const auto [name, type, layout] = GetParam();
  const GemmBackend* backend = backend_named(name);
  if (backend == nullptr) GTEST_SKIP() << "skipped: built without " << name;
  const GemmProblem wanted = {.m = 1, .n = 1, .k = 1, .dtype = type, .layout = layout};
  if (const std::string reason = backend->why_not(wanted); !reason.empty()) {
    GTEST_SKIP() << "skipped: " << reason;
  }
  for (const auto& [m, n, k] : {std::tuple{1, 1, 1},
                                {1, 300, 77},
                                {300, 1, 77},
                                {3, 5, 1},
                                {129, 257, 65},
                                {256, 256, 256},
                                {1100, 1030, 1024}}) {
    const GemmProblem problem = {.m = m, .n = n, .k = k, .dtype = type, .layout = layout};
    const auto operation = backend->make(problem, {.seed = 5});
    const Check check = operation->verify();
    EXPECT_TRUE(check.ok) << m << " x " << n << " x " << k << ": " << check.error << " of "
                          << check.bound << ", " << check.how;
    operation->run(0);
    EXPECT_TRUE(operation->verify().ok);
    EXPECT_EQ(operation->stream(), nullptr);
  }
}

std::string name_of(const ::testing::TestParamInfo<CpuGemm::ParamType>& p) {
  return std::string(std::get<0>(p.param)) + "_" + std::string(to_string(std::get<1>(p.param))) +
         "_" + std::string(to_string(std::get<2>(p.param)));
}

const auto kLayouts = ::testing::Values(GemmLayout::nn, GemmLayout::nt, GemmLayout::tn);

INSTANTIATE_TEST_SUITE_P(
    OneDnn, CpuGemm,
    ::testing::Combine(::testing::Values("onednn"),
                       ::testing::Values(DType::fp32, DType::bf16, DType::int8), kLayouts),
    name_of);
INSTANTIATE_TEST_SUITE_P(OpenBlas, CpuGemm,
                         ::testing::Combine(::testing::Values("openblas"),
                                            ::testing::Values(DType::fp32, DType::fp64), kLayouts),
                         name_of);

TEST(CpuGemm, GroupsAreProductsOfTheirOwn) {
  for (const GemmBackend& backend : gemm_backends()) {
    if (backend.device != DeviceKind::cpu) continue;
    for (const GemmLayout layout : {GemmLayout::nn, GemmLayout::nt, GemmLayout::tn}) {
      for (const auto& [m, n, k, groups] :
           {std::tuple{1, 1, 1, 3}, {33, 65, 17, 5}, {512, 640, 768, 6}}) {
        const GemmProblem problem = {
            .m = m, .n = n, .k = k, .dtype = DType::fp32, .layout = layout, .groups = groups};
        const auto operation = backend.make(problem, {.seed = 5});
        const Check check = operation->verify();
        EXPECT_TRUE(check.ok) << backend.name << " " << groups << " x " << m << " x " << n << " x "
                              << k << ": " << check.error << " of " << check.bound << ", "
                              << check.how;
      }
    }
  }
}

TEST(CpuGemmRefuses, WhatTheLibraryLacks) {
  const GemmProblem problem = {.m = 8, .n = 8, .k = 8, .dtype = DType::fp16};
  for (const GemmBackend& backend : gemm_backends()) {
    if (backend.device != DeviceKind::cpu) continue;
    EXPECT_THAT(backend.why_not(problem), ::testing::HasSubstr("not fp16"));
    EXPECT_THROW(backend.make(problem, {}), Unavailable);
  }
}

TEST(CpuGemmRefuses, SizesBelowOne) {
  for (const GemmBackend& backend : gemm_backends()) {
    if (backend.device != DeviceKind::cpu) continue;
    EXPECT_THROW(backend.make({.m = 0, .n = 8, .k = 8}, {}), std::invalid_argument);
    EXPECT_THROW(backend.make({.m = 8, .n = -1, .k = 8}, {}), std::invalid_argument);
    EXPECT_THROW(backend.make({.m = 8, .n = 8, .k = 0}, {}), std::invalid_argument);
    EXPECT_THROW(backend.make({.m = 8, .n = 8, .k = 8, .groups = 0}, {}), std::invalid_argument);
  }
}

TEST(CpuGemmRefuses, WhatMemoryCannotHold) {
  const std::int64_t million = 1'000'000;
  for (const GemmBackend& backend : gemm_backends()) {
    if (backend.device != DeviceKind::cpu) continue;
    for (const std::int64_t side : {10 * million, 2'000 * million, std::int64_t{1} << 62}) {
      try {
        backend.make({.m = side, .n = side, .k = side}, {});
        ADD_FAILURE() << backend.name << " took a side of " << side;
      } catch (const Unavailable& error) {
        EXPECT_THAT(error.what(), ::testing::AnyOf(::testing::MatchesRegex("needs .* is free"),
                                                   ::testing::HasSubstr("32-bit")));
      }
    }
  }
}

TEST(CpuGemm, RotatesOverAsManySetsAsAsked) {
  const auto* backend = backend_named("openblas");
  const GemmProblem problem = {.m = 64, .n = 64, .k = 64};  // 48 KiB a set
  const auto operation = backend->make(problem, {.rotate_bytes = 200 << 10});
  EXPECT_EQ(operation->sets(), 5);
  for (int set = 0; set < operation->sets(); ++set) operation->run(set);
  EXPECT_THROW(operation->run(5), std::out_of_range);
  EXPECT_EQ(backend->make(problem, {})->sets(), 1);
}

}  // namespace
}  // namespace trainmeter
