// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the kernels of a step read and write: the arrays, the same for each device, with their
// random content.
#pragma once

#include "kernels/host_operand.hpp"
#include "kernels/rounding.hpp"
#include "kernels/step_array_order.hpp"
#include "kernels/step_kernel.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace trainmeter {

// One of a kernel's; step_array_order.hpp names them all.
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
void fill_step_array(const StepProblem& problem, std::size_t array, void* data, std::uint64_t seed);

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
