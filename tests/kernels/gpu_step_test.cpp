// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The kernels of a step on a GPU, in odd shapes and types; skipped without one.
#include "kernels/operand_values.hpp"
#include "kernels/step_kernel.hpp"

#include "needs_gpu.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

using namespace trainmeter;

namespace {

// On several sets of operands and on one, and again after runs.
void expect_right(const StepProblem& problem) {
  const StepBackend& cuda =
      *std::ranges::find(step_backends(), std::string_view("cuda"), &StepBackend::name);
  std::string described =
      std::string(to_string(problem.kernel)) + " " + std::string(to_string(problem.dtype));
  for (const auto& [name, size] : step_shape(problem))
    described += " " + name + ":" + std::to_string(size);
  for (const std::int64_t rotate : {0, 1 << 20}) {
    const auto operation = cuda.make(problem, {.rotate_bytes = rotate});
    EXPECT_EQ(operation->launches(), problem.kernel == StepKernel::layernorm_backward ? 3
                                     : problem.kernel == StepKernel::rmsnorm_backward ? 2
                                                                                      : 1);
    for (int round = 0; round < 2; ++round) {
      const Check check = operation->verify();
      EXPECT_TRUE(check.ok) << described << ": " << check.error << " of " << check.bound;
      for (int set = 0; set < operation->sets(); ++set) operation->run(set);
    }
  }
}

struct Shape {
  std::int64_t rows, cols, top_k;
};

}  // namespace

// Rows in whole packs of 16 bytes and not, parts of blocks and tiles, more than one block of a
// grid.
TEST(Gpu, KernelsOfAStepAreRight) {
  NEEDS_GPU();
  for (const DType type : {DType::bf16, DType::fp32}) {
    for (const StepKernel kernel : kStepKernels) {
      for (const Shape s : {Shape{1, 1, 1}, Shape{3, 127, 2}, Shape{130, 264, 16},
                            Shape{257, 5000, 6}, Shape{1024, 7168, 8}}) {
        expect_right({.kernel = kernel,
                      .dtype = step_takes(kernel, type) ? type : DType::fp8,
                      .rows = s.rows,
                      .cols = s.cols,
                      .heads = 3,
                      .head_dim = 2 * s.top_k,
                      .experts = 3 * s.top_k,
                      .top_k = s.top_k,
                      .groups = 3,
                      .group_limit = 2,
                      .weights = s.rows * s.cols});
      }
    }
  }
}

// A lane with few logits and with many, in packs and one by one, more choices than lanes.
TEST(Gpu, ARouterOfManyExpertsIsRight) {
  NEEDS_GPU();
  for (const DType type : {DType::bf16, DType::fp32}) {
    for (const StepKernel kernel : {StepKernel::topk_softmax, StepKernel::topk_softmax_backward,
                                    StepKernel::topk_sigmoid, StepKernel::topk_sigmoid_backward}) {
      for (const std::int64_t experts : {64, 160, 256, 257, 1000, 1024}) {
        for (const std::int64_t top_k : {1, 8, 40}) {
          expect_right(
              {.kernel = kernel, .dtype = type, .rows = 1001, .experts = experts, .top_k = top_k});
        }
      }
    }
  }
}

// Lanes that are left over, groups whose packs are whole and not, lone experts, several packs of a
// lane.
TEST(Gpu, ARouterOfGroupsIsRight) {
  NEEDS_GPU();
  struct Groups {
    std::int64_t experts, groups, group_limit, top_k;
  };
  for (const DType type : {DType::bf16, DType::fp32}) {
    for (const Groups& g : {Groups{256, 8, 4, 8}, Groups{160, 8, 3, 6}, Groups{1000, 8, 5, 40},
                            Groups{1024, 8, 8, 8}, Groups{90, 5, 1, 18}, Groups{32, 32, 9, 9},
                            Groups{24, 3, 2, 1}, Groups{512, 32, 31, 33}}) {
      expect_right({.kernel = StepKernel::topk_sigmoid,
                    .dtype = type,
                    .rows = 1001,
                    .experts = g.experts,
                    .top_k = g.top_k,
                    .groups = g.groups,
                    .group_limit = g.group_limit});
    }
  }
}

// Three logits and no bias: whole groups are equal, and the CPU's choice must be the GPU's.
TEST(Gpu, ARoutersTiesAreBrokenAsOnTheCpu) {
  NEEDS_GPU();
  const StepProblem problem = {.kernel = StepKernel::topk_sigmoid,
                               .rows = 500,
                               .experts = 64,
                               .top_k = 8,
                               .groups = 8,
                               .group_limit = 4};
  std::vector<double> logits(500 * 64);
  for (std::size_t i = 0; i < logits.size(); ++i)
    logits[i] = static_cast<double>(i * 2654435761U / 65536 % 7 / 3);
  std::vector<std::int32_t> chosen;
  for (const char* name : {"openmp", "cuda"}) {
    const auto& backend =
        *std::ranges::find(step_backends(), std::string_view(name), &StepBackend::name);
    const auto operation = backend.make(problem, {});
    set_operand_values(*operation, "x", logits);
    set_operand_values(*operation, "bias", std::vector<double>(64));
    operation->run(0);
    const std::vector<std::int32_t> found = operand_indices(*operation, "chosen");
    if (chosen.empty()) chosen = found;
    EXPECT_EQ(found, chosen);
  }
}
