// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Co-runners on a GPU, and GEMMs beside them.
#include "kernels/gemm.hpp"
#include "kernels/gpu_timer.hpp"
#include "kernels/machine.hpp"

#include "co_runner_checks.hpp"
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

using namespace trainmeter;

#define NEEDS_GPU()                                 \
  if (gpus().devices.empty()) {                     \
    std::puts("skipped: no CUDA device");           \
    GTEST_SKIP() << "skipped: " << gpus().why_none; \
  }

TEST(Gpu, CoRunnersMoveWhatTheyCountOnSmsOfTheirOwn) {
  NEEDS_GPU();
  for (const int sms : {1, 7, 20, 32}) expect_all_kinds_right(make_gpu_co_runner, sms);
  expect_rate_held(make_gpu_co_runner, 1e9);
}

TEST(Gpu, CoRunnersEndByThemselves) {
  NEEDS_GPU();
  expect_end_by_itself(make_gpu_co_runner);
}

// Every GEMM on the SMs that are left, and with its grid for all of them, beside what moves and
// what polls; timed as overlap_bench does it.
TEST(Gpu, AGemmIsRightBesideACoRunner) {
  NEEDS_GPU();
  constexpr int kHeld = 20;
  const int left = gpus().devices.front().sms - kHeld;
  GpuTimer timer;
  for (const GemmBackend& backend : gemm_backends()) {
    for (const DType dtype : {DType::bf16, DType::fp8}) {
      for (const int sms : {0, left}) {
        GemmProblem problem = {.m = 2048, .n = 2048, .k = 1024, .dtype = dtype};
        if (dtype == DType::fp8) problem.scaling = Scaling::block128;
        problem.sms = sms;
        if (backend.device != DeviceKind::gpu || !backend.why_not(problem).empty()) continue;
        const auto gemm = backend.make(problem, {});
        EXPECT_TRUE(gemm->verify().ok);  // its kernel is loaded before a co-runner holds SMs
        for (const CoRunnerKind kind : kCoRunnerKinds) {
          SCOPED_TRACE(std::string(backend.name) + " " + std::string(to_string(dtype)) +
                       " on SMs: " + std::to_string(sms) + ", " + std::string(to_string(kind)));
          const auto co_runner = make_gpu_co_runner({.kind = kind, .sms = kHeld});
          co_runner->start(true);
          EXPECT_TRUE(gemm->verify().ok);
          const auto times = timer.time(gemm->stream(), 3, [&](int number) {
            number == 1 ? gemm->run(0) : co_runner->look(gemm->stream());
          });
          const Moved moved = co_runner->stop();
          EXPECT_GT(moved.bytes, 0);
          EXPECT_LE(times[1], moved.seconds + 5e-6);  // the looks stand around the run
          EXPECT_TRUE(co_runner->check().ok);
        }
      }
    }
  }
}
