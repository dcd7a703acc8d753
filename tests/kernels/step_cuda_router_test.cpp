// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The GPU's router kernels, their own source, run on the CPU lane by lane: each kind of shape
// against the reference in fp64, and ties against the CPU's kernel.
#include "kernels/step_arrays.hpp"
#include "kernels/step_loops.hpp"
#include "kernels/step_verify.hpp"

#include "step_arrays_on_host.hpp"
#include "warp_model.hpp"
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

// What nvcc gives a kernel, here from the model's fibres.
namespace {

struct Index {
  unsigned x = 0;
};
Index threadIdx, blockIdx;  // set before each lane goes on
const Index blockDim{256}, gridDim{1};
std::array<std::uint64_t, 32> offered;

template <class S>
S from_lane(S value, int lane) {
  trainmeter::mma::WarpModel& model = trainmeter::mma::WarpModel::now();
  const Index thread = threadIdx;
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  static std::array<std::uint64_t, 32> brought;
  brought[static_cast<std::size_t>(model.lane())] = bits;
  model.with_warp("shuffle", [] { offered = brought; });
  threadIdx = thread;
  std::memcpy(&value, &offered[static_cast<std::size_t>(lane)], sizeof value);
  return value;
}
template <class S>
S __shfl_xor_sync(unsigned, S value, int mask) {
  return from_lane(value, trainmeter::mma::WarpModel::now().lane() ^ mask);
}
template <class S>
S __shfl_sync(unsigned, S value, int lane) {
  return from_lane(value, lane);
}
[[maybe_unused]] void __syncwarp() {
  from_lane(0, 0);
}
[[maybe_unused]] void __syncthreads() {}
[[maybe_unused]] int __float_as_int(float x) {
  return std::bit_cast<int>(x);
}
[[maybe_unused]] float __int_as_float(int x) {
  return std::bit_cast<float>(x);
}
[[maybe_unused]] float rsqrtf(float x) {
  return 1 / std::sqrt(x);
}

}  // namespace

using std::max;
using std::min;
#define __launch_bounds__(...)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include "kernels/step_cuda_router.cuh"
#pragma GCC diagnostic pop

namespace trainmeter {
namespace {

class Arrays : public StepArraysOnHost {
 public:
  using StepArraysOnHost::StepArraysOnHost;

  // kernel() in each lane of a warp for each row.
  template <class F>
  void run(F kernel) {
    for (std::int64_t row = 0; row < problem().rows; ++row) {
      mma::WarpModel warp(32, 0);
      warp.run([&](int lane) {
        blockIdx.x = static_cast<unsigned>(row / 8);
        threadIdx.x = static_cast<unsigned>(row % 8 * 32 + lane);
        kernel();
      });
    }
  }

  double error() { return check().error; }
};

template <class T, int V, int kPerLane>
void run_sigmoid(Arrays& a, const StepProblem& p) {
  a.run([&] {
    step_cuda::topk_sigmoid<T, V, kPerLane>(a.at<std::int32_t>(2), a.at<float>(3), a.at<float>(4),
                                            a.at<T>(0), a.at<float>(1), p.rows,
                                            step_cuda::grouped_experts(p, V));
  });
}

template <class T, int V>
void sigmoid(Arrays& a, const StepProblem& p) {
  if (step_cuda::grouped_experts(p, V).per_lane <= step_cuda::kFewPerLane) {
    run_sigmoid<T, V, step_cuda::kFewPerLane>(a, p);
  } else {
    run_sigmoid<T, V, step_cuda::kManyPerLane>(a, p);
  }
}

struct Groups {
  std::int64_t experts, groups, group_limit, top_k;
};

StepProblem problem(const Groups& g, DType type) {
  return {.kernel = StepKernel::topk_sigmoid,
          .dtype = type,
          .rows = 9,
          .experts = g.experts,
          .top_k = g.top_k,
          .groups = g.groups,
          .group_limit = g.group_limit};
}

constexpr Groups kShapes[] = {{256, 8, 4, 8}, {160, 8, 3, 6}, {1000, 8, 5, 40}, {1024, 8, 8, 8},
                              {90, 5, 1, 18}, {32, 32, 9, 9}, {24, 3, 2, 1},    {512, 32, 31, 33},
                              {257, 1, 1, 8}, {1, 1, 1, 1},   {6, 3, 2, 4}};

template <class T, int V>
void expect_right(const Groups& g, DType type) {
  if (g.experts / g.groups % V != 0) return;
  StepProblem p = problem(g, type);
  Arrays a(p);
  sigmoid<T, V>(a, p);
  EXPECT_LT(a.error(), 1) << g.experts << " in " << g.groups << ", packs of " << V;
  p.kernel = StepKernel::topk_sigmoid_backward;
  Arrays back(p);
  back.run([&] {
    step_cuda::topk_sigmoid_backward<T, V>(back.at<T>(3), back.at<std::int32_t>(0),
                                           back.at<float>(1), back.at<float>(2), p.rows,
                                           static_cast<int>(p.experts), static_cast<int>(p.top_k));
  });
  EXPECT_LT(back.error(), 1) << g.experts << " backward, packs of " << V;
}

template <class T, int V, int kPerLane>
void expect_softmax_right(std::int64_t experts, std::int64_t top_k, DType type) {
  StepProblem p = {.kernel = StepKernel::topk_softmax,
                   .dtype = type,
                   .rows = 9,
                   .experts = experts,
                   .top_k = top_k};
  Arrays a(p);
  a.run([&] {
    step_cuda::topk_softmax<T, V, kPerLane>(a.at<std::int32_t>(1), a.at<float>(2), a.at<T>(0),
                                            p.rows, static_cast<int>(experts),
                                            static_cast<int>(top_k));
  });
  EXPECT_LT(a.error(), 1) << experts << ", packs of " << V;
  p.kernel = StepKernel::topk_softmax_backward;
  Arrays back(p);
  back.run([&] {
    step_cuda::topk_softmax_backward<T, V>(back.at<T>(3), back.at<std::int32_t>(0),
                                           back.at<float>(1), back.at<float>(2), p.rows,
                                           static_cast<int>(experts), static_cast<int>(top_k));
  });
  EXPECT_LT(back.error(), 1) << experts << " backward, packs of " << V;
}

}  // namespace

TEST(CudaRouterOnTheCpu, IsRight) {
  for (const Groups& g : kShapes) {
    expect_right<step_cuda::Bf16, 8>(g, DType::bf16);
    expect_right<step_cuda::Bf16, 1>(g, DType::bf16);
    expect_right<float, 4>(g, DType::fp32);
    expect_right<float, 1>(g, DType::fp32);
  }
}

TEST(CudaRouterOnTheCpu, OfSoftmaxIsRight) {
  expect_softmax_right<step_cuda::Bf16, 8, step_cuda::kFewPerLane>(256, 8, DType::bf16);
  expect_softmax_right<float, 4, step_cuda::kManyPerLane>(1000, 40, DType::fp32);
  expect_softmax_right<float, 1, step_cuda::kManyPerLane>(257, 3, DType::fp32);
}

// Three logits and no bias: whole groups are equal.
TEST(CudaRouterOnTheCpu, BreaksTiesAsTheCpusDoes) {
  for (const Groups& g : kShapes) {
    const StepProblem p = problem(g, DType::fp32);
    Arrays a(p);
    for (std::int64_t i = 0; i < p.rows * p.experts; ++i)
      a.at<float>(0)[i] = static_cast<float>(i * 2654435761 / 65536 % 7 / 3);
    std::fill_n(a.at<float>(1), p.experts, 0.0F);
    sigmoid<float, 1>(a, p);
    const auto count = static_cast<std::size_t>(p.rows * p.top_k);
    std::vector<std::int32_t> chosen(count);
    std::vector<float> w(count);
    std::vector<float> affinity(count);
    topk_sigmoid({chosen.data(), w.data(), affinity.data()}, a.at<float>(0), a.at<float>(1),
                 {p.rows, p.experts, p.top_k, p.groups, p.group_limit});
    EXPECT_TRUE(std::ranges::equal(chosen, std::span(a.at<std::int32_t>(2), count)))
        << g.experts << " in " << g.groups;
  }
}

}  // namespace trainmeter
