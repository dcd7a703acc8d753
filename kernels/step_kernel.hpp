// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The memory-bound kernels of a training step. Matrices are row-major, a row is a token, arithmetic
// is in fp32 whatever the storage. Backward, dy is the gradient of the loss for y.
//
// rmsnorm            y[r,c] = x[r,c] w[c] / sqrt(mean over c of x[r,c]^2 + 1e-6)
// swiglu             y[r,c] = g / (1 + exp(-g)) u[r,c], g = x[r,c], u = x[r,cols + c]: the gate and
//                    the other half lie side by side, as one GEMM writes them
// layernorm          y[r,c] = (x[r,c] - mean of x[r]) i[r] w[c] + b[c], where i[r] = 1 / sqrt(mean
//                    over c of (x[r,c] - mean of x[r])^2 + 1e-5)
// gelu               y = x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3), which is x / 2
//                    (1 + tanh(u)): the form that GPT-2 and Megatron-LM train with
// rope               y = x with each head's pair (i, i + head_dim / 2) turned by an angle of token
//                    and i, whose cosines and sines come from a table in fp32
// cast_fp8           q = e4m3(x / s), s[r,c/128] = amax / 448 of each 1x128 block; 1 where all are
//                    0; a block with a NaN or an infinity becomes NaN
// cast_fp8_transpose the same, and x^T [cols, rows] in blocks of 1x128 tokens, which the weight
//                    gradient's GEMM reads
// cast_fp8_block     the same in blocks of 128x128, for weights: s[r/128,c/128]
// recast_fp8         of an activation kept in fp8, q s in blocks of 1x128, the transpose in blocks
//                    of 1x128 tokens: q_t = e4m3(q s / s_t), s_t the least power of two that is
//                    amax / 448 or more. Where s are powers of two, too, only what falls below
//                    2^-6 s_t loses bits (DeepSeek-V3 report, 3.3.3). NaN and zeros as above
// permute            y[place[r,j]] = x[r] for the top_k experts j of a token: copies sorted by
//                    expert
// residual_add       y = a + b
// cross_entropy      loss[r] = log(sum exp(x[r])) - x[r,target], and its gradient
//                    softmax(x[r]) - onehot. In an array of its own: in place, each run would find
//                    the last one's nearly constant output instead of random logits
// adamw              weight, m and v in fp32, in place, from an fp32 gradient; with bf16 also the
//                    weight rounded to bf16, for the next step's GEMMs
// rmsnorm_backward   with i[r] = 1 / sqrt(mean over c of x[r,c]^2 + 1e-6):
//                    dx[r,c] = i (dy w[c] - x i^2 mean over c of dy w x), and of the weights, in
//                    fp32, dw[c] = sum over r of dy[r,c] x[r,c] i[r]
// swiglu_backward    with s = 1 / (1 + exp(-g)), from x again: of the gate dy u s (1 + g (1 - s)),
//                    of the other half dy g s, side by side as x
// layernorm_backward with n = (x - mean) i, as above: dx[r,c] = i[r] (dy w[c] - mean over c of dy w
//                    - n mean over c of dy w n), and in fp32 dw[c] = sum over r of dy n, db[c] =
//                    sum over r of dy
// gelu_backward      with s = 1 / (1 + exp(-2 u)): dx = dy (s + x s (1 - s) 2 du/dx)
// rope_backward      each pair of dy turned back
// permute_backward   dx[r] = sum over j of dy[place[r,j]]
// unpermute          y[r] = sum over j of w[r,j] x[place[r,j]]: experts' results, each weighted as
//                    its token's router says, in fp32
// unpermute_backward dx[place[r,j]] = w[r,j] dy[r], and of the weights, in fp32,
//                    dw[r,j] = sum over c of dy[r,c] x[place[r,j],c]
// topk_softmax       of a token's logits x[r] the top_k largest, in falling order, of equal ones
//                    the lower expert first: these experts chosen[r,j], and in fp32 their gates, a
//                    softmax over the chosen logits alone, w[r,j] = exp(x[r,chosen[r,j]]) / sum
//                    over i of exp(x[r,chosen[r,i]]): what a softmax over all becomes once the
//                    chosen ones' gates are made to sum to 1 (Mixtral, Qwen3)
// topk_softmax_backward  dx[r,chosen[r,j]] = w[r,j] (dw[r,j] - sum over i of w[r,i] dw[r,i]), 0 for
//                    all other experts
// topk_sigmoid       DeepSeek-V3's (report, 2.1.2): an expert's affinity is 1 / (1 + exp(-x)), its
//                    score affinity + bias, in fp32. The experts are `groups` runs of as many; a
//                    group's score is the sum of its two highest (of a lone expert, its score). Of
//                    the group_limit best groups the top_k experts of the highest scores, in
//                    falling order: chosen[r,j] and affinity[r,j], and their gates w[r,j] = 2.5
//                    affinity[r,j] / (sum over i of affinity[r,i] + 1e-20): the bias balances the
//                    load and is in no gate. Of equal groups and equal experts the lower first
// topk_sigmoid_backward  with a = affinity, s = sum over i of a[r,i] + 1e-20:
//                    dx[r,chosen[r,j]] = 2.5 a[r,j] / s (1 - a[r,j])
//                    (dw[r,j] - sum over i of a[r,i] dw[r,i] / s), 0 for all other experts
// A residual passes its gradient on as it is, and cross_entropy's comes with its loss.
#pragma once

#include "kernels/dtype.hpp"
#include "kernels/operation.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace trainmeter {

enum class StepKernel {
  rmsnorm,
  swiglu,
  rope,
  cast_fp8,
  cast_fp8_transpose,
  cast_fp8_block,
  recast_fp8,
  permute,
  residual_add,
  layernorm,
  gelu,
  cross_entropy,
  adamw,
  rmsnorm_backward,
  swiglu_backward,
  layernorm_backward,
  gelu_backward,
  rope_backward,
  permute_backward,
  unpermute,
  unpermute_backward,
  topk_softmax,
  topk_softmax_backward,
  topk_sigmoid,
  topk_sigmoid_backward
};

// In the order of the enumerators.
inline constexpr auto kStepKernelNames = std::to_array<std::string_view>({
    "rmsnorm",
    "swiglu",
    "rope",
    "cast_fp8",
    "cast_fp8_transpose",
    "cast_fp8_block",
    "recast_fp8",
    "permute",
    "residual_add",
    "layernorm",
    "gelu",
    "cross_entropy",
    "adamw",
    "rmsnorm_backward",
    "swiglu_backward",
    "layernorm_backward",
    "gelu_backward",
    "rope_backward",
    "permute_backward",
    "unpermute",
    "unpermute_backward",
    "topk_softmax",
    "topk_softmax_backward",
    "topk_sigmoid",
    "topk_sigmoid_backward",
});
static_assert(kStepKernelNames.size() ==
                  static_cast<std::size_t>(StepKernel::topk_sigmoid_backward) + 1 &&
              kStepKernelNames.back() == "topk_sigmoid_backward");

inline constexpr auto kStepKernels = [] {
  std::array<StepKernel, kStepKernelNames.size()> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<StepKernel>(i);
  return all;
}();

std::string_view to_string(StepKernel kernel);

// Of what a kernel reads: bf16 and fp32, of recast_fp8 fp8 alone.
bool step_takes(StepKernel kernel, DType dtype);

struct StepProblem {
  StepKernel kernel = StepKernel::rmsnorm;
  DType dtype = DType::bf16;             // one that step_takes()
  std::int64_t rows = 0;                 // tokens
  std::int64_t cols = 0;                 // of y; cross_entropy: the vocabulary
  std::int64_t heads = 0, head_dim = 0;  // rope, instead of cols; head_dim is even
  // permute, unpermute, topk_softmax and topk_sigmoid (without cols); top_k <= experts
  std::int64_t experts = 0, top_k = 0;
  // topk_sigmoid: divides experts; 1 <= group_limit <= groups, whose experts are top_k at least
  std::int64_t groups = 1, group_limit = 1;
  std::int64_t weights = 0;  // adamw, instead of rows and cols
};

// The sizes that the kernel has, by the names of the record: rows, cols, heads, head_dim, experts,
// top_k, groups, group_limit, weights. std::invalid_argument where one is missing or beyond what
// the kernels index.
std::map<std::string, std::int64_t> step_shape(const StepProblem& problem);

struct StepBackend {
  std::string_view name;  // openmp, cuda
  DeviceKind device;
  std::string (*why_not)(const StepProblem&);
  std::unique_ptr<Operation> (*make)(const StepProblem&, const OperandOptions&);
};

std::span<const StepBackend> step_backends();

}  // namespace trainmeter
