// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The attention core on a GPU: both passes, odd widths, shared keys, a decode step, by our kernels
// and by cuDNN's.
#include "kernels/attention.hpp"

#include "needs_gpu.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>

using namespace trainmeter;

namespace {

const AttentionBackend* backend_named(std::string_view name) {
  const auto all = attention_backends();
  const auto found = std::ranges::find(all, name, &AttentionBackend::name);
  return found == all.end() ? nullptr : &*found;
}

void expect_right(const AttentionBackend& backend, const AttentionProblem& problem) {
  const auto operation = backend.make(problem, {});
  for (int round = 0; round < 2; ++round) {
    const Check check = operation->verify();
    EXPECT_TRUE(check.ok) << backend.name << ' ' << to_string(problem.pass) << ' '
                          << problem.queries << " queries, " << problem.keys << " keys, widths "
                          << problem.head_dim << ", " << problem.value_dim << ": error "
                          << check.error;
  }
}

}  // namespace

TEST(Gpu, AttentionIsRightInBothPasses) {
  NEEDS_GPU();
  using enum AttentionPass;
  const auto bf16 = DType::bf16;
  for (AttentionProblem problem :
       {AttentionProblem{forward, bf16, 1, 1, 1, 1, 1, 8, 8, true},
        AttentionProblem{forward, bf16, 2, 4, 4, 512, 512, 64, 64, true},
        AttentionProblem{forward, bf16, 1, 8, 2, 1000, 1000, 128, 128, true},
        AttentionProblem{forward, bf16, 2, 3, 3, 301, 301, 80, 72, true},
        AttentionProblem{forward, bf16, 1, 4, 4, 700, 700, 192, 128, true},
        AttentionProblem{forward, bf16, 1, 4, 2, 200, 333, 96, 96, false},
        AttentionProblem{forward, bf16, 1, 4, 2, 5, 260, 48, 40, true},
        AttentionProblem{forward, bf16, 3, 32, 8, 1, 4097, 128, 128, true}}) {
    for (const AttentionPass pass : {forward, backward}) {
      problem.pass = pass;
      expect_right(*backend_named("mma"), problem);
    }
  }
}

// What training and decoding ask of it. Its queries are 5 of 260 keys' tokens: a mask that began at
// the first key would be far off.
TEST(Gpu, CudnnAttentionIsRightInBothPasses) {
  NEEDS_GPU();
  using enum AttentionPass;
  const auto bf16 = DType::bf16;
  const AttentionBackend* cudnn = backend_named("cudnn");
  const AttentionProblem simple = {forward, bf16, 2, 4, 4, 512, 512, 64, 64, true};
  const std::string why = cudnn == nullptr ? "built without cuDNN" : cudnn->why_not(simple);
  if (!why.empty()) {
    std::printf("skipped: %s\n", why.c_str());
    GTEST_SKIP() << "skipped: " << why;
  }
  for (AttentionProblem problem :
       {simple, AttentionProblem{forward, bf16, 1, 8, 2, 1000, 1000, 128, 128, true},
        AttentionProblem{forward, bf16, 2, 3, 3, 301, 301, 80, 72, true},
        AttentionProblem{forward, bf16, 1, 4, 4, 700, 700, 192, 128, true},
        AttentionProblem{forward, bf16, 1, 4, 2, 200, 333, 96, 96, false},
        AttentionProblem{forward, bf16, 1, 4, 2, 5, 260, 48, 40, true},
        AttentionProblem{forward, bf16, 3, 32, 8, 1, 4097, 128, 128, true}}) {
    for (const AttentionPass pass : {forward, backward}) {
      if (pass == backward && problem.queries == 1) continue;  // a decode step has none
      problem.pass = pass;
      if (const std::string refused = cudnn->why_not(problem); refused.empty()) {
        expect_right(*cudnn, problem);
      } else {
        EXPECT_EQ(problem.head_dim, 192) << refused;  // backward on some GPUs
      }
    }
  }
}
