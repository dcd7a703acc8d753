// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The GPU's casts, norms, GELU, permutation and loss, their own source, run on the CPU thread by
// thread: blocks of up to 256 threads with barriers and shuffles, rows that are whole packs and
// not, checked as on a GPU.
#include "kernels/rounding.hpp"
#include "kernels/step_arrays.hpp"
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
#include <functional>
#include <vector>

// What nvcc gives a kernel, here from the model's fibres.
namespace {

struct Index {
  unsigned x = 1, y = 1;
};
Index threadIdx, blockIdx, blockDim, gridDim;  // threadIdx: set before each thread goes on

void __syncthreads() {
  const Index thread = threadIdx;
  trainmeter::mma::WarpModel::now().with_block();
  threadIdx = thread;
}
template <class S>
S __shfl_xor_sync(unsigned, S value, int mask) {
  trainmeter::mma::WarpModel& model = trainmeter::mma::WarpModel::now();
  static std::array<std::array<std::uint64_t, 32>, 32> brought, offered;  // by the warps' lanes
  const Index thread = threadIdx;
  const auto lane = static_cast<std::size_t>(model.lane());
  const std::size_t warp = thread.x / 32;
  std::memcpy(&brought[warp][lane], &value, sizeof value);
  model.with_warp("shuffle", [warp] { offered[warp] = brought[warp]; });
  threadIdx = thread;
  std::memcpy(&value, &offered[warp][lane ^ static_cast<std::size_t>(mask)], sizeof value);
  return value;
}
std::uint32_t __float_as_uint(float x) {
  return std::bit_cast<std::uint32_t>(x);
}
float __uint_as_float(std::uint32_t x) {
  return std::bit_cast<float>(x);
}

}  // namespace

using std::max;
using std::min;
#define __launch_bounds__(...)
#undef __shared__
#define __shared__ static           // of all fibres, one block at a time
#define step_cuda step_cuda_blocks  // apart from those that step_cuda_router_test.cpp compiles
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include "kernels/step_cuda_backward.cuh"
#include "kernels/step_cuda_cast.cuh"
#include "kernels/step_cuda_layernorm.cuh"
#pragma GCC diagnostic pop

namespace trainmeter {
namespace step_cuda {
template <class T>
T* launch_memory() {
  alignas(32) static unsigned char bytes[kTileBytes<float>];
  return reinterpret_cast<T*>(bytes);
}
}  // namespace step_cuda
namespace {

using step_cuda::Bf16;

class Kernel : public StepArraysOnHost {
 public:
  using StepArraysOnHost::StepArraysOnHost;

  static void launch(Index grid, unsigned threads, const std::function<void()>& kernel) {
    gridDim = grid;
    blockDim = {threads, 1};
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        mma::WarpModel block(static_cast<int>(threads), 0);
        blockIdx = {x, y};
        block.run([&](int thread) {
          threadIdx = {static_cast<unsigned>(thread), 0};
          kernel();
        });
      }
    }
  }

  [[nodiscard]] Index tiles() const {
    return {static_cast<unsigned>(cast_blocks(problem().cols)),
            static_cast<unsigned>(cast_blocks(problem().rows))};
  }
  [[nodiscard]] Index rows() const { return {static_cast<unsigned>(problem().rows), 1}; }

  void expect_right() {
    const StepProblem& p = problem();
    const Check found = check();
    EXPECT_TRUE(found.ok) << to_string(p.kernel) << " " << to_string(p.dtype) << " " << p.rows
                          << " x " << p.cols << ": " << found.error;
  }
};

template <class T>
constexpr DType kType = std::is_same_v<T, float> ? DType::fp32 : DType::bf16;

template <class T, bool kAligned, bool kColumnsAligned>
void casts(int rows, int cols) {
  StepProblem p = {
      .kernel = StepKernel::cast_fp8_transpose, .dtype = kType<T>, .rows = rows, .cols = cols};
  Kernel both(p);
  Kernel::launch(both.tiles(), 2 * kCastBlock, [&] {
    step_cuda::cast_fp8_transpose<T, kAligned, kColumnsAligned>(
        both.at<std::uint8_t>(1), both.at<float>(2), both.at<std::uint8_t>(3), both.at<float>(4),
        both.at<T>(0), rows, cols);
  });
  both.expect_right();
  p.kernel = StepKernel::cast_fp8_block;
  Kernel square(p);
  Kernel::launch(square.tiles(), step_cuda::kFlatThreads, [&] {
    step_cuda::cast_fp8_block<T, kAligned>(square.at<std::uint8_t>(1), square.at<float>(2),
                                           square.at<T>(0), rows, cols);
  });
  square.expect_right();
}

template <bool kAligned, bool kColumnsAligned>
void recasts(int rows, int cols) {
  Kernel again({.kernel = StepKernel::recast_fp8, .dtype = DType::fp8, .rows = rows, .cols = cols});
  Kernel::launch(again.tiles(), 2 * kCastBlock, [&] {
    step_cuda::recast_fp8<kAligned, kColumnsAligned>(again.at<std::uint8_t>(2), again.at<float>(3),
                                                     again.at<std::uint8_t>(0), again.at<float>(1),
                                                     rows, cols);
  });
  again.expect_right();
}

// parts: blocks that share the rows.
template <class T, int V>
void norms(int rows, int cols, unsigned parts) {
  const unsigned threads = 64;
  StepProblem p = {.kernel = StepKernel::layernorm, .dtype = kType<T>, .rows = rows, .cols = cols};
  Kernel forward(p);
  Kernel::launch(forward.rows(), threads, [&] {
    step_cuda::layernorm<T, V>(forward.at<T>(3), forward.at<T>(0), forward.at<T>(1),
                               forward.at<T>(2), cols);
  });
  forward.expect_right();
  p.kernel = StepKernel::rmsnorm;
  Kernel root(p);
  Kernel::launch(root.rows(), threads, [&] {
    step_cuda::rmsnorm<T, V>(root.at<T>(2), root.at<T>(0), root.at<T>(1), cols);
  });
  root.expect_right();
  p.kernel = StepKernel::layernorm_backward;
  Kernel backward(p);
  HostBuffer partial(static_cast<std::int64_t>(2 * parts) * cols * 4);
  Kernel::launch({parts, 1}, threads, [&] {
    step_cuda::layernorm_backward<T, V>(backward.at<T>(3), partial.as<float>(), backward.at<T>(0),
                                        backward.at<T>(1), backward.at<T>(2), rows, cols);
  });
  for (unsigned i = 0; i < 2; ++i) {
    Kernel::launch({static_cast<unsigned>(ceil_div(cols, 32)), 1}, step_cuda::kFlatThreads, [&] {
      step_cuda::sum_rows<8>(backward.at<float>(4 + i),
                             partial.as<float>() + static_cast<std::int64_t>(i * parts) * cols,
                             static_cast<int>(parts), cols);
    });
  }
  backward.expect_right();
  p.kernel = StepKernel::rmsnorm_backward;
  Kernel uncentred(p);
  Kernel::launch({parts, 1}, threads, [&] {
    step_cuda::rmsnorm_backward<T, V>(uncentred.at<T>(3), partial.as<float>(), uncentred.at<T>(0),
                                      uncentred.at<T>(1), uncentred.at<T>(2), rows, cols);
  });
  Kernel::launch({static_cast<unsigned>(ceil_div(cols, 32)), 1}, step_cuda::kFlatThreads, [&] {
    step_cuda::sum_rows<8>(uncentred.at<float>(4), partial.as<float>(), static_cast<int>(parts),
                           cols);
  });
  uncentred.expect_right();
}

template <class T, int V>
void gelus(int rows, int cols) {
  StepProblem p = {.kernel = StepKernel::gelu, .dtype = kType<T>, .rows = rows, .cols = cols};
  Kernel forward(p);
  Kernel::launch({2, 1}, step_cuda::kFlatThreads, [&] {
    step_cuda::gelu<T, V>(forward.at<T>(1), forward.at<T>(0), p.rows * p.cols);
  });
  forward.expect_right();
  p.kernel = StepKernel::gelu_backward;
  Kernel backward(p);
  Kernel::launch({2, 1}, step_cuda::kFlatThreads, [&] {
    step_cuda::gelu_backward<T, V>(backward.at<T>(2), backward.at<T>(0), backward.at<T>(1),
                                   p.rows * p.cols);
  });
  backward.expect_right();
}

template <class T, int V>
void permutes(int rows, int cols) {
  Kernel copies({.kernel = StepKernel::permute,
                 .dtype = kType<T>,
                 .rows = rows,
                 .cols = cols,
                 .experts = 5,
                 .top_k = 3});
  Kernel::launch(copies.rows(), 64, [&] {
    step_cuda::permute<T, V>(copies.at<T>(2), copies.at<T>(0), copies.at<std::int32_t>(1), cols, 3);
  });
  copies.expect_right();
}

template <class T, int V>
void cross_entropies(int rows, int cols) {
  Kernel loss({.kernel = StepKernel::cross_entropy, .dtype = kType<T>, .rows = rows, .cols = cols});
  Kernel::launch(loss.rows(), 64, [&] {
    step_cuda::cross_entropy<T, V>(loss.at<float>(2), loss.at<T>(3), loss.at<T>(0),
                                   loss.at<std::int32_t>(1), cols);
  });
  loss.expect_right();
}

TEST(CudaStepOnTheCpu, CastsAreRight) {
  casts<Bf16, true, true>(144, 200);  // parts of tiles in both directions
  casts<Bf16, false, false>(3, 127);
  casts<float, true, false>(130, 132);
  casts<float, false, true>(16, 131);
  casts<float, true, false>(1, 4);
}

TEST(CudaStepOnTheCpu, WhatIsFp8AlreadyIsCastRight) {
  recasts<true, true>(144, 208);
  recasts<true, false>(131, 16);
  recasts<false, true>(16, 131);
  recasts<false, false>(3, 1);
  recasts<true, false>(1, 16);
}

TEST(CudaStepOnTheCpu, LayerNormIsRight) {
  norms<Bf16, 8>(5, 264, 2);
  norms<Bf16, 1>(3, 127, 3);
  norms<float, 4>(9, 512, 4);
  norms<Bf16, 8>(21, 64, 19);  // more parts than a warp of the sum has to itself
  norms<float, 1>(1, 1, 1);
}

// Fewer packs than threads and more.
TEST(CudaStepOnTheCpu, PermuteIsRight) {
  permutes<Bf16, 8>(7, 600);
  permutes<Bf16, 1>(3, 127);
  permutes<float, 4>(5, 260);
  permutes<float, 1>(1, 1);
}

TEST(CudaStepOnTheCpu, CrossEntropyIsRight) {
  cross_entropies<Bf16, 8>(3, 1000);
  cross_entropies<Bf16, 1>(3, 127);
  cross_entropies<float, 4>(5, 260);
  cross_entropies<float, 1>(2, 3);
}

TEST(CudaStepOnTheCpu, GeluIsRight) {
  gelus<Bf16, 8>(3, 1000);
  gelus<Bf16, 1>(3, 127);
  gelus<float, 4>(9, 500);
  gelus<float, 1>(1, 1);
}

}  // namespace
}  // namespace trainmeter
