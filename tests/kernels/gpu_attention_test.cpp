// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The attention core on a GPU: both passes, odd widths, shared keys, a decode step.
#include "kernels/attention.hpp"

#include "needs_gpu.hpp"
#include <gtest/gtest.h>

using namespace trainmeter;

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
      for (const AttentionBackend& backend : attention_backends()) {
        if (backend.device != DeviceKind::gpu) continue;
        const auto operation = backend.make(problem, {});
        for (int round = 0; round < 2; ++round) {
          const Check check = operation->verify();
          EXPECT_TRUE(check.ok) << backend.name << ' ' << to_string(pass) << ' ' << problem.queries
                                << " queries, " << problem.keys << " keys, widths "
                                << problem.head_dim << ", " << problem.value_dim << ": error "
                                << check.error;
        }
      }
    }
  }
}
