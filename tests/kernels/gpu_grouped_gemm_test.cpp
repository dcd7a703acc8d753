// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMMs of groups on the GPU: ours in each tile, the reference's and cuBLASLt's calls.
#include "kernels/gemm.hpp"
#include "kernels/gemm_grouped.hpp"
#include "kernels/operand_values.hpp"

#include "each_tile.hpp"
#include "needs_gpu.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

using namespace trainmeter;

namespace {

const GroupedGemmBackend& grouped(std::string_view name) {
  return *std::ranges::find(grouped_gemm_backends(), name, &GroupedGemmBackend::name);
}

// Groups that are no multiple of anything, an empty one, and skew: one that is most of all, too.
// check(problem, what it is) for each type and pass: forward and data gradient are other layouts in
// bf16 alone.
template <class F>
void with_each_problem(const GemmProblem& sizes, int groups, F check) {
  for (const auto& [dtype, layout, accumulate] : {std::tuple{DType::bf16, GemmLayout::nt, false},
                                                  {DType::bf16, GemmLayout::nn, false},
                                                  {DType::bf16, GemmLayout::tn, true},
                                                  {DType::fp8, GemmLayout::nt, false},
                                                  {DType::fp8, GemmLayout::nt, true}}) {
    for (const Skew skew : {Skew::balanced, Skew::zipf, Skew::hot}) {
      GroupedGemmProblem problem;
      problem.all = sizes;
      problem.all.dtype = dtype;
      problem.all.layout = layout;
      if (dtype == DType::fp8) problem.all.scaling = Scaling::block128;
      problem.all.accumulate = accumulate;
      problem.sizes = group_sizes(accumulate ? sizes.k : sizes.m, groups, skew);
      problem.sizes[3] += std::exchange(problem.sizes[7], 0);
      check(problem, std::string(to_string(dtype)) + " " + std::string(to_string(layout)) + " " +
                         std::string(to_string(skew)) + (accumulate ? " adding" : ""));
    }
  }
}

void expect_right(Operation& operation, const std::string& what) {
  const Check check = operation.verify();
  EXPECT_TRUE(check.ok) << what << ": error " << check.error << ", bound " << check.bound;
}

}  // namespace

// No number of clusters' tiles is m x n: the last one's partner lies beyond C.
TEST(Gpu, GroupedGemmIsRight) {
  NEEDS_GPU();
  const GroupedGemmBackend& hopper = grouped("hopper");
  with_each_problem({.m = 1032, .n = 1544, .k = 2048}, 24,
                    [&](GroupedGemmProblem problem, const auto& of) {
                      // Nothing but C's rows, in fp32, need a multiple of 16 bytes there.
                      if (problem.all.dtype == DType::fp8 && problem.all.accumulate)
                        problem.all.n = 1540;
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

// As in the check of a layer, where what a cast wrote comes to operations that were made before.
TEST(Gpu, GroupsReadWhatIsWrittenIntoThemLater) {
  NEEDS_GPU();
  with_each_problem({.m = 1024, .n = 256, .k = 512}, 12, [&](const auto& problem, const auto& of) {
    for (const GroupedGemmBackend& backend : grouped_gemm_backends()) {
      if (!backend.why_not(problem).empty()) continue;
      const auto wanted = backend.make(problem, {.seed = 2});
      const auto given = backend.make(problem, {.seed = 3, .values = Values::uniform});
      for (const OperandView& view : given->operand_views())
        if (view.role == OperandRole::input)
          set_operand_bytes(*given, view.name, operand_bytes(*wanted, view.name));
      for (const auto& operation : {wanted.get(), given.get()}) {
        clear_results(*operation);
        operation->run(0);
      }
      const std::vector<double> a = operand_values(*wanted, "c");
      const std::vector<double> b = operand_values(*given, "c");
      double most = 0;
      double off = 0;
      for (std::size_t i = 0; i < a.size(); ++i) {
        most = std::max(most, std::abs(a[i]));
        const double error = std::abs(a[i] - b[i]);
        if (!(error <= off)) off = error;  // takes NaN
      }
      EXPECT_LT(off, most / 50) << backend.name << ": " << of;  // another algorithm's roundings
    }
  });
}

// Each algorithm that the timing could choose, not only the one that it does; the wrong one is
// named.
TEST(Gpu, EveryAlgorithmOfCublasLtForBlocksOfFp8IsRight) {
  NEEDS_GPU();
  const auto each = [](const std::string& of, const auto& make) {
    int tried = 0;
    for (;; ++tried) {
      ::setenv("TRAINMETER_CUBLASLT_ALGORITHM", std::to_string(tried).c_str(), 1);
      try {
        const auto made = make();
        const Check check = made->verify();
        EXPECT_TRUE(check.ok) << of << ", algorithm " << tried << " (" << made->notes()["algorithm"]
                              << "): error " << check.error << ", bound " << check.bound;
      } catch (const Unavailable& why) {
        if (tried == 0) std::printf("skipped: %s: %s\n", of.c_str(), why.what());
        break;
      }
    }
    ::unsetenv("TRAINMETER_CUBLASLT_ALGORITHM");
    std::printf("%s: %d algorithms\n", of.c_str(), tried);
  };
  const GemmBackend& dense = *std::ranges::find(gemm_backends(), "cublaslt", &GemmBackend::name);
  for (const bool adds : {true, false}) {
    // A weight gradient of the layer's check and one of a step; experts with 128 tokens each.
    for (const auto& [m, n, k] : {std::tuple{224, 192, 256}, {192, 112, 256}, {2048, 1536, 4096}}) {
      const GemmProblem p = {.m = m,
                             .n = n,
                             .k = k,
                             .dtype = DType::fp8,
                             .layout = GemmLayout::nt,
                             .scaling = Scaling::block128,
                             .accumulate = adds};
      const std::string of = std::to_string(m) + " x " + std::to_string(n) + " x " +
                             std::to_string(k) + (adds ? " adding" : "");
      each(of, [&] { return dense.make(p, {}); });
      GroupedGemmProblem groups{.all = p, .sizes = std::vector<std::int64_t>(4, 128)};
      (adds ? groups.all.k : groups.all.m) = 4 * 128;
      each("groups of " + of, [&] { return grouped("cublaslt").make(groups, {}); });
    }
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
