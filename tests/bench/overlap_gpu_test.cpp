// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A case beside a co-runner on a GPU.
#include "bench/case_lists.hpp"
#include "bench/exit_code.hpp"
#include "bench/runner.hpp"

#include "../kernels/needs_gpu.hpp"
#include <gtest/gtest.h>

#include <string>

namespace trainmeter {

// A green context would leave out SMs that the co-runner doesn't hold, and have some that it does.
TEST(OverlapGpu, WhichSmsAreLeftIsTheCoRunnersToSay) {
  NEEDS_GPU();
  const Target target = choose_target("gpu");
  const Options options =
      read_options(Program::overlap, {"overlap_bench", "--dtype=bf16", "--m=2048", "--n=2048",
                                      "--k=1024", "--co_sms=20", "--beside=cache_mover"});
  const std::string left = std::to_string(target.device.sms - 20);
  Runner runner({.target = target,
                 .rules = {.min_time_s = 0.01, .max_time_s = 0.1},
                 .operands = {},
                 .timer = make_gpu_timer(),
                 .stop = [] { return false; },
                 .around = {}});
  int seen = 0;
  for (const Case& one : overlap_cases(options, target).cases) {
    if (one.backend != "cublaslt") continue;
    ++seen;
    const Outcome outcome = runner.run({.main = one, .versus = {}, .rules = {}});
    EXPECT_EQ(outcome.code, kFine);
    for (const Measurement& row : outcome.rows) {
      if (row.beside != "cache_mover" || std::to_string(row.sms) != left) continue;
      EXPECT_EQ(row.notes.at("sm_count_target"), left);
    }
  }
  EXPECT_EQ(seen, 1);
}

}  // namespace trainmeter
