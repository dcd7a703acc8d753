// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The loops of the casts to fp8, written as those of step_loops.cpp.
#include "kernels/float_math.hpp"
#include "kernels/step_loops.hpp"
#include "kernels/target_clones.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace trainmeter {
namespace {

// The largest of `amax` and of the sizes here, as bits.
template <class T>
TRAINMETER_INLINE std::uint32_t largest(std::uint32_t amax, const T* x, std::int64_t count) {
#pragma omp simd reduction(max : amax)
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t size = bits_of(to_float(x[i])) & 0x7fffffffU;
    amax = size > amax ? size : amax;
  }
  return amax;
}

template <class T>
TRAINMETER_INLINE void cast_with(const Fp8Scale& with, std::uint8_t* q, const T* x,
                                 std::int64_t count) {
  if (std::isnan(with.scale)) {
    std::fill_n(q, count, std::uint8_t{0x7f});
    return;
  }
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) q[i] = e4m3_of(to_float(x[i]) * with.inverse);
}

template <class T>
TRAINMETER_INLINE void cast_block(std::uint8_t* q, float* scale, const T* x, std::int64_t count) {
  const Fp8Scale with = scale_of(largest(0, x, count));
  *scale = with.scale;
  cast_with(with, q, x, count);
}

template <class T>
TRAINMETER_INLINE void cast_square_of(std::uint8_t* q, float* scale, const T* x, std::int64_t rows,
                                      std::int64_t cols, std::int64_t stride) {
  std::uint32_t amax = 0;
  for (std::int64_t r = 0; r < rows; ++r) amax = largest(amax, x + r * stride, cols);
  const Fp8Scale with = scale_of(amax);
  *scale = with.scale;
  for (std::int64_t r = 0; r < rows; ++r) cast_with(with, q + r * stride, x + r * stride, cols);
}

template <class T>
TRAINMETER_INLINE void cast_fp8_of(std::uint8_t* q, float* scales, const T* x, std::int64_t rows,
                                   std::int64_t cols) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t c = 0; c < cols; c += kCastBlock) {
      const std::int64_t count = std::min<std::int64_t>(kCastBlock, cols - c);
      cast_block(q, scales++, x, count);
      x += count;
      q += count;
    }
  }
}

// kPowers: to scales that are powers of two.
template <bool kPowers, class T>
TRAINMETER_INLINE void cast_transposed_of(std::uint8_t* q, float* scales, const T* x,
                                          const TransposedTile& tile) {
  std::array<std::uint32_t, kCastBlock> amax{};
  for (std::int64_t r = 0; r < tile.rows; ++r) {
    const T* const row = x + r * tile.stride;
#pragma omp simd
    for (std::int64_t c = 0; c < tile.cols; ++c) {
      const std::uint32_t size = bits_of(to_float(row[c])) & 0x7fffffffU;
      amax[c] = size > amax[c] ? size : amax[c];
    }
  }
  std::array<float, kCastBlock> inverse{};
  for (std::int64_t c = 0; c < tile.cols; ++c) {
    const Fp8Scale with = kPowers ? power_scale_of(amax[c]) : scale_of(amax[c]);
    scales[c * tile.scale_stride] = with.scale;
    inverse[c] = with.inverse;
  }
  // Row by row into a tile that the first-level cache holds, and from there column by column.
  std::array<std::uint8_t, kCastBlock * kCastBlock> cast;
  for (std::int64_t r = 0; r < tile.rows; ++r) {
    const T* const row = x + r * tile.stride;
    std::uint8_t* const to = cast.data() + r * kCastBlock;
#pragma omp simd
    for (std::int64_t c = 0; c < tile.cols; ++c) {
      const std::uint8_t finite = e4m3_of(to_float(row[c]) * inverse[c]);
      to[c] = amax[c] >= kInfinityBits ? std::uint8_t{0x7f} : finite;
    }
  }
  for (std::int64_t c = 0; c < tile.cols; ++c) {
    std::uint8_t* const to = q + c * tile.q_stride;
    for (std::int64_t r = 0; r < tile.rows; ++r) to[r] = cast[r * kCastBlock + c];
  }
}

// The tile's values in fp32, which the second-level cache holds, and their cast.
TRAINMETER_INLINE void recast_tile_of(std::uint8_t* q_t, float* s_t, const std::uint8_t* q,
                                      const float* s, const TransposedTile& tile) {
  std::array<float, std::size_t{kCastBlock} * kCastBlock> values;
  const std::int64_t across = cast_blocks(tile.stride);
  for (std::int64_t r = 0; r < tile.rows; ++r) {
    const float scale = s[r * across];
    float* const to = values.data() + r * kCastBlock;
#pragma omp simd
    for (std::int64_t c = 0; c < tile.cols; ++c) {
      to[c] = from_e4m3(q[r * tile.stride + c]) * scale;
    }
  }
  TransposedTile here = tile;
  here.stride = kCastBlock;
  cast_transposed_of<true>(q_t, s_t, values.data(), here);
}

}  // namespace

TRAINMETER_TARGET_CLONES
void cast_fp8(std::uint8_t* q, float* scales, const Bf16* x, std::int64_t rows, std::int64_t cols) {
  cast_fp8_of(q, scales, x, rows, cols);
}

TRAINMETER_TARGET_CLONES
void cast_fp8(std::uint8_t* q, float* scales, const float* x, std::int64_t rows,
              std::int64_t cols) {
  cast_fp8_of(q, scales, x, rows, cols);
}

TRAINMETER_TARGET_CLONES
void cast_transposed(std::uint8_t* q, float* scales, const Bf16* x, const TransposedTile& tile) {
  cast_transposed_of<false>(q, scales, x, tile);
}

TRAINMETER_TARGET_CLONES
void cast_transposed(std::uint8_t* q, float* scales, const float* x, const TransposedTile& tile) {
  cast_transposed_of<false>(q, scales, x, tile);
}

TRAINMETER_TARGET_CLONES
void cast_square(std::uint8_t* q, float* scale, const Bf16* x, std::int64_t rows, std::int64_t cols,
                 std::int64_t stride) {
  cast_square_of(q, scale, x, rows, cols, stride);
}

TRAINMETER_TARGET_CLONES
void cast_square(std::uint8_t* q, float* scale, const float* x, std::int64_t rows,
                 std::int64_t cols, std::int64_t stride) {
  cast_square_of(q, scale, x, rows, cols, stride);
}

TRAINMETER_TARGET_CLONES
void recast_tile(std::uint8_t* q_t, float* s_t, const std::uint8_t* q, const float* s,
                 const TransposedTile& tile) {
  recast_tile_of(q_t, s_t, q, s, tile);
}

}  // namespace trainmeter
