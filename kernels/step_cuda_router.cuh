// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A router on a GPU: a warp a token, whose logits its lanes hold in registers, in packs as
// step_cuda_kernels.cuh has them.
#pragma once

#include "kernels/rounding.hpp"
#include "kernels/step_cuda_kernels.cuh"

#include <bit>

namespace trainmeter::step_cuda {

// Experts that a lane holds: 256 and 1,024 in all.
constexpr int kFewPerLane = 8;
constexpr int kManyPerLane = 32;
constexpr int kMostExperts = 32 * kManyPerLane;

// A logit or score with its expert as one number, ordered as they are chosen: by the logit, of
// equal ones the lower expert first. Above 0, which is no expert's.
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

__device__ inline std::int64_t row_of_warp() {
  return (static_cast<std::int64_t>(blockIdx.x) * kFlatThreads + threadIdx.x) / 32;
}

// The largest key below `last` that a lane of the warp holds; 0 where there is none.
template <int kPerLane>
__device__ std::uint64_t largest_below(std::uint64_t last, const std::uint64_t (&keys)[kPerLane]) {
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
  return best;
}

__device__ inline float sum_of_warp(float value) {
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(kWarp, value, mask);
  return value;
}

// top_k times the largest key below the last one. The first logit is the largest, so that each
// exponential is known at once; lane j % 32 keeps the j-th and divides it when all are summed.
template <class T, int V, int kPerLane>
__global__ void __launch_bounds__(kFlatThreads)
    topk_softmax(std::int32_t* __restrict__ chosen, float* __restrict__ w, const T* __restrict__ x,
                 std::int64_t rows, int experts, int top_k) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t row = row_of_warp();
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
    last = largest_below(last, keys);
    if (j == 0) most = logit_of(last);
    const float value = expf(logit_of(last) - most);
    sum += value;
    if (lane != j % 32) continue;
    chosen[row * top_k + j] = expert_of(last);
    w[row * top_k + j] = value;
  }
  for (int j = lane; j < top_k; j += 32) w[row * top_k + j] /= sum;  // what the lane itself wrote
}

template <int V, class T>
__device__ void zero_row(T* dx, int experts, int lane) {
  Pack<T, V> none;
#pragma unroll
  for (int l = 0; l < V; ++l) store(none.lane[l], 0);
  for (int e = lane * V; e < experts; e += 32 * V) store_pack<V>(dx + e, none);
}

// Zeros for all experts, then over them the chosen ones' gradients.
template <class T, int V>
__global__ void __launch_bounds__(kFlatThreads)
    topk_softmax_backward(T* __restrict__ dx, const std::int32_t* __restrict__ chosen,
                          const float* __restrict__ w, const float* __restrict__ dw,
                          std::int64_t rows, int experts, int top_k) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t row = row_of_warp();
  if (row >= rows) return;
  dx += row * experts;
  zero_row<V>(dx, experts, lane);
  float mean = 0;
  for (int j = lane; j < top_k; j += 32) mean += w[row * top_k + j] * dw[row * top_k + j];
  mean = sum_of_warp(mean);
  __syncwarp();  // another lane's zeros come before
  for (int j = lane; j < top_k; j += 32) {
    const std::int64_t at = row * top_k + j;
    store(dx[chosen[at]], w[at] * (dw[at] - mean));
  }
}

// How a warp's lanes share the groups: as many lanes have each, a power of two, and a lane
// neighbouring experts, at most per_lane.
struct GroupedExperts {
  int experts, top_k, group_limit, group, lanes, per_lane;
};
constexpr std::int64_t kMostGroups = 32;

// `pack` divides the experts of a group.
inline GroupedExperts grouped_experts(const StepProblem& p, int pack) {
  const auto group = static_cast<int>(p.experts / p.groups);
  const auto lanes = static_cast<int>(std::bit_floor(static_cast<unsigned>(32 / p.groups)));
  return {.experts = static_cast<int>(p.experts),
          .top_k = static_cast<int>(p.top_k),
          .group_limit = static_cast<int>(p.group_limit),
          .group = group,
          .lanes = lanes,
          .per_lane = ceil_div(group / pack, lanes) * pack};
}

__device__ inline float sigmoid_of(float x) {
  return 1 / (1 + expf(-x));
}

// Whether the lane's group is among the group_limit best, by its two highest scores, of which the
// lane has seen its own; of equal ones the lower is better.
__device__ inline bool group_is_kept(float first, float second, const GroupedExperts& of,
                                     int lane) {
  for (int mask = of.lanes / 2; mask > 0; mask /= 2) {
    const float other = __shfl_xor_sync(kWarp, first, mask);
    second = fmaxf(fmaxf(second, __shfl_xor_sync(kWarp, second, mask)), fminf(first, other));
    first = fmaxf(first, other);
  }
  const float own = of.group == 1 ? first : first + second;
  int better = 0;
  for (int g = 0; g < of.experts / of.group; ++g) {
    const float other = __shfl_sync(kWarp, own, g * of.lanes);
    if (g < lane / of.lanes ? other >= own : other > own) ++better;
  }
  return better < of.group_limit;
}

// A lane's experts are all of one group, so that it keeps all of them or none; then as in
// topk_softmax(). Affinities are computed once more for those chosen. Left to choose how many
// blocks an SM has, the compiler spills registers for a sixth.
template <class T, int V, int kPerLane>
__global__ void __launch_bounds__(kFlatThreads, kPerLane <= kFewPerLane ? 4 : 2)
    topk_sigmoid(std::int32_t* __restrict__ chosen, float* __restrict__ w,
                 float* __restrict__ affinity, const T* __restrict__ x,
                 const float* __restrict__ bias, std::int64_t rows, GroupedExperts of) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t row = row_of_warp();
  if (row >= rows) return;
  x += row * of.experts;
  const int group_end = min((lane / of.lanes + 1) * of.group, of.experts);
  const int begin = lane / of.lanes * of.group + lane % of.lanes * of.per_lane;
  const int end = min(begin + of.per_lane, group_end);
  std::uint64_t keys[kPerLane];
  float first = -INFINITY;
  float second = -INFINITY;
#pragma unroll
  for (int i = 0; i < kPerLane / V; ++i) {
    const bool here = begin + i * V < end;
    const auto logits = here ? load<V>(x + begin + i * V) : Pack<T, V>{};
    const auto biases = here ? load<V>(bias + begin + i * V) : Pack<float, V>{};
#pragma unroll
    for (int l = 0; l < V; ++l) {
      const float score = here ? sigmoid_of(to_float(logits.lane[l])) + biases.lane[l] : -INFINITY;
      keys[i * V + l] = here ? key_of(score, begin + i * V + l) : 0;
      second = fmaxf(second, fminf(first, score));
      first = fmaxf(first, score);
    }
  }
  if (!group_is_kept(first, second, of, lane)) {
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) keys[i] = 0;
  }
  std::uint64_t last = ~std::uint64_t{0};
  for (int j = 0; j < of.top_k; ++j) {
    last = largest_below(last, keys);
    if (lane == j % 32) chosen[row * of.top_k + j] = expert_of(last);
  }
  float sum = 0;
  for (int j = lane; j < of.top_k; j += 32) {  // what the lane itself wrote
    const std::int64_t at = row * of.top_k + j;
    affinity[at] = sigmoid_of(to_float(x[chosen[at]]));
    sum += affinity[at];
  }
  const float scale = kRoutedScale / (sum_of_warp(sum) + kLeastAffinities);
  for (int j = lane; j < of.top_k; j += 32)
    w[row * of.top_k + j] = scale * affinity[row * of.top_k + j];
}

// As topk_softmax_backward().
template <class T, int V>
__global__ void __launch_bounds__(kFlatThreads)
    topk_sigmoid_backward(T* __restrict__ dx, const std::int32_t* __restrict__ chosen,
                          const float* __restrict__ affinity, const float* __restrict__ dw,
                          std::int64_t rows, int experts, int top_k) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t row = row_of_warp();
  if (row >= rows) return;
  dx += row * experts;
  zero_row<V>(dx, experts, lane);
  float sum = 0;
  float mean = 0;
  for (int j = lane; j < top_k; j += 32) {
    sum += affinity[row * top_k + j];
    mean += affinity[row * top_k + j] * dw[row * top_k + j];
  }
  sum = sum_of_warp(sum) + kLeastAffinities;
  mean = sum_of_warp(mean) / sum;
  __syncwarp();  // another lane's zeros come before
  for (int j = lane; j < top_k; j += 32) {
    const std::int64_t at = row * top_k + j;
    const float a = affinity[at];
    store(dx[chosen[at]], kRoutedScale * (a / sum) * (1 - a) * (dw[at] - mean));
  }
}

}  // namespace trainmeter::step_cuda
