// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The inner loops of attention on a CPU, over blocks in fp32. A block of scores is stored with the
// queries side by side, S^T[key, lane]: a softmax over keys then works on whole vectors of queries,
// without a shuffle, and keys and values are read as they lie. A lane is one query of one head;
// rows of lanes are padded to whole vectors.
#pragma once

#include "kernels/dtype.hpp"

#include <cstdint>

namespace trainmeter {

inline constexpr std::int64_t kVector = 16;  // floats of one

// An operand of which single elements are read: element (row, depth) is at row * row_stride + depth
// * depth_stride.
struct Scattered {
  const float* data;
  std::int64_t row_stride, depth_stride;
};

// C[rows, cols] += A[rows, depth] B[depth, cols]; cols and both strides are multiples of kVector.
void add_product(float* c, std::int64_t c_stride, Scattered a, const float* b,
                 std::int64_t b_stride, std::int64_t rows, std::int64_t cols, std::int64_t depth);

// to[r, c] = scale from[r, c], rows `to_stride` apart.
void widen(float* to, std::int64_t to_stride, const Bf16* from, std::int64_t rows,
           std::int64_t cols, float scale);
void widen(float* to, std::int64_t to_stride, const float* from, std::int64_t rows,
           std::int64_t cols, float scale);

// to[r, c] = from[c, r] scale[r]: a transposed block back to rows.
void narrow_transposed(Bf16* to, const float* from, std::int64_t from_stride, const float* scale,
                       std::int64_t rows, std::int64_t cols);
void narrow_transposed(float* to, const float* from, std::int64_t from_stride, const float* scale,
                       std::int64_t rows, std::int64_t cols);

// to[r, c] = from[r, c] as an array without padding.
void narrow(Bf16* to, const float* from, std::int64_t from_stride, std::int64_t rows,
            std::int64_t cols);
void narrow(float* to, const float* from, std::int64_t from_stride, std::int64_t rows,
            std::int64_t cols);

// scores[key, lane] = -1e30 where first_key + key > last_key[lane].
void mask(float* scores, std::int64_t stride, std::int64_t keys, std::int64_t first_key,
          const std::int32_t* last_key);

// One step of an online softmax (Milakov and Gimelshein 2018): raises `top` to the largest score of
// each lane, puts the exponentials in place of the scores, brings `sum` up to date, and leaves in
// `shrink` what everything summed before is to be multiplied by.
void soften(float* scores, std::int64_t stride, std::int64_t keys, float* top, float* sum,
            float* shrink);

// block[r, lane] *= factor[lane]
void scale_lanes(float* block, std::int64_t stride, std::int64_t rows, const float* factor);

// probabilities = exp(scores - l), in place; then gradient = probabilities (gradient - delta).
void recall(float* scores, std::int64_t stride, std::int64_t keys, const float* l);
void through_softmax(float* gradient, const float* probabilities, std::int64_t stride,
                     std::int64_t keys, const float* delta);

}  // namespace trainmeter
