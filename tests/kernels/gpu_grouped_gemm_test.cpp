// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMMs of groups on the GPU: ours in each tile, the reference's and cuBLASLt's calls.
#include "kernels/gemm_grouped.hpp"

#include "each_tile.hpp"
#include "needs_gpu.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

using namespace trainmeter;

namespace {

const GroupedGemmBackend& grouped(std::string_view name) {
  return *std::ranges::find(grouped_gemm_backends(), name, &GroupedGemmBackend::name);
}

// Groups that are no multiple of anything, an empty one, and skew: one that is most of all, too.
// check(problem, what it is) for each type and pass.
template <class F>
void with_each_problem(const GemmProblem& sizes, int groups, F check) {
  for (const DType dtype : {DType::bf16, DType::fp8}) {
    for (const bool accumulate : {false, true}) {
      for (const Skew skew : {Skew::balanced, Skew::zipf, Skew::hot}) {
        GroupedGemmProblem problem;
        problem.all = sizes;
        problem.all.dtype = dtype;
        problem.all.layout = GemmLayout::nt;
        if (dtype == DType::fp8) problem.all.scaling = Scaling::block128;
        if (dtype == DType::bf16 && accumulate) problem.all.layout = GemmLayout::tn;
        problem.all.accumulate = accumulate;
        problem.sizes = group_sizes(accumulate ? sizes.k : sizes.m, groups, skew);
        problem.sizes[3] += std::exchange(problem.sizes[7], 0);
        check(problem, std::string(to_string(dtype)) + " " + std::string(to_string(skew)) +
                           (accumulate ? " adding" : ""));
      }
    }
  }
}

void expect_right(Operation& operation, const std::string& what) {
  const Check check = operation.verify();
  EXPECT_TRUE(check.ok) << what << ": error " << check.error << ", bound " << check.bound;
}

}  // namespace

TEST(Gpu, GroupedGemmIsRight) {
  NEEDS_GPU();
  const GroupedGemmBackend& hopper = grouped("hopper");
  with_each_problem({.m = 1024, .n = 1536, .k = 2048}, 24,
                    [&](const auto& problem, const auto& of) {
                      if (const std::string why = hopper.why_not(problem); !why.empty())
                        GTEST_SKIP() << "skipped: " << why;
                      with_each_tile(problem, [&] { expect_right(*hopper.make(problem, {}), of); });
                    });
}

TEST(Gpu, GroupsAsCallsAreRight) {
  NEEDS_GPU();
  for (const char* name : {"reference", "cublaslt"}) {
    with_each_problem({.m = 512, .n = 256, .k = 512}, 12, [&](const auto& problem, const auto& of) {
      try {
        const auto made = grouped(name).make(problem, {.rotate_bytes = 4 << 20});
        expect_right(*made, std::string(name) + " " + of);
        for (int set = 0; set < made->sets(); ++set) made->run(set);
        EXPECT_TRUE(made->verify().ok);
      } catch (const Unavailable& why) {
        std::printf("skipped: %s\n", why.what());
      }
    });
  }
}

TEST(WithoutGpu, GroupsOfCublasLtSayWhatTheyLack) {
  GroupedGemmProblem odd;
  odd.all = {.m = 64, .n = 60, .k = 64, .dtype = DType::bf16, .layout = GemmLayout::nt};
  odd.sizes = {40, 24};
  EXPECT_NE(grouped("cublaslt").why_not(odd).find("n is a multiple of 8"), std::string::npos);
  odd.sizes = {40, 23};
  EXPECT_NE(grouped("cublaslt").why_not(odd).find("add up"), std::string::npos);
  odd.all.accumulate = true;
  odd.sizes = {40, 24};
  EXPECT_NE(grouped("cublaslt").why_not(odd).find("tn in bf16"), std::string::npos);
}
