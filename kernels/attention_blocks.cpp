// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Loops over blocks that lie in a cache of the core, compiled for several vector widths.
#include "kernels/attention_blocks.hpp"

#include "kernels/float_math.hpp"
#include "kernels/target_clones.hpp"

#include <cmath>

namespace trainmeter {
namespace {

constexpr float kMasked = -1e30F;  // finite, so that a lane of nothing else isn't a NaN

typedef float Lanes __attribute__((vector_size(64), aligned(4), may_alias));

// exp(x), and 0 below e^-64, which is lost beside a sum of at least 1. Without that, products with
// what is next to nothing are subnormal numbers, and each costs some hundred cycles.
TRAINMETER_INLINE float weight_of(float x) {
  const float value = exp_of(x);
  return x < -64 ? 0 : value;
}

// A tile of C in registers: a vector of B serves `Rows` rows, an element of A `Vectors` vectors. 4
// x 2 are the eight independent sums that two multiply-adds a cycle with a latency of four ask for.
template <int Rows, int Vectors>
TRAINMETER_INLINE void tile(float* c, std::int64_t c_stride, Scattered a, const float* b,
                            std::int64_t b_stride, std::int64_t depth) {
  Lanes sums[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v)
      sums[r][v] = *reinterpret_cast<const Lanes*>(c + r * c_stride + v * kVector);
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    const float* left = a.data + k * a.depth_stride;
    const float* right = b + k * b_stride;
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) {
        sums[r][v] += left[r * a.row_stride] * *reinterpret_cast<const Lanes*>(right + v * kVector);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v)
      *reinterpret_cast<Lanes*>(c + r * c_stride + v * kVector) = sums[r][v];
  }
}

template <int Rows, int Vectors>
TRAINMETER_INLINE void strip(float* c, std::int64_t c_stride, Scattered a, const float* b,
                             std::int64_t b_stride, std::int64_t rows, std::int64_t depth) {
  std::int64_t row = 0;
  const auto from = [&](std::int64_t r) {
    return Scattered{a.data + r * a.row_stride, a.row_stride, a.depth_stride};
  };
  for (; row + Rows <= rows; row += Rows)
    tile<Rows, Vectors>(c + row * c_stride, c_stride, from(row), b, b_stride, depth);
  for (; row < rows; ++row)
    tile<1, Vectors>(c + row * c_stride, c_stride, from(row), b, b_stride, depth);
}

template <class T>
TRAINMETER_INLINE void widen_rows(float* to, std::int64_t to_stride, const T* from,
                                  std::int64_t rows, std::int64_t cols, float scale) {
  for (std::int64_t r = 0; r < rows; ++r, to += to_stride, from += cols) {
#pragma omp simd
    for (std::int64_t c = 0; c < cols; ++c) to[c] = scale * to_float(from[c]);
  }
}

template <class T>
TRAINMETER_INLINE void narrow_rows(T* to, const float* from, std::int64_t from_stride,
                                   std::int64_t rows, std::int64_t cols) {
  for (std::int64_t r = 0; r < rows; ++r, to += cols, from += from_stride) {
#pragma omp simd
    for (std::int64_t c = 0; c < cols; ++c) store(to[c], from[c]);
  }
}

template <class T>
TRAINMETER_INLINE void narrow_columns(T* to, const float* from, std::int64_t from_stride,
                                      const float* scale, std::int64_t rows, std::int64_t cols) {
  for (std::int64_t r = 0; r < rows; ++r, to += cols) {
    for (std::int64_t c = 0; c < cols; ++c) store(to[c], from[c * from_stride + r] * scale[r]);
  }
}

}  // namespace

TRAINMETER_TARGET_CLONES
void add_product(float* c, std::int64_t c_stride, Scattered a, const float* b,
                 std::int64_t b_stride, std::int64_t rows, std::int64_t cols, std::int64_t depth) {
  std::int64_t col = 0;
  for (; col + 2 * kVector <= cols; col += 2 * kVector)
    strip<4, 2>(c + col, c_stride, a, b + col, b_stride, rows, depth);
  if (col < cols) strip<8, 1>(c + col, c_stride, a, b + col, b_stride, rows, depth);
}

TRAINMETER_TARGET_CLONES
void widen(float* to, std::int64_t to_stride, const Bf16* from, std::int64_t rows,
           std::int64_t cols, float scale) {
  widen_rows(to, to_stride, from, rows, cols, scale);
}

TRAINMETER_TARGET_CLONES
void widen(float* to, std::int64_t to_stride, const float* from, std::int64_t rows,
           std::int64_t cols, float scale) {
  widen_rows(to, to_stride, from, rows, cols, scale);
}

TRAINMETER_TARGET_CLONES
void narrow(Bf16* to, const float* from, std::int64_t from_stride, std::int64_t rows,
            std::int64_t cols) {
  narrow_rows(to, from, from_stride, rows, cols);
}

TRAINMETER_TARGET_CLONES
void narrow(float* to, const float* from, std::int64_t from_stride, std::int64_t rows,
            std::int64_t cols) {
  narrow_rows(to, from, from_stride, rows, cols);
}

void narrow_transposed(Bf16* to, const float* from, std::int64_t from_stride, const float* scale,
                       std::int64_t rows, std::int64_t cols) {
  narrow_columns(to, from, from_stride, scale, rows, cols);
}

void narrow_transposed(float* to, const float* from, std::int64_t from_stride, const float* scale,
                       std::int64_t rows, std::int64_t cols) {
  narrow_columns(to, from, from_stride, scale, rows, cols);
}

TRAINMETER_TARGET_CLONES
void mask(float* scores, std::int64_t stride, std::int64_t keys, std::int64_t first_key,
          const std::int32_t* last_key) {
  for (std::int64_t k = 0; k < keys; ++k, scores += stride) {
    const auto key = static_cast<std::int32_t>(first_key + k);
#pragma omp simd
    for (std::int64_t lane = 0; lane < stride; ++lane)
      scores[lane] = key > last_key[lane] ? kMasked : scores[lane];
  }
}

TRAINMETER_TARGET_CLONES
void soften(float* scores, std::int64_t stride, std::int64_t keys, float* top, float* sum,
            float* shrink) {
#pragma omp simd
  for (std::int64_t lane = 0; lane < stride; ++lane) shrink[lane] = top[lane];
  for (std::int64_t k = 0; k < keys; ++k) {
    const float* row = scores + k * stride;
#pragma omp simd
    for (std::int64_t lane = 0; lane < stride; ++lane)
      top[lane] = row[lane] > top[lane] ? row[lane] : top[lane];
  }
#pragma omp simd
  for (std::int64_t lane = 0; lane < stride; ++lane) {
    shrink[lane] = weight_of(shrink[lane] - top[lane]);
    sum[lane] *= shrink[lane];
  }
  for (std::int64_t k = 0; k < keys; ++k) {
    float* row = scores + k * stride;
#pragma omp simd
    for (std::int64_t lane = 0; lane < stride; ++lane) {
      row[lane] = weight_of(row[lane] - top[lane]);
      sum[lane] += row[lane];
    }
  }
}

TRAINMETER_TARGET_CLONES
void scale_lanes(float* block, std::int64_t stride, std::int64_t rows, const float* factor) {
  for (std::int64_t r = 0; r < rows; ++r, block += stride) {
#pragma omp simd
    for (std::int64_t lane = 0; lane < stride; ++lane) block[lane] *= factor[lane];
  }
}

TRAINMETER_TARGET_CLONES
void recall(float* scores, std::int64_t stride, std::int64_t keys, const float* l) {
  for (std::int64_t k = 0; k < keys; ++k, scores += stride) {
#pragma omp simd
    for (std::int64_t lane = 0; lane < stride; ++lane)
      scores[lane] = weight_of(scores[lane] - l[lane]);
  }
}

TRAINMETER_TARGET_CLONES
void through_softmax(float* gradient, const float* probabilities, std::int64_t stride,
                     std::int64_t keys, const float* delta) {
  for (std::int64_t k = 0; k < keys; ++k, gradient += stride, probabilities += stride) {
#pragma omp simd
    for (std::int64_t lane = 0; lane < stride; ++lane)
      gradient[lane] = probabilities[lane] * (gradient[lane] - delta[lane]);
  }
}

}  // namespace trainmeter
