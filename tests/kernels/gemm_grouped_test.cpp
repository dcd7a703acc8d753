// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Grouped GEMMs: sizes of groups, where operands lie, the check, and our kernels for Hopper run on
// the CPU over groups of any size, with models of the instructions.
#include "kernels/gemm_grouped_operands.hpp"
#include "kernels/gemm_hopper_fp8_kernel.hpp"
#include "kernels/gemm_hopper_kernel.hpp"
#include "kernels/gemm_hopper_plan.hpp"
#include "kernels/rounding.hpp"

#include "hopper_model.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <string>
#include <vector>

namespace trainmeter::hopper {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::int64_t sum_of(const std::vector<std::int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
}

TEST(GroupSizes, AddUpWhateverTheSkew) {
  for (const Skew skew : {Skew::balanced, Skew::zipf, Skew::hot}) {
    EXPECT_EQ(skew_from(to_string(skew)), skew);
    for (const std::int64_t total : {1, 7, 1000, 4096}) {
      for (const std::int64_t groups : {1, 3, 64}) {
        const std::vector<std::int64_t> sizes = group_sizes(total, groups, skew);
        EXPECT_EQ(static_cast<std::int64_t>(sizes.size()), groups);
        EXPECT_EQ(sum_of(sizes), total);
        EXPECT_GE(*std::ranges::min_element(sizes), 0);
      }
    }
  }
}

TEST(GroupSizes, AreAsSkewedAsTheySay) {
  const auto largest = [](Skew skew) {
    const std::vector<std::int64_t> sizes = group_sizes(8000, 8, skew);
    return *std::ranges::max_element(sizes);
  };
  EXPECT_EQ(largest(Skew::balanced), 1000);
  EXPECT_NEAR(static_cast<double>(largest(Skew::hot)), 4000, 1);
  EXPECT_NEAR(static_cast<double>(largest(Skew::zipf)), 8000 / 2.717857, 8);  // 1 + 1/2 + ... + 1/8
}

GroupedGemmProblem problem_of(DType dtype, GemmLayout layout, bool accumulate,
                              std::vector<std::int64_t> sizes) {
  GemmProblem all = {.m = 72, .n = 136, .k = 80, .dtype = dtype, .layout = layout};
  all.accumulate = accumulate;
  if (dtype == DType::fp8) all.scaling = Scaling::block128;
  (accumulate ? all.k : all.m) = sum_of(sizes);
  return {all, std::move(sizes)};
}

// What a kernel sees as an operand that begins at `data`.
ModelTensorMap map_of(void* data, int element, std::int64_t columns, std::int64_t rows, int box_x,
                      int box_y, bool swizzles = true, std::int64_t row = 0) {
  return {.data = static_cast<std::uint8_t*>(data),
          .element = element,
          .sizes = {columns, rows, 1},
          .box = {box_x, box_y},
          .swizzles = swizzles,
          .row = row,
          .in_memory = true};
}

template <class Config>
struct Run {
  GroupedGemmProblem problem;
  GroupedPlan plan;
  GroupedOperands operands;
  std::vector<std::byte> c;

  explicit Run(const GroupedGemmProblem& p)
      : problem(p),
        plan(plan_of(p)),
        operands(p, 3, Values::integers),
        c(static_cast<std::size_t>(plan.c), std::byte{Config::kAdds ? 0 : 0xff}) {}

  auto task_of(std::size_t group) {
    const GemmProblem p = problem_of_group(problem, group);
    const GroupPlace& at = plan.groups[group];
    void* const a = operands.laid.a.data() + at.a;
    void* const b = operands.laid.b.data() + at.b;
    const int size = static_cast<int>(size_of(p.dtype));
    const int depth = Config::kStepK;
    const auto operand = [&]<class Loads>(Loads, void* data, std::int64_t other) {
      return Loads::kMajor == Major::k
                 ? map_of(data, size, p.k, other, depth, Loads::kBoxRows, true, at.row)
                 : map_of(data, size, other, p.k, 64, Loads::kBoxRows);
    };
    const auto fill = [&](auto& task) {
      task.a = operand(typename Config::LoadsOfA(), a, p.m);
      task.b = operand(typename Config::LoadsOfB(), b, p.n);
      task.c = map_of(c.data() + at.c, Config::kAdds ? 4 : 2, p.n, p.m, Config::kStoreColumns, 64);
      task.grid = grid_of<Config>(static_cast<int>(p.m), static_cast<int>(p.n), 1);
      task.k_steps = static_cast<int>(ceil_div(p.k, depth));
    };
    if constexpr (Config::kScaleBytes == 0) {
      GemmTask<ModelTensorMap> task;
      fill(task);
      return task;
    } else {
      Fp8Task<ModelTensorMap> task;
      fill(task);
      const auto scales = [&](float* data, std::int64_t rows, int box, std::int64_t row) {
        return map_of(data, 4, rows, task.k_steps, box, 1, false, row);
      };
      float* const scales_b = operands.laid.scales_b.data() + at.scales_b;
      EXPECT_EQ(at.scales_a % 4 + at.scales_row % 4, 0) << "TMA's alignment";
      task.scales_a =
          scales(operands.laid.scales_a.data() + at.scales_a, p.m, Config::kRows, at.scales_row);
      if (Config::kScaledColumns)
        task.scales_b =
            scales(scales_b, p.n, Config::kColumns, scale_index(ScaleBlock::row, p.n, p.k, 0, 128));
      task.scales_of_blocks = scales_b;
      task.stride = static_cast<int>(scale_index(ScaleBlock::square, p.n, p.k, 128, 0));
      task.last_block = static_cast<int>((p.n - 1) / 128);
      return task;
    }
  }

  Check checked() {
    std::vector<decltype(task_of(0))> tasks;
    std::vector<int> begins = {0};
    for (std::size_t group = 0; group < problem.sizes.size(); ++group) {
      if (problem.sizes[group] == 0) continue;
      tasks.push_back(task_of(group));
      begins.push_back(begins.back() + tasks.back().grid.count());
    }
    using Tasks = TaskList<decltype(task_of(0))>;
    const Tasks list{tasks.data(), begins.data(), static_cast<int>(tasks.size())};
    constexpr int kBlocksAtWork = 2;
    for (int cluster = 0; cluster < kBlocksAtWork; ++cluster) {
      ModelPtx::threads_of_block = Config::kThreads;
      ModelCluster model(Config::kBlocks, Config::kThreads);
      model.run([&](int rank, int thread) {
        const Place place{thread, rank, cluster, kBlocksAtWork};
        if constexpr (Config::kScaleBytes == 0) {
          GemmKernel<Config, ModelPtx, Tasks>{{list, 0, place}}.run();
        } else {
          Fp8Kernel<Config, ModelPtx, Tasks>{{list, 0, place}}.run();
        }
      });
    }
    return operands.verify(c.data(), 5);
  }
};

template <class Config>
void expect_right(const GroupedGemmProblem& problem) {
  ASSERT_THAT(why_no_groups(problem), IsEmpty());
  Run<Config> run(problem);
  const Check check = run.checked();
  EXPECT_TRUE(check.ok) << check.error;
  // The check sees a neighbour's element in place of one's own.
  const std::size_t size = Config::kAdds ? 4 : 2;
  for (std::size_t i = 0; i < size; ++i) std::swap(run.c[i], run.c[run.c.size() - size + i]);
  EXPECT_FALSE(run.operands.verify(run.c.data(), 5).ok);
}

TEST(GroupedGemm, WhatIsAddedToAnEmptyGroupIsSeen) {
  for (const DType dtype : {DType::bf16, DType::fp8}) {
    const GemmLayout layout = dtype == DType::bf16 ? GemmLayout::tn : GemmLayout::nt;
    const GroupedGemmProblem problem = problem_of(dtype, layout, true, {0, 0, 16});
    const GroupedPlan plan = plan_of(problem);
    std::vector<float> c(static_cast<std::size_t>(plan.c) / sizeof(float));
    for (const float one : {1.0F, std::numeric_limits<float>::quiet_NaN()}) {
      c[static_cast<std::size_t>(plan.groups[2].c) / sizeof(float) - 1] = one;  // the second's
      const Check check = GroupedOperands(problem, 3, Values::integers).verify(c.data(), 5);
      EXPECT_FALSE(check.ok);
      EXPECT_EQ(check.wrong, 1);
      EXPECT_THAT(check.how, HasSubstr("empty group"));
    }
  }
}

const std::vector<std::int64_t> kSizes = {70, 0, 131, 1, 0};  // none ends with a tile

TEST(GroupedGemm, Bf16IsRightInEveryPass) {
  expect_right<GemmConfig<{128, 128, 1, 4, Shared::b}, GemmLayout::nt>>(
      problem_of(DType::bf16, GemmLayout::nt, false, kSizes));
  expect_right<GemmConfig<{128, 128, 2, 4, Shared::a}, GemmLayout::nt>>(
      problem_of(DType::bf16, GemmLayout::nt, false, kSizes));
  expect_right<GemmConfig<{64, 128, 1, 4, Shared::b}, GemmLayout::nn>>(
      problem_of(DType::bf16, GemmLayout::nn, false, kSizes));
  expect_right<GemmConfig<{128, 128, 2, 4, Shared::a}, GemmLayout::nn>>(
      problem_of(DType::bf16, GemmLayout::nn, false, kSizes));
  expect_right<GemmConfig<{64, 128, 1, 4, Shared::b}, GemmLayout::tn, Output::added>>(
      problem_of(DType::bf16, GemmLayout::tn, true, kSizes));
}

TEST(GroupedGemm, Fp8IsRightInEveryPass) {
  expect_right<Fp8Config<{128, 128, 1, 5, Shared::a}, false>>(
      problem_of(DType::fp8, GemmLayout::nt, false, kSizes));
  expect_right<Fp8Config<{256, 128, 2, 3, Shared::a}, false>>(
      problem_of(DType::fp8, GemmLayout::nt, false, kSizes));
  expect_right<Fp8Config<{128, 128, 2, 4, Shared::a}, true>>(
      problem_of(DType::fp8, GemmLayout::nt, true, kSizes));
  expect_right<Fp8Config<{256, 128, 2, 3, Shared::a}, true>>(
      problem_of(DType::fp8, GemmLayout::nt, true, kSizes));
}

TEST(GroupedGemm, LimitsAreNamed) {
  GroupedGemmProblem p = problem_of(DType::fp8, GemmLayout::nt, false, {5, 6});
  EXPECT_THAT(why_no_groups(p), IsEmpty());
  p.sizes = {5, 7};
  EXPECT_THAT(why_no_groups(p), HasSubstr("add up"));
  p.sizes = {12, -1};
  EXPECT_THAT(why_no_groups(p), HasSubstr("0 or more"));
  p = problem_of(DType::bf16, GemmLayout::tn, false, {8, 8});
  EXPECT_THAT(why_no_groups(p), HasSubstr("tn and added to"));
  p = problem_of(DType::bf16, GemmLayout::nt, false, {8, 8});
  p.all.n = 12;
  EXPECT_THAT(why_no_groups(p), HasSubstr("n is a multiple of 8"));
}

}  // namespace
}  // namespace trainmeter::hopper
