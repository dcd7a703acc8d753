// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the checks of a step's kernels share: an operation's arrays on the host, before and after,
// and how far what it stored may be from what is exact.
//
// Where the bounds come from, with u = 2^-24 of fp32, which all kernels compute in, and u_out of
// the type they store (2^-8 for bf16):
//
// - An element that is stored may be off by u_out |y|, and by half the smallest step of its type.
// - Each operation in fp32 adds u of its result, exp and division some more: 16 u covers the dozen
//   of the longest chain (a sigmoid). Terms that cancel count with their own size.
// - A sum of n terms: min(n, 4 sqrt(n)) u of the sum of their sizes, as verify.cpp derives it for
//   products.
// - exp(x - max): the rounded difference moves the exponential by u |x - max| of itself.
// - A cast is compared by what it means: q s against x, with s as the kernel stored it. Half a step
//   of e4m3 at x / s, and 4 u for a division by way of 1 / s; s itself may be off by 2 u.
// - What is cast again to scales that are powers of two, as its own were, is exact where it isn't
//   below 2^-6 of its new scale.
// - A permutation is exact, and a choice by logits. Of one by computed scores any is right that
//   fp32's roundings of the scores allow (step_verify_choice.hpp).
#pragma once

#include "kernels/step_kernel.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace trainmeter::step_verify {

inline constexpr double kU = 0x1p-24;
inline constexpr double kChain = 16 * kU;
inline constexpr double kExact = std::numeric_limits<double>::min();
inline constexpr double kInfinite = std::numeric_limits<double>::infinity();

// An array of bf16 or fp32.
struct Values {
  const void* data;
  DType type;

  double operator[](std::int64_t i) const {
    if (type == DType::fp32) return static_cast<const float*>(data)[i];
    return float_from_bf16(static_cast<const std::uint16_t*>(data)[i]);
  }
};

inline double scaled(double found, double expected, double allowed) {
  const double error = std::abs(found - expected) / allowed;
  return std::isfinite(error) ? error : kInfinite;
}

inline double growth(std::int64_t terms) {
  const auto n = static_cast<double>(terms);
  return std::min(n, 4 * std::sqrt(n)) * kU;
}

template <class F>
double worst_of(std::int64_t count, F error_of) {
  double worst = 0;
#ifdef _OPENMP  // both users have it; whoever checks this header alone may not
#pragma omp parallel for schedule(static) reduction(max : worst)
#endif
  for (std::int64_t i = 0; i < count; ++i) worst = std::max(worst, error_of(i));
  return worst;
}

// Arrays as step_arrays() lists them; errors as shares of what is allowed.
class Results {
 public:
  Results(const StepProblem& problem, const std::vector<const void*>& before,
          const std::vector<const void*>& after)
      : p_(problem), before_(before), after_(after) {}

 protected:
  [[nodiscard]] Values in(std::size_t array) const { return {before_[array], p_.dtype}; }
  [[nodiscard]] Values out(std::size_t array) const { return {after_[array], p_.dtype}; }
  [[nodiscard]] Values in_fp32(std::size_t array) const { return {before_[array], DType::fp32}; }
  [[nodiscard]] Values out_fp32(std::size_t array) const { return {after_[array], DType::fp32}; }
  // Of an input.
  [[nodiscard]] std::int32_t index(std::size_t array, std::int64_t i) const {
    return static_cast<const std::int32_t*>(before_[array])[i];
  }

  // An output in p_.dtype whose exact value is `expected`.
  [[nodiscard]] double stored(double found, double expected, double arithmetic) const {
    const bool fp32 = p_.dtype == DType::fp32;
    const double rounding =
        (fp32 ? kU : 0x1p-8) * std::abs(expected) + (fp32 ? 0x1p-149 : 0x1p-134);
    return scaled(found, expected, arithmetic + rounding);
  }

  const StepProblem& p_;
  const std::vector<const void*>& before_;
  const std::vector<const void*>& after_;
};

// Of RMSNorm, LayerNorm and their gradients: the largest error.
double error_of_norms(const StepProblem& problem, const std::vector<const void*>& before,
                      const std::vector<const void*>& after);

// Of the casts to fp8: the largest error.
double error_of_casts(const StepProblem& problem, const std::vector<const void*>& before,
                      const std::vector<const void*>& after);

// Of permute, unpermute, topk_softmax, topk_sigmoid and their gradients: the largest error.
double error_of_experts(const StepProblem& problem, const std::vector<const void*>& before,
                        const std::vector<const void*>& after);

}  // namespace trainmeter::step_verify
