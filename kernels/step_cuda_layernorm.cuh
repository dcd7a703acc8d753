// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// LayerNorm and its gradient on a GPU, in packs as step_cuda_kernels.cuh has them. A row is read
// once for its mean, once for its spread and once for the result: after the first time from the
// cache.
#pragma once

#include "kernels/step_cuda_kernels.cuh"

namespace trainmeter::step_cuda {

struct ThreeSums {
  float first, second, third;
  __device__ ThreeSums shuffled(int mask) const {
    return {__shfl_xor_sync(kWarp, first, mask), __shfl_xor_sync(kWarp, second, mask),
            __shfl_xor_sync(kWarp, third, mask)};
  }
};

__device__ inline ThreeSums added(ThreeSums a, ThreeSums b) {
  return {a.first + b.first, a.second + b.second, a.third + b.third};
}

// Of a block's threads.
__device__ inline float sum_of_block(float value) {
  return reduce_block(Sum{value}, Sum{0}, [](Sum a, Sum b) { return Sum{a.value + b.value}; })
      .value;
}

// Of a block's row.
template <int V, class T>
__device__ float mean_of(const T* x, int cols) {
  float sum = 0;
  for_each_pack<V>(cols, [&](std::int64_t c) {
    const auto in = load<V>(x + c);
#pragma unroll
    for (int l = 0; l < V; ++l) sum += to_float(in.lane[l]);
  });
  return sum_of_block(sum) / static_cast<float>(cols);
}

__device__ inline float inverse_of(float squares, int cols) {
  return 1 / sqrtf(squares / static_cast<float>(cols) + kLayerNormEpsilon);
}

// A block a row.
template <class T, int V>
__global__ void __launch_bounds__(kMostThreads)
    layernorm(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ w,
              const T* __restrict__ b, int cols) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * cols;
  const float mean = mean_of<V>(x + at, cols);
  __syncthreads();  // the next sum goes through the same shared memory
  float squares = 0;
  for_each_pack<V>(cols, [&](std::int64_t c) {
    const auto in = load<V>(x + at + c);
#pragma unroll
    for (int l = 0; l < V; ++l) {
      const float from_mean = to_float(in.lane[l]) - mean;
      squares += from_mean * from_mean;
    }
  });
  const float inverse = inverse_of(sum_of_block(squares), cols);
  for_each_pack<V>(cols, [&](std::int64_t c) {
    const auto in = load<V>(x + at + c);
    const auto weight = load<V>(w + c);
    const auto bias = load<V>(b + c);
    Pack<T, V> out;
#pragma unroll
    for (int l = 0; l < V; ++l) {
      store(out.lane[l], (to_float(in.lane[l]) - mean) * inverse * to_float(weight.lane[l]) +
                             to_float(bias.lane[l]));
    }
    store_pack<V>(y + at + c, out);
  });
}

// As rmsnorm_backward: a block has every gridDim.x-th row and sums both gradients in shared memory,
// the weights' and behind them the biases'. It writes them to its row of fp32[gridDim.x, cols],
// whose place for the biases is behind that for the weights.
template <class T, int V>
__global__ void __launch_bounds__(kFlatThreads)
    layernorm_backward(T* __restrict__ dx, float* __restrict__ partial, const T* __restrict__ x,
                       const T* __restrict__ w, const T* __restrict__ dy, std::int64_t rows,
                       int cols) {
  auto* const sums_of_block = launch_memory<float>();
  for_each_pack<V>(cols, [&](std::int64_t c) {
    store_pack<V>(sums_of_block + c, Pack<float, V>{});
    store_pack<V>(sums_of_block + cols + c, Pack<float, V>{});
  });
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const std::int64_t at = row * cols;
    const float mean = mean_of<V>(x + at, cols);
    ThreeSums seen = {0, 0, 0};  // of squares, of dy w, and of dy w (x - mean)
    for_each_pack<V>(cols, [&](std::int64_t c) {
      const auto in = load<V>(x + at + c);
      const auto weight = load<V>(w + c);
      const auto gradient = load<V>(dy + at + c);
#pragma unroll
      for (int l = 0; l < V; ++l) {
        const float from_mean = to_float(in.lane[l]) - mean;
        const float g = to_float(gradient.lane[l]) * to_float(weight.lane[l]);
        seen = added(seen, {from_mean * from_mean, g, g * from_mean});
      }
    });
    const ThreeSums sums = reduce_block(seen, ThreeSums{0, 0, 0}, added);
    const float inverse = inverse_of(sums.first, cols);
    const float mean_g = sums.second / static_cast<float>(cols);
    const float along = inverse * inverse * sums.third / static_cast<float>(cols);
    for_each_pack<V>(cols, [&](std::int64_t c) {
      const auto in = load<V>(x + at + c);
      const auto weight = load<V>(w + c);
      const auto gradient = load<V>(dy + at + c);
      auto dw = load<V>(sums_of_block + c);
      auto db = load<V>(sums_of_block + cols + c);
      Pack<T, V> out;
#pragma unroll
      for (int l = 0; l < V; ++l) {
        const float from_mean = to_float(in.lane[l]) - mean;
        const float g = to_float(gradient.lane[l]);
        store(out.lane[l], inverse * (g * to_float(weight.lane[l]) - mean_g - from_mean * along));
        dw.lane[l] += g * from_mean * inverse;
        db.lane[l] += g;
      }
      store_pack<V>(dx + at + c, out);
      store_pack<V>(sums_of_block + c, dw);
      store_pack<V>(sums_of_block + cols + c, db);
    });
    __syncthreads();  // before the next row's sums take the place of this one's
  }
  const std::int64_t own = static_cast<std::int64_t>(blockIdx.x) * cols;
  const std::int64_t biases = static_cast<std::int64_t>(gridDim.x) * cols;
  for_each_pack<V>(cols, [&](std::int64_t c) {
    copy_pack<V>(partial + own + c, sums_of_block + c);
    copy_pack<V>(partial + biases + own + c, sums_of_block + cols + c);
  });
}

}  // namespace trainmeter::step_cuda
