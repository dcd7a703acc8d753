// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the kernels of a step read and write: the arrays, the same for each device, with their
// random content.
#pragma once

#include "kernels/host_operand.hpp"
#include "kernels/rounding.hpp"
#include "kernels/step_kernel.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace trainmeter {

// Arrays of each kernel, in the order of step_arrays(); e is problem.dtype, [] counts elements:
// rmsnorm             x e[rows,cols], w e[cols]; y e[rows,cols]
// swiglu              x e[rows,2 cols]; y e[rows,cols]
// rope                x e[rows,heads,head_dim], table fp32[rows,head_dim] (a row: the cosines, then
//                     the sines); y as x
// cast_fp8            x e[rows,cols]; q fp8[rows,cols], s fp32[rows,ceil(cols / 128)]
// cast_fp8_transpose  and q_t fp8[cols,rows], s_t fp32[cols,ceil(rows / 128)] of x^T
// cast_fp8_block      x e[rows,cols]; q fp8[rows,cols], s fp32[ceil(rows / 128),ceil(cols / 128)]
// recast_fp8          q fp8[rows,cols], s fp32[rows,ceil(cols / 128)]; q_t fp8[cols,rows],
//                     s_t fp32[cols,ceil(rows / 128)]
// permute             x e[rows,cols], place int32[rows,top_k]; y e[rows top_k,cols]
// residual_add        a, b e[rows,cols]; y e[rows,cols]
// layernorm           x e[rows,cols], w, b e[cols]; y e[rows,cols]
// gelu                x e[rows,cols]; y e[rows,cols]
// cross_entropy       x e[rows,cols], target int32[rows]; loss fp32[rows], gradient e[rows,cols]
// adamw               gradient fp32[weights]; weight, m, v fp32[weights], changed in place; for
//                     bf16 the rounded weight, rounded bf16[weights]
// rmsnorm_backward    x e[rows,cols], w e[cols], dy e[rows,cols]; dx e[rows,cols], dw fp32[cols]
// swiglu_backward     x e[rows,2 cols], dy e[rows,cols]; dx e[rows,2 cols]
// layernorm_backward  x e[rows,cols], w e[cols], dy e[rows,cols]; dx e[rows,cols],
//                     dw, db fp32[cols]
// gelu_backward       x, dy e[rows,cols]; dx e[rows,cols]
// rope_backward       dy, table as rope's x and table; dx as dy
// permute_backward    dy e[rows top_k,cols], place int32[rows,top_k]; dx e[rows,cols]
// unpermute           x e[rows top_k,cols], place int32[rows,top_k], w fp32[rows,top_k];
//                     y e[rows,cols]
// unpermute_backward  x, place, w, and dy e[rows,cols]; dx as x, dw as w
// topk_softmax        x e[rows,experts]; chosen int32[rows,top_k], w fp32[rows,top_k]
// topk_softmax_backward  chosen, w, dw fp32[rows,top_k]; dx e[rows,experts]
// topk_sigmoid        x e[rows,experts], bias fp32[experts]; chosen int32[rows,top_k],
//                     w, affinity fp32[rows,top_k]
// topk_sigmoid_backward  chosen, affinity, dw fp32[rows,top_k]; dx e[rows,experts]
struct StepArray {
  using Role = OperandRole;
  Role role;
  std::string_view name;
  std::optional<DType> type;  // none: int32
  std::int64_t bytes;
};
std::vector<StepArray> step_arrays(const StepProblem& problem);
std::int64_t step_set_bytes(const StepProblem& problem);  // of all arrays, as sets are laid out

// The content of an input or of a state at the start, which `seed` alone decides: N(0,1); v its
// square; angles as of a RoPE with kRopeBase; distinct experts and targets drawn uniformly; a tenth
// of N(0,1) as biases, of which affinities then differ as much; their sigmoid as affinities. What
// is cast holds an infinity (what is cast again, a block of NaN) and a block of zeros, where there
// are at least three rows, so that each check is of those, too. What is cast again is about N(0,1),
// its scales powers of two.
void fill_step_array(const StepProblem& problem, int array, void* data, std::uint64_t seed);

// Constants of AdamW at its tenth step. Kernels compute with these very floats.
struct AdamW {
  float rate = 1e-4F, beta1 = 0.9F, beta2 = 0.95F, epsilon = 1e-8F, decay = 0.1F;
  float m_correction = 1.5353399F;  // 1 / (1 - beta1^10)
  float v_correction = 2.4921307F;  // 1 / (1 - beta2^10)
};

inline constexpr float kNormEpsilon = 1e-6F;
inline constexpr float kLayerNormEpsilon = 1e-5F;
inline constexpr float kGeluSlope = 1.59576912F;  // 2 sqrt(2 / pi)
inline constexpr float kGeluCubic = 0.044715F;
inline constexpr double kRopeBase = 10'000;
inline constexpr float kRoutedScale = 2.5F;        // routed_scaling_factor of DeepSeek-V3
inline constexpr float kLeastAffinities = 1e-20F;  // added to their sum, as its model code does
inline constexpr int kCastBlock = 128;
inline constexpr float kCastMax = kFp8Max;  // amax becomes it

inline std::int64_t cast_blocks(std::int64_t elements) {
  return ceil_div(elements, kCastBlock);
}

}  // namespace trainmeter
