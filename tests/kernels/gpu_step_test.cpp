// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The kernels of a step on a GPU, in odd shapes and types; skipped without one.
#include "kernels/step_kernel.hpp"

#include "needs_gpu.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

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
                      .dtype = type,
                      .rows = s.rows,
                      .cols = s.cols,
                      .heads = 3,
                      .head_dim = 2 * s.top_k,
                      .experts = 3 * s.top_k,
                      .top_k = s.top_k,
                      .weights = s.rows * s.cols});
      }
    }
  }
}

// A lane with few logits and with many, in packs and one by one, more choices than lanes.
TEST(Gpu, ARouterOfManyExpertsIsRight) {
  NEEDS_GPU();
  for (const DType type : {DType::bf16, DType::fp32}) {
    for (const StepKernel kernel : {StepKernel::topk_softmax, StepKernel::topk_softmax_backward}) {
      for (const std::int64_t experts : {64, 160, 256, 257, 1000, 1024}) {
        for (const std::int64_t top_k : {1, 8, 40}) {
          expect_right(
              {.kernel = kernel, .dtype = type, .rows = 1001, .experts = experts, .top_k = top_k});
        }
      }
    }
  }
}
