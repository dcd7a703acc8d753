// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Plain loops that the compiler vectorises: no calls and no branches inside, sums by `omp simd`.
// Each is a template, inlined into a function for each type that is compiled for several vector
// widths. Rows are read a second time where a kernel needs it, from the cache.
#include "kernels/step_loops.hpp"

#include "kernels/float_math.hpp"
#include "kernels/target_clones.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace trainmeter {
namespace {

template <class T>
TRAINMETER_INLINE void rmsnorm_of(T* y, const T* x, const T* w, std::int64_t rows,
                                  std::int64_t cols) {
  for (std::int64_t row = 0; row < rows; ++row, x += cols, y += cols) {
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (std::int64_t c = 0; c < cols; ++c) squares += to_float(x[c]) * to_float(x[c]);
    const float inverse = 1 / std::sqrt(squares / static_cast<float>(cols) + kNormEpsilon);
#pragma omp simd
    for (std::int64_t c = 0; c < cols; ++c) {
      store(y[c], to_float(x[c]) * inverse * to_float(w[c]));
    }
  }
}

template <class T>
TRAINMETER_INLINE void swiglu_of(T* y, const T* x, std::int64_t rows, std::int64_t cols) {
  for (std::int64_t row = 0; row < rows; ++row, x += 2 * cols, y += cols) {
#pragma omp simd
    for (std::int64_t c = 0; c < cols; ++c) {
      const float gate = to_float(x[c]);
      store(y[c], gate / (1 + exp_of(-gate)) * to_float(x[cols + c]));
    }
  }
}

// Rows of dw, x and dy are in the cache for the second reading.
template <class T>
TRAINMETER_INLINE void rmsnorm_backward_of(T* dx, float* dw, const T* x, const T* w, const T* dy,
                                           std::int64_t rows, std::int64_t cols) {
  for (std::int64_t row = 0; row < rows; ++row, x += cols, dy += cols, dx += cols) {
    float squares = 0;
    float product = 0;
#pragma omp simd reduction(+ : squares, product)
    for (std::int64_t c = 0; c < cols; ++c) {
      squares += to_float(x[c]) * to_float(x[c]);
      product += to_float(dy[c]) * to_float(w[c]) * to_float(x[c]);
    }
    const float inverse = 1 / std::sqrt(squares / static_cast<float>(cols) + kNormEpsilon);
    const float along = inverse * inverse * product / static_cast<float>(cols);
#pragma omp simd
    for (std::int64_t c = 0; c < cols; ++c) {
      const float g = to_float(dy[c]);
      const float value = to_float(x[c]);
      store(dx[c], inverse * (g * to_float(w[c]) - value * along));
      dw[c] += g * value * inverse;
    }
  }
}

template <class T>
TRAINMETER_INLINE void swiglu_backward_of(T* dx, const T* x, const T* dy, std::int64_t rows,
                                          std::int64_t cols) {
  for (std::int64_t row = 0; row < rows; ++row, x += 2 * cols, dx += 2 * cols, dy += cols) {
#pragma omp simd
    for (std::int64_t c = 0; c < cols; ++c) {
      const float gate = to_float(x[c]);
      const float sigmoid = 1 / (1 + exp_of(-gate));
      const float with = to_float(dy[c]) * sigmoid;
      store(dx[c], with * to_float(x[cols + c]) * (1 + gate * (1 - sigmoid)));
      store(dx[cols + c], with * gate);
    }
  }
}

// Backward turns by the opposite angle.
template <bool kBackward, class T>
TRAINMETER_INLINE void rope_of(T* y, const T* x, const float* table, std::int64_t rows,
                               std::int64_t heads, std::int64_t head_dim) {
  const std::int64_t half = head_dim / 2;
  for (std::int64_t row = 0; row < rows; ++row, table += head_dim) {
    for (std::int64_t head = 0; head < heads; ++head, x += head_dim, y += head_dim) {
#pragma omp simd
      for (std::int64_t i = 0; i < half; ++i) {
        const float first = to_float(x[i]);
        const float second = to_float(x[half + i]);
        const float sine = kBackward ? -table[half + i] : table[half + i];
        store(y[i], first * table[i] - second * sine);
        store(y[half + i], second * table[i] + first * sine);
      }
    }
  }
}

template <class T>
TRAINMETER_INLINE void residual_add_of(T* y, const T* a, const T* b, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) store(y[i], to_float(a[i]) + to_float(b[i]));
}

template <class T>
TRAINMETER_INLINE void cast_block(std::uint8_t* q, float* scale, const T* x, std::int64_t count) {
  std::uint32_t amax = 0;
#pragma omp simd reduction(max : amax)
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t size = bits_of(to_float(x[i])) & 0x7fffffffU;
    amax = size > amax ? size : amax;
  }
  const Fp8Scale with = scale_of(amax);
  *scale = with.scale;
  if (amax >= kInfinityBits) {
    std::fill_n(q, count, std::uint8_t{0x7f});
    return;
  }
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) q[i] = e4m3_of(to_float(x[i]) * with.inverse);
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

template <class T>
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
    const Fp8Scale with = scale_of(amax[c]);
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

// The softmax's maximum and sum go along as the row is read, a chunk of the first-level cache at a
// time: a larger maximum scales the sum so far.
template <class T>
TRAINMETER_INLINE void cross_entropy_of(float* loss, T* gradient, const T* x,
                                        const std::int32_t* target, std::int64_t rows,
                                        std::int64_t cols) {
  constexpr std::int64_t kChunk = 2048;
  for (std::int64_t row = 0; row < rows; ++row, x += cols, gradient += cols) {
    float most = -std::numeric_limits<float>::infinity();
    float sum = 0;
    for (std::int64_t begin = 0; begin < cols; begin += kChunk) {
      const std::int64_t end = std::min(cols, begin + kChunk);
      float here = most;
#pragma omp simd reduction(max : here)
      for (std::int64_t c = begin; c < end; ++c) {
        here = to_float(x[c]) > here ? to_float(x[c]) : here;
      }
      float part = 0;
#pragma omp simd reduction(+ : part)
      for (std::int64_t c = begin; c < end; ++c) part += exp_of(to_float(x[c]) - here);
      sum = (begin == 0 ? 0 : sum * exp_of(most - here)) + part;
      most = here;
    }
    loss[row] = std::log(sum) + most - to_float(x[target[row]]);
    const float inverse = 1 / sum;
#pragma omp simd
    for (std::int64_t c = 0; c < cols; ++c) {
      store(gradient[c], exp_of(to_float(x[c]) - most) * inverse);
    }
    const std::int32_t t = target[row];
    store(gradient[t], exp_of(to_float(x[t]) - most) * inverse - 1);
  }
}

template <bool kRounds>
TRAINMETER_INLINE void adamw_of(float* weight, float* m, float* v, Bf16* rounded,
                                const float* gradient, std::int64_t count) {
  const AdamW with;
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = gradient[i];
    m[i] = with.beta1 * m[i] + (1 - with.beta1) * g;
    v[i] = with.beta2 * v[i] + (1 - with.beta2) * g * g;
    const float move =
        m[i] * with.m_correction / (std::sqrt(v[i] * with.v_correction) + with.epsilon);
    weight[i] -= with.rate * (move + with.decay * weight[i]);
    if constexpr (kRounds) store(rounded[i], weight[i]);
  }
}

}  // namespace

TRAINMETER_TARGET_CLONES
void rmsnorm(Bf16* y, const Bf16* x, const Bf16* w, std::int64_t rows, std::int64_t cols) {
  rmsnorm_of(y, x, w, rows, cols);
}

TRAINMETER_TARGET_CLONES
void rmsnorm(float* y, const float* x, const float* w, std::int64_t rows, std::int64_t cols) {
  rmsnorm_of(y, x, w, rows, cols);
}

TRAINMETER_TARGET_CLONES
void swiglu(Bf16* y, const Bf16* x, std::int64_t rows, std::int64_t cols) {
  swiglu_of(y, x, rows, cols);
}

TRAINMETER_TARGET_CLONES
void swiglu(float* y, const float* x, std::int64_t rows, std::int64_t cols) {
  swiglu_of(y, x, rows, cols);
}

TRAINMETER_TARGET_CLONES
void rope(Bf16* y, const Bf16* x, const float* table, std::int64_t rows, std::int64_t heads,
          std::int64_t head_dim) {
  rope_of<false>(y, x, table, rows, heads, head_dim);
}

TRAINMETER_TARGET_CLONES
void rope(float* y, const float* x, const float* table, std::int64_t rows, std::int64_t heads,
          std::int64_t head_dim) {
  rope_of<false>(y, x, table, rows, heads, head_dim);
}

TRAINMETER_TARGET_CLONES
void rope_backward(Bf16* dx, const Bf16* dy, const float* table, std::int64_t rows,
                   std::int64_t heads, std::int64_t head_dim) {
  rope_of<true>(dx, dy, table, rows, heads, head_dim);
}

TRAINMETER_TARGET_CLONES
void rope_backward(float* dx, const float* dy, const float* table, std::int64_t rows,
                   std::int64_t heads, std::int64_t head_dim) {
  rope_of<true>(dx, dy, table, rows, heads, head_dim);
}

TRAINMETER_TARGET_CLONES
void rmsnorm_backward(Bf16* dx, float* dw, const Bf16* x, const Bf16* w, const Bf16* dy,
                      std::int64_t rows, std::int64_t cols) {
  rmsnorm_backward_of(dx, dw, x, w, dy, rows, cols);
}

TRAINMETER_TARGET_CLONES
void rmsnorm_backward(float* dx, float* dw, const float* x, const float* w, const float* dy,
                      std::int64_t rows, std::int64_t cols) {
  rmsnorm_backward_of(dx, dw, x, w, dy, rows, cols);
}

TRAINMETER_TARGET_CLONES
void swiglu_backward(Bf16* dx, const Bf16* x, const Bf16* dy, std::int64_t rows,
                     std::int64_t cols) {
  swiglu_backward_of(dx, x, dy, rows, cols);
}

TRAINMETER_TARGET_CLONES
void swiglu_backward(float* dx, const float* x, const float* dy, std::int64_t rows,
                     std::int64_t cols) {
  swiglu_backward_of(dx, x, dy, rows, cols);
}

TRAINMETER_TARGET_CLONES
void residual_add(Bf16* y, const Bf16* a, const Bf16* b, std::int64_t count) {
  residual_add_of(y, a, b, count);
}

TRAINMETER_TARGET_CLONES
void residual_add(float* y, const float* a, const float* b, std::int64_t count) {
  residual_add_of(y, a, b, count);
}

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
  cast_transposed_of(q, scales, x, tile);
}

TRAINMETER_TARGET_CLONES
void cast_transposed(std::uint8_t* q, float* scales, const float* x, const TransposedTile& tile) {
  cast_transposed_of(q, scales, x, tile);
}

TRAINMETER_TARGET_CLONES
void cross_entropy(float* loss, Bf16* gradient, const Bf16* x, const std::int32_t* target,
                   std::int64_t rows, std::int64_t cols) {
  cross_entropy_of(loss, gradient, x, target, rows, cols);
}

TRAINMETER_TARGET_CLONES
void cross_entropy(float* loss, float* gradient, const float* x, const std::int32_t* target,
                   std::int64_t rows, std::int64_t cols) {
  cross_entropy_of(loss, gradient, x, target, rows, cols);
}

TRAINMETER_TARGET_CLONES
void adamw(float* weight, float* m, float* v, Bf16* rounded, const float* gradient,
           std::int64_t count) {
  if (rounded == nullptr) {
    adamw_of<false>(weight, m, v, rounded, gradient, count);
  } else {
    adamw_of<true>(weight, m, v, rounded, gradient, count);
  }
}

}  // namespace trainmeter
