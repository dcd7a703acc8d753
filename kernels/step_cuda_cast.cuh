// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Casts to fp8 e4m3 in blocks of 1x128, of the transpose, and of 128x128, on a GPU.
#pragma once

#include "kernels/power_scale.hpp"
#include "kernels/rounding.hpp"
#include "kernels/step_cuda_kernels.cuh"

#include <cuda_fp16.h>

namespace trainmeter::step_cuda {

struct Scale {
  float scale, inverse;
};

// Sizes as bits are ordered as the sizes are, with infinity and NaN on top: fmaxf would drop a NaN.
__device__ inline std::uint32_t size_bits(float x) {
  return __float_as_uint(x) & 0x7fffffffU;
}

__device__ inline Scale scale_of(std::uint32_t amax_bits) {
  const float nan = __uint_as_float(0x7fc00000U);
  if (amax_bits >= kInfinityBits) return {nan, nan};
  if (amax_bits == 0) return {1, 1};
  const float scale = fmaxf(__uint_as_float(amax_bits) / kCastMax, kLeastScale);
  return {scale, 1 / scale};
}

// The same with the least power of two that is amax / 448 or more.
__device__ inline Scale power_scale_of(std::uint32_t amax_bits) {
  const float nan = __uint_as_float(0x7fc00000U);
  if (amax_bits >= kInfinityBits) return {nan, nan};
  if (amax_bits == 0) return {1, 1};
  const auto bits = static_cast<std::uint32_t>(power_scale_exponent(amax_bits) + 127) << 23;
  return {__uint_as_float(bits), __uint_as_float((254U << 23) - bits)};
}

__device__ inline float from_e4m3(std::uint8_t q) {
  return __half2float(__half(__nv_cvt_fp8_to_halfraw(q, __NV_E4M3)));
}

// The largest size that a thread has seen, as bits.
struct Most {
  std::uint32_t bits;
  __device__ Most shuffled(int mask) const { return {__shfl_xor_sync(kWarp, bits, mask)}; }
};

// Saturates to 448. x times NaN is NaN, so a block whose scale is NaN becomes NaN.
__device__ inline std::uint8_t e4m3_of(float x) {
  return __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3);
}

// Both as e4m3_of has them, the first in the low byte.
__device__ inline std::uint16_t e4m3_of_two(float first, float second) {
  return __nv_cvt_float2_to_fp8x2(float2{first, second}, __NV_SATFINITE, __NV_E4M3);
}

// Neighbouring threads that share a 1x128 block, so that each has 16 bytes of it: 16 for bf16, 32
// for fp32.
template <class T>
constexpr int kLanes = kCastBlock* static_cast<int>(sizeof(T)) / 16;

// What one thread casts of a block of `count` elements at x: neighbours in one load, or, where rows
// aren't aligned, every kLanes-th. Elements beyond `count` are zeros, which change no amax.
template <class T, bool kAligned>
struct BlockPart {
  static constexpr int kElements = kCastBlock / kLanes<T>;
  float x[kElements];

  static __device__ int index(int i) {
    const int lane = threadIdx.x % kLanes<T>;
    return kAligned ? lane * kElements + i : lane + i * kLanes<T>;
  }

  BlockPart() = default;
  __device__ BlockPart(const T* from, int count) {
    if constexpr (kAligned) {
      Pack<T, kElements> pack = {};
      if (index(0) < count) pack = load<kElements>(from + index(0));
#pragma unroll
      for (int i = 0; i < kElements; ++i) x[i] = to_float(pack.lane[i]);
    } else {
#pragma unroll
      for (int i = 0; i < kElements; ++i) x[i] = index(i) < count ? to_float(from[index(i)]) : 0;
    }
  }

  // x as it was, with the zeros beyond `count`.
  __device__ void keep(T* to) const {
    Pack<T, kElements> pack;
#pragma unroll
    for (int i = 0; i < kElements; ++i) store(pack.lane[i], x[i]);
    if constexpr (kAligned) {
      store_pack<kElements>(to + index(0), pack);
    } else {
#pragma unroll
      for (int i = 0; i < kElements; ++i) to[index(i)] = pack.lane[i];
    }
  }

  [[nodiscard]] __device__ std::uint32_t own_amax_bits() const {
    std::uint32_t most = 0;
#pragma unroll
    for (int i = 0; i < kElements; ++i) most = max(most, size_bits(x[i]));
    return most;
  }

  // Of the whole block: all its threads call this.
  [[nodiscard]] __device__ std::uint32_t amax_bits() const {
    std::uint32_t most = own_amax_bits();
#pragma unroll
    for (int offset = kLanes<T> / 2; offset > 0; offset /= 2) {
      most = max(most, __shfl_xor_sync(kWarp, most, offset));
    }
    return most;
  }

  __device__ void write(std::uint8_t* q, float inverse, int count) const {
    if constexpr (kAligned) {
      Pack<std::uint16_t, kElements / 2> pack;
#pragma unroll
      for (int i = 0; i < kElements; i += 2)
        pack.lane[i / 2] = e4m3_of_two(x[i] * inverse, x[i + 1] * inverse);
      if (index(0) < count)
        store_pack<kElements / 2>(reinterpret_cast<std::uint16_t*>(q + index(0)), pack);
    } else {
#pragma unroll
      for (int i = 0; i < kElements; ++i) {
        if (index(i) < count) q[index(i)] = e4m3_of(x[i] * inverse);
      }
    }
  }
};

template <class T, bool kAligned>
__global__ void __launch_bounds__(kFlatThreads)
    cast_fp8(std::uint8_t* __restrict__ q, float* __restrict__ scales, const T* __restrict__ x,
             std::int64_t rows, int cols) {
  const int across = ceil_div(cols, kCastBlock);
  const std::int64_t block =
      (static_cast<std::int64_t>(blockIdx.x) * kFlatThreads + threadIdx.x) / kLanes<T>;
  const bool inside = block < rows * across;  // threads beyond take part in the shuffles
  const std::int64_t row = block / across;
  const int col = static_cast<int>(block % across) * kCastBlock;
  const int count = inside ? min(kCastBlock, cols - col) : 0;
  const BlockPart<T, kAligned> part(x + row * cols + col, count);
  const Scale with = scale_of(part.amax_bits());
  part.write(q + row * cols + col, with.inverse, count);
  if (inside && threadIdx.x % kLanes<T> == 0) scales[block] = with.scale;
}

// Rows of the tile in shared memory are 16 bytes longer than 128 elements: aligned still, and the
// rows of a column lie in different banks.
template <class T>
constexpr int kTileStride = kCastBlock + 16 / static_cast<int>(sizeof(T));

template <class T>
constexpr int kTileBytes = kCastBlock* kTileStride<T>* static_cast<int>(sizeof(T));

// Where the casts of a tile's columns go: all of q^T, whose rows are `rows` long, and its scales.
struct Columns {
  std::uint8_t* q;
  float* scales;
  int rows, tile_rows, tile_cols;
};

// Two neighbours of a row as they lie in a tile.
template <class T>
struct Two;
template <>
struct alignas(8) Two<float> {
  float x[2];
  [[nodiscard]] __device__ float first() const { return x[0]; }
  [[nodiscard]] __device__ float second() const { return x[1]; }
};
template <>
struct Two<Bf16> {
  std::uint32_t bits;
  [[nodiscard]] __device__ float first() const { return __uint_as_float(bits << 16); }
  [[nodiscard]] __device__ float second() const { return __uint_as_float(bits & 0xffff0000U); }
};
template <>
struct Two<std::uint8_t> {  // e4m3
  std::uint16_t bits;
  [[nodiscard]] __device__ float first() const { return from_e4m3(bits & 0xff); }
  [[nodiscard]] __device__ float second() const { return from_e4m3(bits >> 8); }
};

// A quarter of two neighbouring columns of the block's tile a thread: value_of(x, r) is what an
// element of row r stands for, zero beyond the tile's rows. A warp reads 64 neighbours of a row at
// a time, and each thread gathers 16 elements of a column for a store. kAligned: rows of q^T are
// aligned; kPowers: scales are powers of two.
template <bool kAligned, bool kPowers, class T, class Value>
__device__ void cast_columns(const Columns& to, const T* tile, int stride, Value value_of) {
  constexpr int kParts = 4;
  constexpr int kRows = kCastBlock / kParts;
  __shared__ std::uint32_t amax_of_part[kParts][kCastBlock];
  const int c = threadIdx.x % (kCastBlock / 2) * 2;
  const int part = threadIdx.x / (kCastBlock / 2);
  const auto two_of = [&](int r) {
    return *reinterpret_cast<const Two<T>*>(tile + r * stride + c);
  };
  std::uint32_t most[2] = {0, 0};
#pragma unroll 8
  for (int r = part * kRows; r < (part + 1) * kRows; ++r) {
    const Two<T> two = two_of(r);
    most[0] = max(most[0], size_bits(value_of(two.first(), r)));
    most[1] = max(most[1], size_bits(value_of(two.second(), r)));
  }
  amax_of_part[part][c] = most[0];
  amax_of_part[part][c + 1] = most[1];
  __syncthreads();
  std::uint8_t* q[2];
  float inverse[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const std::uint32_t amax = max(max(amax_of_part[0][c + i], amax_of_part[1][c + i]),
                                   max(amax_of_part[2][c + i], amax_of_part[3][c + i]));
    const Scale with = kPowers ? power_scale_of(amax) : scale_of(amax);
    const std::int64_t column = blockIdx.x * kCastBlock + c + i;
    if (part == 0 && c + i < to.tile_cols) to.scales[column * gridDim.y + blockIdx.y] = with.scale;
    q[i] = to.q + column * to.rows + blockIdx.y * kCastBlock;
    inverse[i] = with.inverse;
  }
#pragma unroll 1
  for (int r = part * kRows; r < min(to.tile_rows, (part + 1) * kRows); r += 16) {
    Pack<std::uint16_t, 8> packs[2];
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const Two<T> upper = two_of(r + 2 * j), lower = two_of(r + 2 * j + 1);
      const auto x = [&](float of, int row) { return value_of(of, r + 2 * j + row); };
      packs[0].lane[j] =
          e4m3_of_two(x(upper.first(), 0) * inverse[0], x(lower.first(), 1) * inverse[0]);
      packs[1].lane[j] =
          e4m3_of_two(x(upper.second(), 0) * inverse[1], x(lower.second(), 1) * inverse[1]);
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      if (c + i >= to.tile_cols) return;
      if constexpr (kAligned) {
        store_pack<8>(reinterpret_cast<std::uint16_t*>(q[i] + r), packs[i]);
      } else {
#pragma unroll
        for (int j = 0; j < 16; ++j) {
          if (r + j < to.tile_rows)
            q[i][r + j] = static_cast<std::uint8_t>(packs[i].lane[j / 2] >> j % 2 * 8);
        }
      }
    }
  }
}

// A thread block casts a tile of 128 x 128 in both orientations and reads it once. First its rows
// as above, which leave x in shared memory; then its columns.
// kAligned: rows of x and q are aligned; kColumnsAligned: those of q^T are.
template <class T, bool kAligned, bool kColumnsAligned>
__global__ void __launch_bounds__(2 * kCastBlock)
    cast_fp8_transpose(std::uint8_t* __restrict__ q, float* __restrict__ scales,
                       std::uint8_t* __restrict__ q_turned, float* __restrict__ scales_turned,
                       const T* __restrict__ x, int rows, int cols) {
  T* const tile = launch_memory<T>();
  const int row0 = blockIdx.y * kCastBlock;
  const int col0 = blockIdx.x * kCastBlock;
  const int tile_rows = min(kCastBlock, rows - row0);
  const int tile_cols = min(kCastBlock, cols - col0);
  constexpr int kRowsAtOnce = 2 * kCastBlock / kLanes<T>;
  // Parts that are loaded before one is cast: 32 elements, or half as many in loads of one each.
  constexpr int kInFlight = (kAligned ? 32 : 16) / BlockPart<T, kAligned>::kElements;
  BlockPart<T, kAligned> parts[kInFlight];
#pragma unroll 1
  for (int first = threadIdx.x / kLanes<T>; first < kCastBlock; first += kInFlight * kRowsAtOnce) {
    const auto count_of = [&](int r) { return r < tile_rows ? tile_cols : 0; };
    const auto at = [&](int r) { return static_cast<std::int64_t>(row0 + r) * cols + col0; };
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      const int r = first + i * kRowsAtOnce;
      parts[i] = BlockPart<T, kAligned>(x + at(r), count_of(r));
    }
#pragma unroll
    for (int i = 0; i < kInFlight; ++i) {
      const int r = first + i * kRowsAtOnce;
      const Scale with = scale_of(parts[i].amax_bits());
      parts[i].write(q + at(r), with.inverse, count_of(r));
      parts[i].keep(tile + r * kTileStride<T>);
      if (r < tile_rows && threadIdx.x % kLanes<T> == 0) {
        scales[static_cast<std::int64_t>(row0 + r) * gridDim.x + blockIdx.x] = with.scale;
      }
    }
  }
  __syncthreads();
  cast_columns<kColumnsAligned, false>(Columns{q_turned, scales_turned, rows, tile_rows, tile_cols},
                                       tile, kTileStride<T>,
                                       [](float value, int) { return value; });
}

// A thread block a block of 128 x 128, which stays in registers until its scale is known.
template <class T, bool kAligned>
__global__ void __launch_bounds__(kFlatThreads)
    cast_fp8_block(std::uint8_t* __restrict__ q, float* __restrict__ scales,
                   const T* __restrict__ x, int rows, int cols) {
  const int row0 = blockIdx.y * kCastBlock;
  const int col0 = blockIdx.x * kCastBlock;
  constexpr int kRowsAtOnce = kFlatThreads / kLanes<T>;
  constexpr int kTimes = kCastBlock / kRowsAtOnce;
  BlockPart<T, kAligned> parts[kTimes];
  const auto row_of = [&](int i) {
    return row0 + i * kRowsAtOnce + static_cast<int>(threadIdx.x) / kLanes<T>;
  };
  const auto count_of = [&](int i) { return row_of(i) < rows ? min(kCastBlock, cols - col0) : 0; };
  const auto at = [&](int i) { return static_cast<std::int64_t>(row_of(i)) * cols + col0; };
  Most seen = {0};
#pragma unroll
  for (int i = 0; i < kTimes; ++i) {
    parts[i] = BlockPart<T, kAligned>(x + at(i), count_of(i));
    seen.bits = max(seen.bits, parts[i].own_amax_bits());
  }
  const Most most =
      reduce_block(seen, Most{0}, [](Most a, Most b) { return Most{max(a.bits, b.bits)}; });
  const Scale with = scale_of(most.bits);
#pragma unroll
  for (int i = 0; i < kTimes; ++i) parts[i].write(q + at(i), with.inverse, count_of(i));
  if (threadIdx.x == 0) scales[blockIdx.y * gridDim.x + blockIdx.x] = with.scale;
}

// A tile of what is fp8 already, cast again in the other orientation: it lies in shared memory as
// it was, 16 bytes longer a row, with its rows' scales. kAligned: rows of q are; kColumnsAligned:
// those of q^T.
template <bool kAligned, bool kColumnsAligned>
__global__ void __launch_bounds__(2 * kCastBlock)
    recast_fp8(std::uint8_t* __restrict__ q_turned, float* __restrict__ scales_turned,
               const std::uint8_t* __restrict__ q, const float* __restrict__ scales, int rows,
               int cols) {
  constexpr int kLength = kCastBlock + 16;
  __shared__ __align__(16) std::uint8_t tile[kCastBlock * kLength];
  __shared__ float scale_of_row[kCastBlock];
  const int row0 = blockIdx.y * kCastBlock;
  const int col0 = blockIdx.x * kCastBlock;
  const int tile_rows = min(kCastBlock, rows - row0);
  const int tile_cols = min(kCastBlock, cols - col0);
  constexpr int kAcross = kCastBlock / 16;  // threads of a row
  const int c = threadIdx.x % kAcross * 16;
#pragma unroll
  for (int r = threadIdx.x / kAcross; r < kCastBlock; r += 2 * kCastBlock / kAcross) {
    const std::int64_t at = static_cast<std::int64_t>(row0 + r) * cols + col0 + c;
    Pack<std::uint8_t, 16> pack = {};
    if constexpr (kAligned) {
      if (r < tile_rows && c < tile_cols) pack = load<16>(q + at);
    } else {
#pragma unroll
      for (int i = 0; i < 16; ++i) {
        if (r < tile_rows && c + i < tile_cols) pack.lane[i] = q[at + i];
      }
    }
    store_pack<16>(tile + r * kLength + c, pack);
  }
  if (threadIdx.x < kCastBlock) {
    const int r = threadIdx.x;
    scale_of_row[r] =
        r < tile_rows ? scales[static_cast<std::int64_t>(row0 + r) * gridDim.x + blockIdx.x] : 0;
  }
  __syncthreads();
  cast_columns<kColumnsAligned, true>(Columns{q_turned, scales_turned, rows, tile_rows, tile_cols},
                                      tile, kLength,
                                      [&](float value, int r) { return value * scale_of_row[r]; });
}

}  // namespace trainmeter::step_cuda
