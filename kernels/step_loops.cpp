// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Plain loops that the compiler vectorises: no calls and no branches inside, sums by `omp simd`.
// Each is a template, inlined into a function for each type that is compiled for several vector
// widths. Rows are read a second time where a kernel needs it, from the cache.
#include "kernels/step_loops.hpp"

#include "kernels/float_math.hpp"
#include "kernels/target_clones.hpp"

#include <algorithm>
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

// x - mean of one row, whose later readings find it in the cache, as a function of c; and i.
template <class T>
struct Centred {
  const T* x;
  float mean, inverse;

  TRAINMETER_INLINE Centred(const T* row, std::int64_t cols) : x(row) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < cols; ++c) sum += to_float(row[c]);
    const float middle = sum / static_cast<float>(cols);
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (std::int64_t c = 0; c < cols; ++c) {
      squares += (to_float(row[c]) - middle) * (to_float(row[c]) - middle);
    }
    mean = middle;
    inverse = 1 / std::sqrt(squares / static_cast<float>(cols) + kLayerNormEpsilon);
  }
  TRAINMETER_INLINE float operator[](std::int64_t c) const {
    return to_float(x[c]) - mean;
  }
};

template <class T>
TRAINMETER_INLINE void layernorm_of(T* y, const T* x, const T* w, const T* b, std::int64_t rows,
                                    std::int64_t cols) {
  for (std::int64_t row = 0; row < rows; ++row, x += cols, y += cols) {
    const Centred<T> centred(x, cols);
#pragma omp simd
    for (std::int64_t c = 0; c < cols; ++c) {
      store(y[c], centred[c] * centred.inverse * to_float(w[c]) + to_float(b[c]));
    }
  }
}

template <class T>
TRAINMETER_INLINE void gelu_of(T* y, const T* x, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const float v = to_float(x[i]);
    store(y[i], v / (1 + exp_of(-kGeluSlope * (v + kGeluCubic * v * v * v))));
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
TRAINMETER_INLINE void layernorm_backward_of(T* dx, float* dw, float* db, const T* x, const T* w,
                                             const T* dy, std::int64_t rows, std::int64_t cols) {
  for (std::int64_t row = 0; row < rows; ++row, x += cols, dy += cols, dx += cols) {
    const Centred<T> centred(x, cols);
    float sum = 0;
    float product = 0;
#pragma omp simd reduction(+ : sum, product)
    for (std::int64_t c = 0; c < cols; ++c) {
      const float g = to_float(dy[c]) * to_float(w[c]);
      sum += g;
      product += g * centred[c];
    }
    const float inverse = centred.inverse;
    const float mean = sum / static_cast<float>(cols);
    const float along = inverse * inverse * product / static_cast<float>(cols);
#pragma omp simd
    for (std::int64_t c = 0; c < cols; ++c) {
      const float g = to_float(dy[c]);
      store(dx[c], inverse * (g * to_float(w[c]) - mean - centred[c] * along));
      dw[c] += g * centred[c] * inverse;
      db[c] += g;
    }
  }
}

template <class T>
TRAINMETER_INLINE void gelu_backward_of(T* dx, const T* x, const T* dy, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    const float v = to_float(x[i]);
    const float sigmoid = 1 / (1 + exp_of(-kGeluSlope * (v + kGeluCubic * v * v * v)));
    const float slope = kGeluSlope * (1 + 3 * kGeluCubic * v * v);
    store(dx[i], to_float(dy[i]) * sigmoid * (1 + v * (1 - sigmoid) * slope));
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
void layernorm(Bf16* y, const Bf16* x, const Bf16* w, const Bf16* b, std::int64_t rows,
               std::int64_t cols) {
  layernorm_of(y, x, w, b, rows, cols);
}

TRAINMETER_TARGET_CLONES
void layernorm(float* y, const float* x, const float* w, const float* b, std::int64_t rows,
               std::int64_t cols) {
  layernorm_of(y, x, w, b, rows, cols);
}

TRAINMETER_TARGET_CLONES
void gelu(Bf16* y, const Bf16* x, std::int64_t count) {
  gelu_of(y, x, count);
}

TRAINMETER_TARGET_CLONES
void gelu(float* y, const float* x, std::int64_t count) {
  gelu_of(y, x, count);
}

TRAINMETER_TARGET_CLONES
void layernorm_backward(Bf16* dx, float* dw, float* db, const Bf16* x, const Bf16* w,
                        const Bf16* dy, std::int64_t rows, std::int64_t cols) {
  layernorm_backward_of(dx, dw, db, x, w, dy, rows, cols);
}

TRAINMETER_TARGET_CLONES
void layernorm_backward(float* dx, float* dw, float* db, const float* x, const float* w,
                        const float* dy, std::int64_t rows, std::int64_t cols) {
  layernorm_backward_of(dx, dw, db, x, w, dy, rows, cols);
}

TRAINMETER_TARGET_CLONES
void gelu_backward(Bf16* dx, const Bf16* x, const Bf16* dy, std::int64_t count) {
  gelu_backward_of(dx, x, dy, count);
}

TRAINMETER_TARGET_CLONES
void gelu_backward(float* dx, const float* x, const float* dy, std::int64_t count) {
  gelu_backward_of(dx, x, dy, count);
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
