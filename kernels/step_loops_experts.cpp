// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The loops over experts' copies of tokens, written as those of step_loops.cpp.
#include "kernels/float_math.hpp"
#include "kernels/step_loops.hpp"
#include "kernels/target_clones.hpp"

#include <algorithm>
#include <array>

namespace trainmeter {
namespace {

// Of a token's copies, in fp32, a chunk of the first-level cache at a time.
template <bool kWeighted, class T>
TRAINMETER_INLINE void sum_copies(T* y, const T* x, const RoutedRows& of) {
  constexpr std::int64_t kChunk = 1024;
  std::array<float, kChunk> sum;
  const std::int64_t cols = of.cols;
  const std::int64_t top_k = of.top_k;
  const std::int32_t* place = of.place;
  const float* w = of.w;
  for (std::int64_t row = 0; row < of.rows; ++row, y += cols, place += top_k) {
    for (std::int64_t begin = 0; begin < cols; begin += kChunk) {
      const std::int64_t count = std::min(kChunk, cols - begin);
      sum.fill(0);
      for (std::int64_t j = 0; j < top_k; ++j) {
        const T* const copy = x + place[j] * cols + begin;
        const float weight = kWeighted ? w[row * top_k + j] : 1;
#pragma omp simd
        for (std::int64_t c = 0; c < count; ++c) sum[c] += weight * to_float(copy[c]);
      }
#pragma omp simd
      for (std::int64_t c = 0; c < count; ++c) store(y[begin + c], sum[c]);
    }
  }
}

template <class T>
TRAINMETER_INLINE void unpermute_backward_of(T* dx, float* dw, const T* x, const T* dy,
                                             const RoutedRows& of) {
  for (std::int64_t row = 0; row < of.rows; ++row, dy += of.cols) {
    for (std::int64_t j = row * of.top_k; j < (row + 1) * of.top_k; ++j) {
      const std::int64_t at = of.place[j] * of.cols;
      const float weight = of.w[j];
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t c = 0; c < of.cols; ++c) {
        const float gradient = to_float(dy[c]);
        sum += gradient * to_float(x[at + c]);
        store(dx[at + c], weight * gradient);
      }
      dw[j] = sum;
    }
  }
}

}  // namespace

TRAINMETER_TARGET_CLONES
void permute_backward(Bf16* dx, const Bf16* dy, const std::int32_t* place, std::int64_t rows,
                      std::int64_t cols, std::int64_t top_k) {
  sum_copies<false>(dx, dy, {place, nullptr, rows, cols, top_k});
}

TRAINMETER_TARGET_CLONES
void permute_backward(float* dx, const float* dy, const std::int32_t* place, std::int64_t rows,
                      std::int64_t cols, std::int64_t top_k) {
  sum_copies<false>(dx, dy, {place, nullptr, rows, cols, top_k});
}

TRAINMETER_TARGET_CLONES
void unpermute(Bf16* y, const Bf16* x, const RoutedRows& of) {
  sum_copies<true>(y, x, of);
}

TRAINMETER_TARGET_CLONES
void unpermute(float* y, const float* x, const RoutedRows& of) {
  sum_copies<true>(y, x, of);
}

TRAINMETER_TARGET_CLONES
void unpermute_backward(Bf16* dx, float* dw, const Bf16* x, const Bf16* dy, const RoutedRows& of) {
  unpermute_backward_of(dx, dw, x, dy, of);
}

TRAINMETER_TARGET_CLONES
void unpermute_backward(float* dx, float* dw, const float* x, const float* dy,
                        const RoutedRows& of) {
  unpermute_backward_of(dx, dw, x, dy, of);
}

}  // namespace trainmeter
