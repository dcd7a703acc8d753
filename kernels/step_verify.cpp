// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The checks of a step's kernels against fp64; those of norms, casts and
// experts: step_verify_norms.cpp, step_verify_casts.cpp, step_verify_experts.cpp.
#include "kernels/step_verify.hpp"

#include "kernels/step_arrays.hpp"
#include "kernels/step_verify_parts.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace trainmeter {
namespace {

using namespace step_verify;

class Reference : Results {
 public:
  using Results::Results;

  [[nodiscard]] double error() const {
    switch (p_.kernel) {
      case StepKernel::swiglu:
        return worst_of(p_.rows, [this](std::int64_t row) { return swiglu(row); });
      case StepKernel::rope:
        return worst_of(p_.rows * p_.heads, [this](std::int64_t head) { return rope(head, 1); });
      case StepKernel::cast_fp8:
      case StepKernel::cast_fp8_transpose:
      case StepKernel::cast_fp8_block:
      case StepKernel::recast_fp8:
        return error_of_casts(p_, before_, after_);
      case StepKernel::gelu:
        return worst_of(p_.rows * p_.cols, [this](std::int64_t i) { return gelu(i); });
      case StepKernel::gelu_backward:
        return worst_of(p_.rows * p_.cols, [this](std::int64_t i) { return gelu_backward(i); });
      case StepKernel::residual_add:
        return worst_of(p_.rows * p_.cols, [this](std::int64_t i) { return residual_add(i); });
      case StepKernel::cross_entropy:
        return worst_of(p_.rows, [this](std::int64_t row) { return cross_entropy(row); });
      case StepKernel::adamw:
        return worst_of(p_.weights, [this](std::int64_t i) { return adamw(i); });
      case StepKernel::rmsnorm:
      case StepKernel::layernorm:
      case StepKernel::rmsnorm_backward:
      case StepKernel::layernorm_backward:
        return error_of_norms(p_, before_, after_);
      case StepKernel::swiglu_backward:
        return worst_of(p_.rows, [this](std::int64_t row) { return swiglu_backward(row); });
      case StepKernel::rope_backward:
        return worst_of(p_.rows * p_.heads, [this](std::int64_t head) { return rope(head, -1); });
      case StepKernel::permute:
      case StepKernel::permute_backward:
      case StepKernel::unpermute:
      case StepKernel::unpermute_backward:
      case StepKernel::topk_softmax:
      case StepKernel::topk_softmax_backward:
      case StepKernel::topk_sigmoid:
      case StepKernel::topk_sigmoid_backward:
        return error_of_experts(p_, before_, after_);
    }
    throw std::invalid_argument("no such kernel of a step");
  }

 private:
  // 1 / (1 + exp(-2 u)), which fp32's may be off by this share, and d(2 u) / dx.
  struct Gate {
    double value, off, slope;
  };

  [[nodiscard]] static Gate gelu_gate(double x) {
    const auto cubic = static_cast<double>(kGeluCubic);
    const auto factor = static_cast<double>(kGeluSlope);
    const double twice = factor * (x + cubic * x * x * x);
    return {1 / (1 + std::exp(-twice)), kChain + 6 * kU * std::abs(twice),
            factor * (1 + 3 * cubic * x * x)};
  }

  // Where exp(-2 u) is cut off before it overflows fp32, the gate is as good as 0.
  static constexpr double kNoGate = 0x1p-125;

  [[nodiscard]] double gelu(std::int64_t i) const {
    using A = arrays::Gelu;
    const double x = in(A::x)[i];
    const Gate gate = gelu_gate(x);
    return stored(out(A::y)[i], x * gate.value, std::abs(x) * (gate.off * gate.value + kNoGate));
  }

  [[nodiscard]] double gelu_backward(std::int64_t i) const {
    using A = arrays::GeluBackward;
    const double x = in(A::x)[i];
    const double dy = in(A::dy)[i];
    const Gate gate = gelu_gate(x);
    const double slope = x * gate.slope;
    const double allowed = std::abs(dy) * (gate.off * gate.value + kNoGate) * (1 + std::abs(slope));
    return stored(out(A::dx)[i], dy * gate.value * (1 + slope * (1 - gate.value)), allowed);
  }

  [[nodiscard]] double swiglu_backward(std::int64_t row) const {
    using A = arrays::SwigluBackward;
    double worst = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const std::int64_t gate = 2 * row * p_.cols + c;
      const double g = in(A::x)[gate];
      const double sigmoid = 1 / (1 + std::exp(-g));
      const double with = in(A::dy)[row * p_.cols + c] * sigmoid;
      const double of_up = with * g;
      const double factor = with * in(A::x)[gate + p_.cols];
      const double slope = g * (1 - sigmoid);
      worst = std::max({worst,
                        stored(out(A::dx)[gate], factor * (1 + slope),
                               kChain * std::abs(factor) * (1 + std::abs(g))),
                        stored(out(A::dx)[gate + p_.cols], of_up, kChain * std::abs(of_up))});
    }
    return worst;
  }

  [[nodiscard]] double swiglu(std::int64_t row) const {
    using A = arrays::Swiglu;
    double worst = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double g = in(A::x)[2 * row * p_.cols + c];
      const double y = g / (1 + std::exp(-g)) * in(A::x)[(2 * row + 1) * p_.cols + c];
      worst = std::max(worst, stored(out(A::y)[row * p_.cols + c], y, kChain * std::abs(y)));
    }
    return worst;
  }

  // direction: 1, or -1 for the gradient.
  [[nodiscard]] double rope(std::int64_t head, double direction) const {
    using A = arrays::Rope;  // and RopeBackward: dy, table, dx
    const std::int64_t half = p_.head_dim / 2;
    const std::int64_t at = head * p_.head_dim;
    const std::int64_t row = head / p_.heads;
    double worst = 0;
    for (std::int64_t i = 0; i < half; ++i) {
      const double cosine = in_fp32(A::table)[row * p_.head_dim + i];
      const double sine = direction * in_fp32(A::table)[row * p_.head_dim + half + i];
      const double x = in(A::x)[at + i];
      const double y = in(A::x)[at + half + i];
      const double first = std::abs(x * cosine) + std::abs(y * sine);
      const double second = std::abs(y * cosine) + std::abs(x * sine);
      worst = std::max({worst, stored(out(A::y)[at + i], x * cosine - y * sine, 3 * kU * first),
                        stored(out(A::y)[at + half + i], y * cosine + x * sine, 3 * kU * second)});
    }
    return worst;
  }

  [[nodiscard]] double residual_add(std::int64_t i) const {
    using A = arrays::ResidualAdd;
    const double y = in(A::a)[i] + in(A::b)[i];
    return stored(out(A::y)[i], y, kU * std::abs(y));
  }

  [[nodiscard]] double cross_entropy(std::int64_t row) const {
    using A = arrays::CrossEntropy;
    const std::int64_t at = row * p_.cols;
    double most = -kInfinite;
    for (std::int64_t c = 0; c < p_.cols; ++c) most = std::max(most, in(A::x)[at + c]);
    double sum = 0;
    double spread = 0;  // how far the exponents' rounding moves the sum
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double below = most - in(A::x)[at + c];
      sum += std::exp(-below);
      spread += below * std::exp(-below);
    }
    const double of_sum = growth(p_.cols) + kChain + kU * spread / sum;
    const std::int32_t target = index(A::target, row);
    const double loss = std::log(sum) + most - in(A::x)[at + target];
    double worst = scaled(
        out_fp32(A::loss)[row], loss,
        of_sum + 4 * kU * (std::log(sum) + std::abs(most) + std::abs(in(A::x)[at + target])));
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double below = most - in(A::x)[at + c];
      const double softmax = std::exp(-below) / sum;
      const double gradient = softmax - (c == target ? 1 : 0);
      worst = std::max(worst, stored(out(A::gradient)[at + c], gradient,
                                     (of_sum + kChain + kU * below) * softmax));
    }
    return worst;
  }

  [[nodiscard]] double adamw(std::int64_t i) const {
    using A = arrays::AdamW;
    const AdamW with;
    const auto real = [](float x) { return static_cast<double>(x); };
    const double g = in_fp32(A::gradient)[i];
    const double w = in_fp32(A::weight)[i];
    const double old_m = real(with.beta1) * in_fp32(A::m)[i];
    const double new_m = (1 - real(with.beta1)) * g;
    const double m = old_m + new_m;
    const double v = real(with.beta2) * in_fp32(A::v)[i] + (1 - real(with.beta2)) * g * g;
    const double m_allowed = 4 * kU * (std::abs(old_m) + std::abs(new_m));
    const double divisor = std::sqrt(v * real(with.v_correction)) + real(with.epsilon);
    const double move = m * real(with.m_correction) / divisor;
    const double decay = real(with.decay) * w;
    const double weight = w - real(with.rate) * (move + decay);
    const double weight_allowed =
        2 * kU * std::abs(w) + real(with.rate) * (m_allowed * real(with.m_correction) / divisor +
                                                  kChain * (std::abs(move) + std::abs(decay)));
    double worst = std::max({scaled(out_fp32(A::weight)[i], weight, weight_allowed + kExact),
                             scaled(out_fp32(A::m)[i], m, m_allowed + kExact),
                             scaled(out_fp32(A::v)[i], v, 6 * kU * v + kExact)});
    if (p_.dtype == DType::bf16) {
      worst = std::max(worst, stored(out(A::rounded)[i], weight, weight_allowed));
    }
    return worst;
  }
};

}  // namespace

Check verify_step(const StepProblem& problem, const std::vector<const void*>& before,
                  const std::vector<const void*>& after) {
  const double error = Reference(problem, before, after).error();
  return {.ok = error < 1, .error = error, .bound = 1, .how = "all elements, fp64"};
}

}  // namespace trainmeter
