// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Gradients of a step's kernels on a GPU, in packs as step_cuda_kernels.cuh has them; rope's is
// there.
#pragma once

#include "kernels/step_cuda_kernels.cuh"

namespace trainmeter::step_cuda {

struct TwoSums {
  float first, second;
  __device__ TwoSums shuffled(int mask) const {
    return {__shfl_xor_sync(kWarp, first, mask), __shfl_xor_sync(kWarp, second, mask)};
  }
};

// A block has every gridDim.x-th row and sums the weights' gradient over them in `cols` floats of
// shared memory, where each thread has columns of its own; at the end it writes them to its row of
// partial fp32[gridDim.x, cols]. The second reading of x and dy finds them in the cache.
template <class T, int V>
__global__ void __launch_bounds__(kFlatThreads)
    rmsnorm_backward(T* __restrict__ dx, float* __restrict__ partial, const T* __restrict__ x,
                     const T* __restrict__ w, const T* __restrict__ dy, std::int64_t rows,
                     int cols) {
  auto* const dw_of_block = launch_memory<float>();
  for_each_pack<V>(cols, [&](std::int64_t c) { store_pack<V>(dw_of_block + c, Pack<float, V>{}); });
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const std::int64_t at = row * cols;
    TwoSums seen = {0, 0};  // of squares, and of dy w x
    for_each_pack<V>(cols, [&](std::int64_t c) {
      const auto in = load<V>(x + at + c);
      const auto weight = load<V>(w + c);
      const auto gradient = load<V>(dy + at + c);
#pragma unroll
      for (int l = 0; l < V; ++l) {
        const float value = to_float(in.lane[l]);
        seen.first += value * value;
        seen.second += to_float(gradient.lane[l]) * to_float(weight.lane[l]) * value;
      }
    });
    const TwoSums sums = reduce_block(seen, TwoSums{0, 0}, [](TwoSums a, TwoSums b) {
      return TwoSums{a.first + b.first, a.second + b.second};
    });
    const float inverse = 1 / sqrtf(sums.first / static_cast<float>(cols) + kNormEpsilon);
    const float along = inverse * inverse * sums.second / static_cast<float>(cols);
    for_each_pack<V>(cols, [&](std::int64_t c) {
      const auto in = load<V>(x + at + c);
      const auto weight = load<V>(w + c);
      const auto gradient = load<V>(dy + at + c);
      auto dw = load<V>(dw_of_block + c);
      Pack<T, V> out;
#pragma unroll
      for (int l = 0; l < V; ++l) {
        const float value = to_float(in.lane[l]);
        const float g = to_float(gradient.lane[l]);
        store(out.lane[l], inverse * (g * to_float(weight.lane[l]) - value * along));
        dw.lane[l] += g * value * inverse;
      }
      store_pack<V>(dx + at + c, out);
      store_pack<V>(dw_of_block + c, dw);
    });
    __syncthreads();  // before the next row's sums take the place of this one's
  }
  partial += static_cast<std::int64_t>(blockIdx.x) * cols;
  for_each_pack<V>(cols, [&](std::int64_t c) { copy_pack<V>(partial + c, dw_of_block + c); });
}

// Sums the rows of partial fp32[parts, cols], some hundreds. A block has 32 columns, each of its
// warps every so many-th row: with as many warps as a block can have, few are waited for.
constexpr int kSumWarps = kMostThreads / 32;
template <int kWarps = kSumWarps>
__global__ void __launch_bounds__(kWarps * 32)
    sum_rows(float* __restrict__ sums, const float* __restrict__ partial, int parts, int cols) {
  __shared__ float of_warp[kWarps][32];
  const int lane = threadIdx.x % 32;
  const int c = blockIdx.x * 32 + lane;
  float sum = 0;
  for (int part = threadIdx.x / 32; c < cols && part < parts; part += kWarps) {
    sum += partial[static_cast<std::int64_t>(part) * cols + c];
  }
  of_warp[threadIdx.x / 32][lane] = sum;
  __syncthreads();
  if (threadIdx.x >= 32 || c >= cols) return;
  sum = 0;
#pragma unroll
  for (int warp = 0; warp < kWarps; ++warp) sum += of_warp[warp][lane];
  sums[c] = sum;
}

template <class T, int V>
__global__ void __launch_bounds__(kFlatThreads)
    gelu_backward(T* __restrict__ dx, const T* __restrict__ x, const T* __restrict__ dy,
                  std::int64_t count) {
  for_each_pack_of_all<V>(count, [&](std::int64_t i) {
    const auto in = load<V>(x + i);
    const auto gradient = load<V>(dy + i);
    Pack<T, V> out;
#pragma unroll
    for (int l = 0; l < V; ++l) {
      const float value = to_float(in.lane[l]);
      const float gate = gelu_gate(value);
      const float slope = kGeluSlope * (1 + 3 * kGeluCubic * value * value);
      store(out.lane[l], to_float(gradient.lane[l]) * gate * (1 + value * (1 - gate) * slope));
    }
    store_pack<V>(dx + i, out);
  });
}

// A block a row.
template <class T, int V>
__global__ void __launch_bounds__(kMostThreads)
    swiglu_backward(T* __restrict__ dx, const T* __restrict__ x, const T* __restrict__ dy,
                    int cols) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * cols;
  for_each_pack<V>(cols, [&](std::int64_t c) {
    const auto gate = load<V>(x + 2 * at + c);
    const auto up = load<V>(x + 2 * at + cols + c);
    const auto gradient = load<V>(dy + at + c);
    Pack<T, V> of_gate, of_up;
#pragma unroll
    for (int l = 0; l < V; ++l) {
      const float g = to_float(gate.lane[l]);
      const float sigmoid = 1 / (1 + expf(-g));
      const float with = to_float(gradient.lane[l]) * sigmoid;
      store(of_gate.lane[l], with * to_float(up.lane[l]) * (1 + g * (1 - sigmoid)));
      store(of_up.lane[l], with * g);
    }
    store_pack<V>(dx + 2 * at + c, of_gate);
    store_pack<V>(dx + 2 * at + cols + c, of_up);
  });
}

// A block a token: reads its copies and writes their sum, weighted where there are weights:
// permute_backward without, unpermute with them.
template <class T, int V, bool kWeighted>
__global__ void __launch_bounds__(kMostThreads)
    sum_copies(T* __restrict__ y, const T* __restrict__ x, const std::int32_t* __restrict__ places,
               const float* __restrict__ weights, int cols, int top_k) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * cols;
  places += static_cast<std::int64_t>(blockIdx.x) * top_k;
  if constexpr (kWeighted) weights += static_cast<std::int64_t>(blockIdx.x) * top_k;
  for_each_pack<V>(cols, [&](std::int64_t c) {
    float sum[V] = {};
#pragma unroll 4
    for (int j = 0; j < top_k; ++j) {
      const auto copy = load<V>(x + static_cast<std::int64_t>(places[j]) * cols + c);
      const float weight = kWeighted ? weights[j] : 1;
#pragma unroll
      for (int l = 0; l < V; ++l) sum[l] += weight * to_float(copy.lane[l]);
    }
    Pack<T, V> out;
#pragma unroll
    for (int l = 0; l < V; ++l) store(out.lane[l], sum[l]);
    store_pack<V>(y + at + c, out);
  });
}

// A block a token, copy by copy: the token's gradient, read again from the cache, goes weighted to
// the copy's place, and times the copy into the gradient of its weight.
template <class T, int V>
__global__ void __launch_bounds__(kMostThreads)
    unpermute_backward(T* __restrict__ dx, float* __restrict__ dw, const T* __restrict__ x,
                       const T* __restrict__ dy, const std::int32_t* __restrict__ places,
                       const float* __restrict__ weights, int cols, int top_k) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * cols;
  for (int j = 0; j < top_k; ++j) {
    const std::int64_t copy = static_cast<std::int64_t>(blockIdx.x) * top_k + j;
    const std::int64_t to = static_cast<std::int64_t>(places[copy]) * cols;
    const float weight = weights[copy];
    float product = 0;
    for_each_pack<V>(cols, [&](std::int64_t c) {
      const auto gradient = load<V>(dy + at + c);
      const auto value = load<V>(x + to + c);
      Pack<T, V> out;
#pragma unroll
      for (int l = 0; l < V; ++l) {
        product += to_float(gradient.lane[l]) * to_float(value.lane[l]);
        store(out.lane[l], weight * to_float(gradient.lane[l]));
      }
      store_pack<V>(dx + to + c, out);
    });
    const Sum sum =
        reduce_block(Sum{product}, Sum{0}, [](Sum a, Sum b) { return Sum{a.value + b.value}; });
    if (threadIdx.x == 0) dw[copy] = sum.value;
    __syncthreads();  // the next sum goes through the same shared memory
  }
}

}  // namespace trainmeter::step_cuda
