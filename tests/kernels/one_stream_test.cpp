// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Operations of a GPU that share a stream, and the times between them.
#include "kernels/one_stream.hpp"

#include "kernels/gemm.hpp"
#include "kernels/gpu_timer.hpp"
#include "kernels/machine.hpp"
#include "kernels/step_kernel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <numeric>
#include <optional>
#include <vector>

using namespace trainmeter;

namespace {

std::unique_ptr<Operation> norm() {
  const auto cuda = std::ranges::find(step_backends(), DeviceKind::gpu, &StepBackend::device);
  return cuda->make({.kernel = StepKernel::rmsnorm, .rows = 8192, .cols = 4096}, {});
}

std::unique_ptr<Operation> product() {
  const auto cublaslt = std::ranges::find(gemm_backends(), DeviceKind::gpu, &GemmBackend::device);
  return cublaslt->make({2048, 2048, 2048, DType::bf16, GemmLayout::nt}, {});
}

}  // namespace

TEST(GpuOneStream, OperationsMadeUnderItShareItAndAreRight) {
  if (gpus().devices.empty()) {
    std::puts("skipped: no CUDA device");
    GTEST_SKIP() << "skipped: " << gpus().why_none;
  }
  std::optional<OneStream> one(std::in_place);
  auto first = norm();
  auto second = product();
  EXPECT_THROW(OneStream(), std::logic_error);
  one.reset();
  const auto alone = norm();
  EXPECT_EQ(first->stream(), second->stream());
  EXPECT_NE(first->stream(), alone->stream());
  EXPECT_TRUE(first->verify().ok);
  EXPECT_TRUE(second->verify().ok);
  EXPECT_TRUE(alone->verify().ok);

  // One after the other, fifty times, so many as the timer holds back: the laps come to what the
  // same graph takes, and a little for the events between them.
  constexpr int kSteps = 100;
  const int kernels = kSteps / 2 * (first->launches() + second->launches());
  const auto each = [&](int i) { (i % 2 == 0 ? first : second)->run(0); };
  GpuTimer timer;
  (void)timer.laps(first->stream(), kSteps, each, kernels);
  const std::vector<double> laps = timer.laps(first->stream(), kSteps, each, kernels);
  ASSERT_EQ(laps.size(), std::size_t{kSteps});
  EXPECT_GT(*std::ranges::min_element(laps), 0);
  const double whole_s = timer.time_as_graph(
      first->stream(), 1,
      [&](int) {
        for (int i = 0; i < kSteps; ++i) each(i);
      },
      3);
  const double sum_s = std::accumulate(laps.begin(), laps.end(), 0.0);
  EXPECT_LT(sum_s, 2 * whole_s);
  EXPECT_LT(whole_s, 1.2 * sum_s);

  first.reset();  // the stream stays with the other
  EXPECT_TRUE(second->verify().ok);
}

TEST(WithoutGpu, OneStreamSaysWhy) {
  if (!gpus().devices.empty()) GTEST_SKIP() << "there is a GPU";
  EXPECT_THROW(OneStream(), Unavailable);
  EXPECT_THROW(OneStream(), Unavailable);  // and not that there is one already
}
