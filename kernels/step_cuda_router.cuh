// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A router on a GPU: a warp a token, whose logits its lanes hold in registers, in packs as
// step_cuda_kernels.cuh has them.
#pragma once

#include "kernels/step_cuda_kernels.cuh"

namespace trainmeter::step_cuda {

// Experts that a lane holds: 256 and 1,024 in all.
constexpr int kFewPerLane = 8;
constexpr int kManyPerLane = 32;
constexpr int kMostExperts = 32 * kManyPerLane;

// A logit with its expert as one number, ordered as they are chosen: by the logit, of equal ones
// the lower expert first. Above 0, which is no expert's.
__device__ inline std::uint64_t key_of(float logit, int expert) {
  const auto bits = static_cast<std::uint32_t>(__float_as_int(logit));
  const std::uint32_t ordered = bits & 0x80000000U ? ~bits : bits | 0x80000000U;
  return static_cast<std::uint64_t>(ordered) << 32 | ~static_cast<std::uint32_t>(expert);
}

__device__ inline int expert_of(std::uint64_t key) {
  return static_cast<int>(~static_cast<std::uint32_t>(key));
}

__device__ inline float logit_of(std::uint64_t key) {
  const auto ordered = static_cast<std::uint32_t>(key >> 32);
  return __int_as_float(static_cast<int>(ordered & 0x80000000U ? ordered & 0x7fffffffU : ~ordered));
}

// top_k times the largest key below the last one. The first logit is the largest, so that each
// exponential is known at once; lane j % 32 keeps the j-th and divides it when all are summed.
template <class T, int V, int kPerLane>
__global__ void __launch_bounds__(kFlatThreads)
    topk_softmax(std::int32_t* __restrict__ chosen, float* __restrict__ w, const T* __restrict__ x,
                 std::int64_t rows, int experts, int top_k) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t row =
      (static_cast<std::int64_t>(blockIdx.x) * kFlatThreads + threadIdx.x) / 32;
  if (row >= rows) return;  // the whole warp
  x += row * experts;
  std::uint64_t keys[kPerLane];
#pragma unroll
  for (int i = 0; i < kPerLane / V; ++i) {
    const int first = (i * 32 + lane) * V;
    const bool here = first < experts;
    const auto pack = here ? load<V>(x + first) : Pack<T, V>{};
#pragma unroll
    for (int l = 0; l < V; ++l)
      keys[i * V + l] = here ? key_of(to_float(pack.lane[l]), first + l) : 0;
  }
  std::uint64_t last = ~std::uint64_t{0};
  float most = 0;
  float sum = 0;
  for (int j = 0; j < top_k; ++j) {
    std::uint64_t best = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      if (keys[i] < last && keys[i] > best) best = keys[i];
    }
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) {
      const std::uint64_t other = __shfl_xor_sync(kWarp, best, mask);
      if (other > best) best = other;
    }
    last = best;
    if (j == 0) most = logit_of(best);
    const float value = expf(logit_of(best) - most);
    sum += value;
    if (lane != j % 32) continue;
    chosen[row * top_k + j] = expert_of(best);
    w[row * top_k + j] = value;
  }
  for (int j = lane; j < top_k; j += 32) w[row * top_k + j] /= sum;  // what the lane itself wrote
}

// Zeros for all experts, then over them the chosen ones' gradients.
template <class T, int V>
__global__ void __launch_bounds__(kFlatThreads)
    topk_softmax_backward(T* __restrict__ dx, const std::int32_t* __restrict__ chosen,
                          const float* __restrict__ w, const float* __restrict__ dw,
                          std::int64_t rows, int experts, int top_k) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t row =
      (static_cast<std::int64_t>(blockIdx.x) * kFlatThreads + threadIdx.x) / 32;
  if (row >= rows) return;
  dx += row * experts;
  Pack<T, V> none;
#pragma unroll
  for (int l = 0; l < V; ++l) store(none.lane[l], 0);
  for (int e = lane * V; e < experts; e += 32 * V) store_pack<V>(dx + e, none);
  float mean = 0;
  for (int j = lane; j < top_k; j += 32) mean += w[row * top_k + j] * dw[row * top_k + j];
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) mean += __shfl_xor_sync(kWarp, mean, mask);
  __syncwarp();  // another lane's zeros come before
  for (int j = lane; j < top_k; j += 32) {
    const std::int64_t at = row * top_k + j;
    store(dx[chosen[at]], w[at] * (dw[at] - mean));
  }
}

}  // namespace trainmeter::step_cuda
