// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The checks of a step's kernels against fp64; those of experts: step_verify_experts.cpp.
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
      case StepKernel::rmsnorm:
        return worst_of(p_.rows, [this](std::int64_t row) { return rmsnorm(row); });
      case StepKernel::swiglu:
        return worst_of(p_.rows, [this](std::int64_t row) { return swiglu(row); });
      case StepKernel::rope:
        return worst_of(p_.rows * p_.heads, [this](std::int64_t head) { return rope(head, 1); });
      case StepKernel::cast_fp8:
        return cast_rows();
      case StepKernel::cast_fp8_transpose:
        return std::max(cast_rows(), cast_columns());
      case StepKernel::residual_add:
        return worst_of(p_.rows * p_.cols, [this](std::int64_t i) { return residual_add(i); });
      case StepKernel::cross_entropy:
        return worst_of(p_.rows, [this](std::int64_t row) { return cross_entropy(row); });
      case StepKernel::adamw:
        return worst_of(p_.weights, [this](std::int64_t i) { return adamw(i); });
      case StepKernel::rmsnorm_backward:
        return rmsnorm_backward();
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
  [[nodiscard]] double inverse_norm(std::int64_t row) const {
    const std::int64_t at = row * p_.cols;
    double squares = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) squares += in(0)[at + c] * in(0)[at + c];
    return 1 /
           std::sqrt(squares / static_cast<double>(p_.cols) + static_cast<double>(kNormEpsilon));
  }

  [[nodiscard]] double rmsnorm(std::int64_t row) const {
    const std::int64_t at = row * p_.cols;
    const double inverse = inverse_norm(row);
    double worst = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double y = in(0)[at + c] * inverse * in(1)[c];
      worst =
          std::max(worst, stored(out(2)[at + c], y, (growth(p_.cols) / 2 + kChain) * std::abs(y)));
    }
    return worst;
  }

  [[nodiscard]] double rmsnorm_backward() const {
    std::vector<double> inverses(static_cast<std::size_t>(p_.rows));
    const double of_rows = worst_of(p_.rows, [&](std::int64_t row) {
      const double inverse = inverses[static_cast<std::size_t>(row)] = inverse_norm(row);
      return norm_input_gradient(row, inverse);
    });
    constexpr std::int64_t kAtOnce = 64;  // columns, so that whole cache lines of a row are read
    const double of_columns = worst_of((p_.cols + kAtOnce - 1) / kAtOnce, [&](std::int64_t i) {
      const std::int64_t begin = i * kAtOnce;
      return norm_weight_gradient(begin, std::min(kAtOnce, p_.cols - begin), inverses);
    });
    return std::max(of_rows, of_columns);
  }

  [[nodiscard]] double norm_input_gradient(std::int64_t row, double inverse) const {
    const std::int64_t at = row * p_.cols;
    double product = 0;
    double size = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double term = in(2)[at + c] * in(1)[c] * in(0)[at + c];
      product += term;
      size += std::abs(term);
    }
    const double of_inverse = growth(p_.cols) / 2 + kChain;
    const double along = inverse * inverse * inverse / static_cast<double>(p_.cols);
    double worst = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double direct = inverse * in(2)[at + c] * in(1)[c];
      const double x = in(0)[at + c];
      const double allowed =
          of_inverse * std::abs(direct) +
          along * std::abs(x) * (3 * of_inverse * std::abs(product) + growth(p_.cols) * size);
      worst = std::max(worst, stored(out(3)[at + c], direct - along * x * product, allowed));
    }
    return worst;
  }

  [[nodiscard]] double norm_weight_gradient(std::int64_t begin, std::int64_t count,
                                            const std::vector<double>& inverses) const {
    std::vector<double> sums(static_cast<std::size_t>(count));
    std::vector<double> sizes(sums.size());
    for (std::int64_t row = 0; row < p_.rows; ++row) {
      const std::int64_t at = row * p_.cols + begin;
      for (std::int64_t c = 0; c < count; ++c) {
        const double term = in(2)[at + c] * in(0)[at + c] * inverses[static_cast<std::size_t>(row)];
        sums[static_cast<std::size_t>(c)] += term;
        sizes[static_cast<std::size_t>(c)] += std::abs(term);
      }
    }
    double worst = 0;
    for (std::int64_t c = 0; c < count; ++c) {
      const double allowed = growth(p_.rows) + growth(p_.cols) / 2 + kChain;
      worst = std::max(worst, scaled(out_fp32(4)[begin + c], sums[static_cast<std::size_t>(c)],
                                     allowed * sizes[static_cast<std::size_t>(c)] + kExact));
    }
    return worst;
  }

  [[nodiscard]] double swiglu_backward(std::int64_t row) const {
    double worst = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const std::int64_t gate = 2 * row * p_.cols + c;
      const double g = in(0)[gate];
      const double sigmoid = 1 / (1 + std::exp(-g));
      const double with = in(1)[row * p_.cols + c] * sigmoid;
      const double of_up = with * g;
      const double factor = with * in(0)[gate + p_.cols];
      const double slope = g * (1 - sigmoid);
      worst = std::max({worst,
                        stored(out(2)[gate], factor * (1 + slope),
                               kChain * std::abs(factor) * (1 + std::abs(g))),
                        stored(out(2)[gate + p_.cols], of_up, kChain * std::abs(of_up))});
    }
    return worst;
  }

  [[nodiscard]] double swiglu(std::int64_t row) const {
    double worst = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double g = in(0)[2 * row * p_.cols + c];
      const double y = g / (1 + std::exp(-g)) * in(0)[(2 * row + 1) * p_.cols + c];
      worst = std::max(worst, stored(out(1)[row * p_.cols + c], y, kChain * std::abs(y)));
    }
    return worst;
  }

  // direction: 1, or -1 for the gradient.
  [[nodiscard]] double rope(std::int64_t head, double direction) const {
    const std::int64_t half = p_.head_dim / 2;
    const std::int64_t at = head * p_.head_dim;
    const std::int64_t row = head / p_.heads;
    double worst = 0;
    for (std::int64_t i = 0; i < half; ++i) {
      const double cosine = in_fp32(1)[row * p_.head_dim + i];
      const double sine = direction * in_fp32(1)[row * p_.head_dim + half + i];
      const double x = in(0)[at + i];
      const double y = in(0)[at + half + i];
      const double first = std::abs(x * cosine) + std::abs(y * sine);
      const double second = std::abs(y * cosine) + std::abs(x * sine);
      worst = std::max({worst, stored(out(2)[at + i], x * cosine - y * sine, 3 * kU * first),
                        stored(out(2)[at + half + i], y * cosine + x * sine, 3 * kU * second)});
    }
    return worst;
  }

  // One block of `count` elements, `step` apart: its x, its q (neighbours) and its scale.
  [[nodiscard]] double cast_block(std::int64_t x_at, std::int64_t step, std::int64_t count,
                                  const unsigned char* q, double scale) const {
    double amax = 0;
    bool finite = true;
    for (std::int64_t i = 0; i < count; ++i) {
      const double x = in(0)[x_at + i * step];
      amax = std::max(amax, std::abs(x));
      finite = finite && std::isfinite(x);
    }
    if (!finite) {
      const bool all_nan = std::isnan(scale) && std::all_of(q, q + count, [](unsigned char b) {
                             return std::isnan(float_from_fp8(b));
                           });
      return all_nan ? 0 : kInfinite;
    }
    const double expected =
        amax > 0 ? std::max<double>(amax / static_cast<double>(kCastMax), kLeastScale) : 1;
    double worst = scaled(scale, expected, 2 * kU * expected);
    for (std::int64_t i = 0; i < count; ++i) {
      const double x = in(0)[x_at + i * step];
      const double t = std::abs(x / scale);
      // Three bits of fraction; below 2^-6 steps of 2^-9.
      const double half_step = std::ldexp(1, std::max(t > 0 ? std::ilogb(t) : -6, -6) - 4);
      worst = std::max(worst, scaled(float_from_fp8(q[i]) * scale, x,
                                     scale * (half_step + 4 * kU * t) + 0x1p-149));
    }
    return worst;
  }

  [[nodiscard]] double cast_rows() const {
    const std::int64_t blocks = cast_blocks(p_.cols);
    return worst_of(p_.rows * blocks, [&](std::int64_t i) {
      const std::int64_t at = i / blocks * p_.cols + i % blocks * kCastBlock;
      const std::int64_t count = std::min<std::int64_t>(kCastBlock, p_.cols - at % p_.cols);
      return cast_block(at, 1, count, static_cast<const unsigned char*>(after_[1]) + at,
                        out_fp32(2)[i]);
    });
  }

  [[nodiscard]] double cast_columns() const {
    const std::int64_t blocks = cast_blocks(p_.rows);
    return worst_of(p_.cols * blocks, [&](std::int64_t i) {
      const std::int64_t column = i / blocks;
      const std::int64_t row = i % blocks * kCastBlock;
      const std::int64_t count = std::min<std::int64_t>(kCastBlock, p_.rows - row);
      return cast_block(row * p_.cols + column, p_.cols, count,
                        static_cast<const unsigned char*>(after_[3]) + column * p_.rows + row,
                        out_fp32(4)[i]);
    });
  }

  [[nodiscard]] double residual_add(std::int64_t i) const {
    const double y = in(0)[i] + in(1)[i];
    return stored(out(2)[i], y, kU * std::abs(y));
  }

  [[nodiscard]] double cross_entropy(std::int64_t row) const {
    const std::int64_t at = row * p_.cols;
    double most = -kInfinite;
    for (std::int64_t c = 0; c < p_.cols; ++c) most = std::max(most, in(0)[at + c]);
    double sum = 0;
    double spread = 0;  // how far the exponents' rounding moves the sum
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double below = most - in(0)[at + c];
      sum += std::exp(-below);
      spread += below * std::exp(-below);
    }
    const double of_sum = growth(p_.cols) + kChain + kU * spread / sum;
    const std::int32_t target = index(1, row);
    const double loss = std::log(sum) + most - in(0)[at + target];
    double worst =
        scaled(out_fp32(2)[row], loss,
               of_sum + 4 * kU * (std::log(sum) + std::abs(most) + std::abs(in(0)[at + target])));
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double below = most - in(0)[at + c];
      const double softmax = std::exp(-below) / sum;
      const double gradient = softmax - (c == target ? 1 : 0);
      worst = std::max(worst,
                       stored(out(3)[at + c], gradient, (of_sum + kChain + kU * below) * softmax));
    }
    return worst;
  }

  [[nodiscard]] double adamw(std::int64_t i) const {
    const AdamW with;
    const auto real = [](float x) { return static_cast<double>(x); };
    const double g = in_fp32(0)[i];
    const double w = in_fp32(1)[i];
    const double old_m = real(with.beta1) * in_fp32(2)[i];
    const double new_m = (1 - real(with.beta1)) * g;
    const double m = old_m + new_m;
    const double v = real(with.beta2) * in_fp32(3)[i] + (1 - real(with.beta2)) * g * g;
    const double m_allowed = 4 * kU * (std::abs(old_m) + std::abs(new_m));
    const double divisor = std::sqrt(v * real(with.v_correction)) + real(with.epsilon);
    const double move = m * real(with.m_correction) / divisor;
    const double decay = real(with.decay) * w;
    const double weight = w - real(with.rate) * (move + decay);
    const double weight_allowed =
        2 * kU * std::abs(w) + real(with.rate) * (m_allowed * real(with.m_correction) / divisor +
                                                  kChain * (std::abs(move) + std::abs(decay)));
    double worst = std::max({scaled(out_fp32(1)[i], weight, weight_allowed + kExact),
                             scaled(out_fp32(2)[i], m, m_allowed + kExact),
                             scaled(out_fp32(3)[i], v, 6 * kU * v + kExact)});
    if (p_.dtype == DType::bf16) {
      worst = std::max(worst, stored(out(4)[i], weight, weight_allowed));
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
