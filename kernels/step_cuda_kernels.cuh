// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The kernels of a step on a GPU. Each moves packs of V elements, 16 bytes where rows allow it,
// else single elements; arithmetic is in fp32. Arrays and formulas: step_arrays.hpp,
// step_kernel.hpp.
#pragma once

#include "kernels/step_arrays.hpp"

#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include <cstdint>
#include <type_traits>

namespace trainmeter::step_cuda {

constexpr unsigned kWarp = 0xffffffffU;
constexpr int kMostThreads = 1024;
constexpr int kFlatThreads = 256;

using Bf16 = __nv_bfloat16;

__device__ inline float to_float(float x) {
  return x;
}
__device__ inline float to_float(Bf16 x) {
  return __bfloat162float(x);
}
__device__ inline void store(float& to, float x) {
  to = x;
}
__device__ inline void store(Bf16& to, float x) {
  to = __float2bfloat16_rn(x);
}

// Of a block: as much shared memory as its launch asked for.
#ifdef __CUDACC__
template <class T>
__device__ T* launch_memory() {
  extern __shared__ __align__(32) unsigned char bytes[];
  return reinterpret_cast<T*>(bytes);
}
#else  // where a test runs kernels on the CPU, it has that
template <class T>
T* launch_memory();
#endif

template <class T, int V>
struct alignas(V * sizeof(T)) Pack {
  T lane[V];
};

template <int V, class T>
__device__ Pack<T, V> load(const T* from) {
  return *reinterpret_cast<const Pack<T, V>*>(from);
}

template <int V, class T>
__device__ void store_pack(T* to, const Pack<T, V>& pack) {
  *reinterpret_cast<Pack<T, V>*>(to) = pack;
}

// A pack of 16 bytes goes as one number here: a struct that is only copied, nvcc stores member by
// member, two bytes at a time in bf16.
template <int V, class T>
__device__ void copy_pack(T* to, const T* from) {
  using Whole =
      std::conditional_t<sizeof(Pack<T, V>) == sizeof(__int128), unsigned __int128, Pack<T, V>>;
  *reinterpret_cast<Whole*>(to) = *reinterpret_cast<const Whole*>(from);
}

// Calls visit(c) for the first element of each pack of a row of `cols`, the block's threads side by
// side.
template <int V, class F>
__device__ void for_each_pack(std::int64_t cols, F&& visit) {
  for (std::int64_t c = V * static_cast<std::int64_t>(threadIdx.x); c < cols; c += V * blockDim.x) {
    visit(c);
  }
}

// The same over all threads of the grid, four packs of a thread in flight.
template <int V, class F>
__device__ void for_each_pack_of_all(std::int64_t count, F&& visit) {
  constexpr int kUnroll = 4;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; i + (kUnroll - 1) * step < count / V; i += kUnroll * step) {
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) visit((i + u * step) * V);
  }
  for (; i < count / V; i += step) visit(i * V);
}

// Combines one value of each thread: within warps by shuffles, then the warps' results, which every
// warp combines for itself, so that all threads have the result. `identity` changes nothing.
template <class S, class Combine>
__device__ S reduce_block(S value, S identity, Combine combine) {
  __shared__ S of_warp[kMostThreads / 32];
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) value = combine(value, value.shuffled(offset));
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  value = threadIdx.x % 32 < blockDim.x / 32 ? of_warp[threadIdx.x % 32] : identity;
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) value = combine(value, value.shuffled(offset));
  return value;
}

struct Sum {
  float value;
  __device__ Sum shuffled(int mask) const { return {__shfl_xor_sync(kWarp, value, mask)}; }
};

// A block a row. The second reading of x finds it in the cache.
template <class T, int V>
__global__ void __launch_bounds__(kMostThreads)
    rmsnorm(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ w, int cols) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * cols;
  const int step = V * static_cast<int>(blockDim.x);
  float squares = 0;
  for (int c = V * static_cast<int>(threadIdx.x); c < cols; c += 2 * step) {  // two loads at a time
    Pack<T, V> in[2] = {load<V>(x + at + c), {}};
    if (step < cols - c) in[1] = load<V>(x + at + c + step);
#pragma unroll
    for (const auto& pack : in) {
#pragma unroll
      for (int l = 0; l < V; ++l) squares += to_float(pack.lane[l]) * to_float(pack.lane[l]);
    }
  }
  const Sum sum =
      reduce_block(Sum{squares}, Sum{0}, [](Sum a, Sum b) { return Sum{a.value + b.value}; });
  const float inverse = 1 / sqrtf(sum.value / static_cast<float>(cols) + kNormEpsilon);
  for_each_pack<V>(cols, [&](std::int64_t c) {
    const auto in = load<V>(x + at + c);
    const auto weight = load<V>(w + c);
    Pack<T, V> out;
#pragma unroll
    for (int l = 0; l < V; ++l) {
      store(out.lane[l], to_float(in.lane[l]) * inverse * to_float(weight.lane[l]));
    }
    store_pack<V>(y + at + c, out);
  });
}

// 1 / (1 + exp(-2 u)), as step_kernel.hpp has it for gelu.
__device__ inline float gelu_gate(float x) {
  return 1 / (1 + expf(-kGeluSlope * (x + kGeluCubic * x * x * x)));
}

template <class T, int V>
__global__ void __launch_bounds__(kFlatThreads)
    gelu(T* __restrict__ y, const T* __restrict__ x, std::int64_t count) {
  for_each_pack_of_all<V>(count, [&](std::int64_t i) {
    const auto in = load<V>(x + i);
    Pack<T, V> out;
#pragma unroll
    for (int l = 0; l < V; ++l) {
      const float value = to_float(in.lane[l]);
      store(out.lane[l], value * gelu_gate(value));
    }
    store_pack<V>(y + i, out);
  });
}

// A block a row.
template <class T, int V>
__global__ void __launch_bounds__(kMostThreads)
    swiglu(T* __restrict__ y, const T* __restrict__ x, int cols) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * cols;
  for_each_pack<V>(cols, [&](std::int64_t c) {
    const auto gate = load<V>(x + 2 * at + c);
    const auto up = load<V>(x + 2 * at + cols + c);
    Pack<T, V> out;
#pragma unroll
    for (int l = 0; l < V; ++l) {
      const float g = to_float(gate.lane[l]);
      store(out.lane[l], g / (1 + expf(-g)) * to_float(up.lane[l]));
    }
    store_pack<V>(y + at + c, out);
  });
}

// A block a token: its heads share a row of the table, which the first of them brings into the
// cache. Backward turns by the opposite angle.
template <class T, int V, bool kBackward>
__global__ void __launch_bounds__(kMostThreads)
    rope(T* __restrict__ y, const T* __restrict__ x, const float* __restrict__ table, int heads,
         int head_dim) {
  const int half = head_dim / 2;
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * heads * head_dim;
  table += static_cast<std::int64_t>(blockIdx.x) * head_dim;
  const int pairs = heads * half;
  for (int pair = V * threadIdx.x; pair < pairs; pair += V * blockDim.x) {
    const int i = pair % half;
    const std::int64_t first = at + static_cast<std::int64_t>(pair / half) * head_dim + i;
    const auto a = load<V>(x + first);
    const auto b = load<V>(x + first + half);
    const auto cosine = load<V>(table + i);
    const auto sine = load<V>(table + half + i);
    Pack<T, V> turned_a, turned_b;
#pragma unroll
    for (int l = 0; l < V; ++l) {
      const float left = to_float(a.lane[l]);
      const float right = to_float(b.lane[l]);
      const float turn = kBackward ? -sine.lane[l] : sine.lane[l];
      store(turned_a.lane[l], left * cosine.lane[l] - right * turn);
      store(turned_b.lane[l], right * cosine.lane[l] + left * turn);
    }
    store_pack<V>(y + first, turned_a);
    store_pack<V>(y + first + half, turned_b);
  }
}

template <class T, int V>
__global__ void __launch_bounds__(kFlatThreads)
    residual_add(T* __restrict__ y, const T* __restrict__ a, const T* __restrict__ b,
                 std::int64_t count) {
  for_each_pack_of_all<V>(count, [&](std::int64_t i) {
    const auto left = load<V>(a + i);
    const auto right = load<V>(b + i);
    Pack<T, V> out;
#pragma unroll
    for (int l = 0; l < V; ++l) {
      store(out.lane[l], to_float(left.lane[l]) + to_float(right.lane[l]));
    }
    store_pack<V>(y + i, out);
  });
}

// A block a token: reads it once and writes its copies.
template <class T, int V>
__global__ void __launch_bounds__(kMostThreads)
    permute(T* __restrict__ y, const T* __restrict__ x, const std::int32_t* __restrict__ places,
            int cols, int top_k) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * cols;
  places += static_cast<std::int64_t>(blockIdx.x) * top_k;
  for_each_pack<V>(cols, [&](std::int64_t c) {
    for (int j = 0; j < top_k; ++j) {
      copy_pack<V>(y + static_cast<std::int64_t>(places[j]) * cols + c, x + at + c);
    }
  });
}

// The maximum of what a thread has seen, and the sum of exp(x - maximum).
struct Softmax {
  float most, sum;
  __device__ Softmax shuffled(int mask) const {
    return {__shfl_xor_sync(kWarp, most, mask), __shfl_xor_sync(kWarp, sum, mask)};
  }
};

__device__ inline Softmax combined(Softmax a, Softmax b) {
  const float most = fmaxf(a.most, b.most);
  if (most == -INFINITY) return {most, 0};  // neither has seen anything
  return {most, a.sum * expf(a.most - most) + b.sum * expf(b.most - most)};
}

// A block a row. Maximum and sum go along in one reading. The gradient needs x again and begins at
// the row's end: what was read last is the likeliest to be in the cache still.
template <class T, int V>
__global__ void __launch_bounds__(kMostThreads)
    cross_entropy(float* __restrict__ loss, T* __restrict__ gradient, const T* __restrict__ x,
                  const std::int32_t* __restrict__ targets, int cols) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * cols;
  Softmax seen = {-INFINITY, 0};
  for_each_pack<V>(cols, [&](std::int64_t c) {
    const auto in = load<V>(x + at + c);
    float most = seen.most;
#pragma unroll
    for (int l = 0; l < V; ++l) most = fmaxf(most, to_float(in.lane[l]));
    float sum = seen.sum * expf(seen.most - most);
#pragma unroll
    for (int l = 0; l < V; ++l) sum += expf(to_float(in.lane[l]) - most);
    seen = {most, sum};
  });
  const Softmax row = reduce_block(seen, Softmax{-INFINITY, 0}, combined);
  const int target = targets[blockIdx.x];
  if (threadIdx.x == 0) {
    loss[blockIdx.x] = logf(row.sum) + row.most - to_float(x[at + target]);
  }
  const float inverse = 1 / row.sum;
  // An int that counts down: of 64 bits, or beside another that counts up, nvcc made a pointer into
  // the pack's middle, and stored the pack in pieces.
  for (int c = cols - V - V * static_cast<int>(threadIdx.x); c >= 0;
       c -= V * static_cast<int>(blockDim.x)) {
    const auto in = load<V>(x + at + c);
    Pack<T, V> out;
#pragma unroll
    for (int l = 0; l < V; ++l) {
      const float softmax = expf(to_float(in.lane[l]) - row.most) * inverse;
      store(out.lane[l], softmax - (c + l == target ? 1.0F : 0.0F));
    }
    store_pack<V>(gradient + at + c, out);
  }
}

// T: what the weights are rounded to; float where they stay as they are, and `rounded` is unused.
template <class T, int V>
__global__ void __launch_bounds__(kFlatThreads)
    adamw(float* __restrict__ weight, float* __restrict__ m, float* __restrict__ v,
          T* __restrict__ rounded, const float* __restrict__ gradient, std::int64_t count) {
  const AdamW with;
  for_each_pack_of_all<V>(count, [&](std::int64_t i) {
    const auto g = load<V>(gradient + i);
    auto w = load<V>(weight + i);
    auto new_m = load<V>(m + i);
    auto new_v = load<V>(v + i);
    Pack<T, V> out;
#pragma unroll
    for (int l = 0; l < V; ++l) {
      new_m.lane[l] = with.beta1 * new_m.lane[l] + (1 - with.beta1) * g.lane[l];
      new_v.lane[l] = with.beta2 * new_v.lane[l] + (1 - with.beta2) * g.lane[l] * g.lane[l];
      const float move = new_m.lane[l] * with.m_correction /
                         (sqrtf(new_v.lane[l] * with.v_correction) + with.epsilon);
      w.lane[l] -= with.rate * (move + with.decay * w.lane[l]);
      store(out.lane[l], w.lane[l]);
    }
    store_pack<V>(weight + i, w);
    store_pack<V>(m + i, new_m);
    store_pack<V>(v + i, new_v);
    if constexpr (!std::is_same_v<T, float>) store_pack<V>(rounded + i, out);
  });
}

}  // namespace trainmeter::step_cuda
