// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The inner loops of a step's kernels on a CPU, each over one thread's rows, for fp32 and bf16.
// Formulas: step_kernel.hpp; arrays: step_arrays.hpp. Pointers are to the first of `rows` rows.
#pragma once

#include "kernels/dtype.hpp"
#include "kernels/step_arrays.hpp"

#include <cstdint>

namespace trainmeter {

void rmsnorm(Bf16* y, const Bf16* x, const Bf16* w, std::int64_t rows, std::int64_t cols);
void rmsnorm(float* y, const float* x, const float* w, std::int64_t rows, std::int64_t cols);

void layernorm(Bf16* y, const Bf16* x, const Bf16* w, const Bf16* b, std::int64_t rows,
               std::int64_t cols);
void layernorm(float* y, const float* x, const float* w, const float* b, std::int64_t rows,
               std::int64_t cols);

void gelu(Bf16* y, const Bf16* x, std::int64_t count);
void gelu(float* y, const float* x, std::int64_t count);

void swiglu(Bf16* y, const Bf16* x, std::int64_t rows, std::int64_t cols);
void swiglu(float* y, const float* x, std::int64_t rows, std::int64_t cols);

void rope(Bf16* y, const Bf16* x, const float* table, std::int64_t rows, std::int64_t heads,
          std::int64_t head_dim);
void rope(float* y, const float* x, const float* table, std::int64_t rows, std::int64_t heads,
          std::int64_t head_dim);

void rope_backward(Bf16* dx, const Bf16* dy, const float* table, std::int64_t rows,
                   std::int64_t heads, std::int64_t head_dim);
void rope_backward(float* dx, const float* dy, const float* table, std::int64_t rows,
                   std::int64_t heads, std::int64_t head_dim);

// Adds to the fp32[cols] at dw what the rows contribute.
void rmsnorm_backward(Bf16* dx, float* dw, const Bf16* x, const Bf16* w, const Bf16* dy,
                      std::int64_t rows, std::int64_t cols);
void rmsnorm_backward(float* dx, float* dw, const float* x, const float* w, const float* dy,
                      std::int64_t rows, std::int64_t cols);

// As rmsnorm_backward; db is fp32[cols], too.
void layernorm_backward(Bf16* dx, float* dw, float* db, const Bf16* x, const Bf16* w,
                        const Bf16* dy, std::int64_t rows, std::int64_t cols);
void layernorm_backward(float* dx, float* dw, float* db, const float* x, const float* w,
                        const float* dy, std::int64_t rows, std::int64_t cols);

void gelu_backward(Bf16* dx, const Bf16* x, const Bf16* dy, std::int64_t count);
void gelu_backward(float* dx, const float* x, const float* dy, std::int64_t count);

void swiglu_backward(Bf16* dx, const Bf16* x, const Bf16* dy, std::int64_t rows, std::int64_t cols);
void swiglu_backward(float* dx, const float* x, const float* dy, std::int64_t rows,
                     std::int64_t cols);

// dy points to the array's first row, place to the first of the rows here.
void permute_backward(Bf16* dx, const Bf16* dy, const std::int32_t* place, std::int64_t rows,
                      std::int64_t cols, std::int64_t top_k);
void permute_backward(float* dx, const float* dy, const std::int32_t* place, std::int64_t rows,
                      std::int64_t cols, std::int64_t top_k);

struct RoutedRows {
  const std::int32_t* place;
  const float* w;
  std::int64_t rows, cols, top_k;
};

// x, and backward dx, point to the array's first row, all else to the first of the rows here.
void unpermute(Bf16* y, const Bf16* x, const RoutedRows& of);
void unpermute(float* y, const float* x, const RoutedRows& of);
void unpermute_backward(Bf16* dx, float* dw, const Bf16* x, const Bf16* dy, const RoutedRows& of);
void unpermute_backward(float* dx, float* dw, const float* x, const float* dy,
                        const RoutedRows& of);

// A token's logits, and what was chosen of them, lie side by side: all point to the first row here.
struct RouterRows {
  std::int64_t rows, experts, top_k;
  std::int64_t groups = 1, group_limit = 1;  // topk_sigmoid's
};

void topk_softmax(std::int32_t* chosen, float* w, const Bf16* x, const RouterRows& of);
void topk_softmax(std::int32_t* chosen, float* w, const float* x, const RouterRows& of);
void topk_softmax_backward(Bf16* dx, const std::int32_t* chosen, const float* w, const float* dw,
                           const RouterRows& of);
void topk_softmax_backward(float* dx, const std::int32_t* chosen, const float* w, const float* dw,
                           const RouterRows& of);

// What topk_sigmoid() writes.
struct RouterChoice {
  std::int32_t* chosen;
  float *w, *affinity;
};

void topk_sigmoid(const RouterChoice& to, const Bf16* x, const float* bias, const RouterRows& of);
void topk_sigmoid(const RouterChoice& to, const float* x, const float* bias, const RouterRows& of);
void topk_sigmoid_backward(Bf16* dx, const std::int32_t* chosen, const float* affinity,
                           const float* dw, const RouterRows& of);
void topk_sigmoid_backward(float* dx, const std::int32_t* chosen, const float* affinity,
                           const float* dw, const RouterRows& of);

void residual_add(Bf16* y, const Bf16* a, const Bf16* b, std::int64_t count);
void residual_add(float* y, const float* a, const float* b, std::int64_t count);

void cast_fp8(std::uint8_t* q, float* scales, const Bf16* x, std::int64_t rows, std::int64_t cols);
void cast_fp8(std::uint8_t* q, float* scales, const float* x, std::int64_t rows, std::int64_t cols);

// The transposed cast of one tile of up to 128 x 128, whose rows are `stride` apart. q and scales
// point to the tile's first column there, whose columns are `q_stride` and `scale_stride` apart.
struct TransposedTile {
  std::int64_t rows, cols, stride, q_stride, scale_stride;
};
void cast_transposed(std::uint8_t* q, float* scales, const Bf16* x, const TransposedTile& tile);
void cast_transposed(std::uint8_t* q, float* scales, const float* x, const TransposedTile& tile);

// One block of up to 128 x 128, whose rows are `stride` apart in x and in q.
void cast_square(std::uint8_t* q, float* scale, const Bf16* x, std::int64_t rows, std::int64_t cols,
                 std::int64_t stride);
void cast_square(std::uint8_t* q, float* scale, const float* x, std::int64_t rows,
                 std::int64_t cols, std::int64_t stride);

// A tile as cast_transposed() has it, of what is fp8 already: stride is the columns of all of q,
// whose scales fp32[rows,ceil(stride / 128)] begin with the tile's first.
void recast_tile(std::uint8_t* q_t, float* s_t, const std::uint8_t* q, const float* s,
                 const TransposedTile& tile);

void cross_entropy(float* loss, Bf16* gradient, const Bf16* x, const std::int32_t* target,
                   std::int64_t rows, std::int64_t cols);
void cross_entropy(float* loss, float* gradient, const float* x, const std::int32_t* target,
                   std::int64_t rows, std::int64_t cols);

// `rounded` is null where the weights are wanted in fp32 alone.
void adamw(float* weight, float* m, float* v, Bf16* rounded, const float* gradient,
           std::int64_t count);

}  // namespace trainmeter
