// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The attention core on a GPU: both passes, odd widths, shared keys, a decode step, by our kernels
// and by cuDNN's.
#include "kernels/attention.hpp"

#include "needs_gpu.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

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

// Of training and decoding, with odd widths and shared keys. Five queries are the last of 260 keys'
// tokens: a mask that began at the first key would be far off.
std::vector<AttentionProblem> problems() {
  const auto bf16 = DType::bf16;
  using enum AttentionPass;
  return {{forward, bf16, 2, 4, 4, 512, 512, 64, 64, true},
          {forward, bf16, 1, 8, 2, 1000, 1000, 128, 128, true},
          {forward, bf16, 2, 3, 3, 301, 301, 80, 72, true},
          {forward, bf16, 1, 4, 4, 700, 700, 192, 128, true},
          {forward, bf16, 1, 4, 2, 200, 333, 96, 96, false},
          {forward, bf16, 1, 4, 2, 5, 260, 48, 40, true},
          {forward, bf16, 3, 32, 8, 1, 4097, 128, 128, true}};
}

}  // namespace

TEST(Gpu, AttentionIsRightInBothPasses) {
  NEEDS_GPU();
  std::vector<AttentionProblem> all = problems();
  all.push_back({AttentionPass::forward, DType::bf16, 1, 1, 1, 1, 1, 8, 8, true});
  for (AttentionProblem& problem : all) {
    for (const AttentionPass pass : {AttentionPass::forward, AttentionPass::backward}) {
      problem.pass = pass;
      expect_right(*backend_named("mma"), problem);
    }
  }
}

TEST(Gpu, CudnnAttentionIsRightInBothPasses) {
  NEEDS_GPU();
  const AttentionBackend* cudnn = backend_named("cudnn");
  const std::string why =
      cudnn == nullptr ? "built without cuDNN" : cudnn->why_not(problems().front());
  if (!why.empty()) {
    std::printf("skipped: %s\n", why.c_str());
    GTEST_SKIP() << "skipped: " << why;
  }
  // It needs no CUDA runtime beside the one that is linked in.
  ::setenv("CUDNN_FRONTEND_CUDART_LIB_NAME", "libno-such-cudart.so", 1);
  for (AttentionProblem problem : problems()) {
    for (const AttentionPass pass : {AttentionPass::forward, AttentionPass::backward}) {
      if (pass == AttentionPass::backward && problem.queries == 1) continue;  // a decode step
      problem.pass = pass;
      if (const std::string refused = cudnn->why_not(problem); refused.empty()) {
        expect_right(*cudnn, problem);
      } else {
        EXPECT_EQ(problem.head_dim, 192) << refused;  // backward on some GPUs
      }
    }
  }
}
