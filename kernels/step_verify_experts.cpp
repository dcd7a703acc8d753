// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The checks of what moves tokens to experts and back, and of the router.
#include "kernels/step_arrays.hpp"
#include "kernels/step_verify_choice.hpp"
#include "kernels/step_verify_parts.hpp"

#include <numeric>
#include <stdexcept>

namespace trainmeter::step_verify {
namespace {

class Experts : Results {
 public:
  using Results::Results;

  [[nodiscard]] double error() const {
    switch (p_.kernel) {
      case StepKernel::permute:
        return worst_of(p_.rows * p_.top_k, [this](std::int64_t copy) { return permute(copy); });
      case StepKernel::permute_backward:
        return worst_of(p_.rows, [this](std::int64_t row) {
          return sum_of_copies(row, arrays::PermuteBackward::dx);
        });
      case StepKernel::unpermute:
        return worst_of(
            p_.rows, [this](std::int64_t row) { return sum_of_copies(row, arrays::Unpermute::y); });
      case StepKernel::unpermute_backward:
        return worst_of(p_.rows * p_.top_k,
                        [this](std::int64_t copy) { return unpermute_backward(copy); });
      case StepKernel::topk_softmax:
        return worst_of(p_.rows, [this](std::int64_t row) { return topk_softmax(row); });
      case StepKernel::topk_softmax_backward:
        return worst_of(p_.rows, [this](std::int64_t row) { return topk_softmax_backward(row); });
      case StepKernel::topk_sigmoid:
        return worst_of(p_.rows, [this](std::int64_t row) { return topk_sigmoid(row); });
      case StepKernel::topk_sigmoid_backward:
        return worst_of(p_.rows, [this](std::int64_t row) { return topk_sigmoid_backward(row); });
      default:
        throw std::invalid_argument("not a kernel of experts");
    }
  }

 private:
  [[nodiscard]] double permute(std::int64_t copy) const {
    using A = arrays::Permute;
    const std::int64_t from = copy / p_.top_k * p_.cols;
    const std::int64_t to = index(A::place, copy) * p_.cols;
    double worst = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      worst = std::max(worst, scaled(out(A::y)[to + c], in(A::x)[from + c], kExact));
    }
    return worst;
  }

  // Into array `to`; with weights where that is unpermute's.
  [[nodiscard]] double sum_of_copies(std::int64_t row, std::size_t to) const {
    using A = arrays::Unpermute;  // and PermuteBackward: dy, place
    const bool weighted = p_.kernel == StepKernel::unpermute;
    double worst = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      double sum = 0;
      double size = 0;
      for (std::int64_t j = 0; j < p_.top_k; ++j) {
        const std::int64_t i = row * p_.top_k + j;
        const double copy =
            in(A::x)[index(A::place, i) * p_.cols + c] * (weighted ? in_fp32(A::w)[i] : 1);
        sum += copy;
        size += std::abs(copy);
      }
      worst = std::max(worst, stored(out(to)[row * p_.cols + c], sum, growth(p_.top_k + 1) * size));
    }
    return worst;
  }

  [[nodiscard]] double unpermute_backward(std::int64_t copy) const {
    using A = arrays::UnpermuteBackward;
    const std::int64_t row = copy / p_.top_k;
    const std::int64_t at = index(A::place, copy) * p_.cols;
    double sum = 0;
    double size = 0;
    double worst = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double gradient = in(A::dy)[row * p_.cols + c];
      const double expected = in_fp32(A::w)[copy] * gradient;
      worst = std::max(worst, stored(out(A::dx)[at + c], expected, kU * std::abs(expected)));
      sum += gradient * in(A::x)[at + c];
      size += std::abs(gradient * in(A::x)[at + c]);
    }
    return std::max(worst, scaled(out_fp32(A::dw)[copy], sum, growth(p_.cols + 1) * size + kExact));
  }

  // The very experts: that logits are compared as they are makes the choice exact.
  [[nodiscard]] double topk_softmax(std::int64_t row) const {
    using A = arrays::TopkSoftmax;
    const std::int64_t at = row * p_.experts;
    std::vector<std::int64_t> order(static_cast<std::size_t>(p_.experts));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
      return in(A::x)[at + a] > in(A::x)[at + b];
    });
    const double most = in(A::x)[at + order.front()];
    const auto below = [&](std::int64_t j) {
      return most - in(A::x)[at + order[static_cast<std::size_t>(j)]];
    };
    double sum = 0;
    double spread = 0;  // how far the exponents' rounding moves the sum
    for (std::int64_t j = 0; j < p_.top_k; ++j) {
      sum += std::exp(-below(j));
      spread += below(j) * std::exp(-below(j));
    }
    double worst = 0;
    for (std::int64_t j = 0; j < p_.top_k; ++j) {
      const std::int64_t i = row * p_.top_k + j;
      const std::int32_t chosen = static_cast<const std::int32_t*>(after_[A::chosen])[i];
      if (chosen != order[static_cast<std::size_t>(j)]) return kInfinite;
      const double gate = std::exp(-below(j)) / sum;
      const double allowed = growth(p_.top_k) + kChain + kU * (spread / sum + below(j));
      worst = std::max(worst, scaled(out_fp32(A::w)[i], gate, allowed * gate + kExact));
    }
    return worst;
  }

  [[nodiscard]] double topk_softmax_backward(std::int64_t row) const {
    using A = arrays::TopkSoftmaxBackward;
    const std::int64_t first = row * p_.top_k;
    double mean = 0;
    double size = 0;
    for (std::int64_t i = first; i < first + p_.top_k; ++i) {
      mean += in_fp32(A::w)[i] * in_fp32(A::dw)[i];
      size += std::abs(in_fp32(A::w)[i] * in_fp32(A::dw)[i]);
    }
    return of_chosen(row, [&](std::int64_t i) -> Expected {
      const double w = in_fp32(A::w)[i];
      const double dw = in_fp32(A::dw)[i];
      return {w * (dw - mean),
              std::abs(w) * (4 * kU * std::abs(dw) + (growth(p_.top_k) + 4 * kU) * size)};
    });
  }

  struct Expected {
    double value = 0, allowed = 0;
  };

  // Of a row of a router's gradient, dx: expected(i) for the chosen ones, else 0.
  template <class F>
  [[nodiscard]] double of_chosen(std::int64_t row, F expected) const {
    using A = arrays::TopkSoftmaxBackward;  // and TopkSigmoidBackward
    std::vector<Expected> all(static_cast<std::size_t>(p_.experts));
    for (std::int64_t i = row * p_.top_k; i < (row + 1) * p_.top_k; ++i)
      all[static_cast<std::size_t>(index(A::chosen, i))] = expected(i);
    double worst = 0;
    for (std::int64_t e = 0; e < p_.experts; ++e) {
      const Expected& one = all[static_cast<std::size_t>(e)];
      worst = std::max(worst, stored(out(A::dx)[row * p_.experts + e], one.value, one.allowed));
    }
    return worst;
  }

  [[nodiscard]] double topk_sigmoid(std::int64_t row) const {
    using A = arrays::TopkSigmoid;
    const auto* const chosen = static_cast<const std::int32_t*>(after_[A::chosen]) + row * p_.top_k;
    std::vector<Candidate> experts;
    for (std::int64_t e = 0; e < p_.experts; ++e) {
      const double logit = in(A::x)[row * p_.experts + e];
      const double bias = in_fp32(A::bias)[e];
      const double score = affinity_of(logit) + bias;
      experts.push_back(
          {{score, kChain * affinity_of(logit) + kU * std::abs(score) + kTiny}, logit, bias});
    }
    if (!may_choose(experts, {chosen, static_cast<std::size_t>(p_.top_k)}, p_)) return kInfinite;
    double sum = static_cast<double>(kLeastAffinities);
    for (std::int64_t j = 0; j < p_.top_k; ++j)
      sum += affinity_of(experts[static_cast<std::size_t>(chosen[j])].logit);
    double worst = 0;
    for (std::int64_t j = 0; j < p_.top_k; ++j) {
      const std::int64_t i = row * p_.top_k + j;
      const double affinity = affinity_of(experts[static_cast<std::size_t>(chosen[j])].logit);
      const double gate = static_cast<double>(kRoutedScale) * affinity / sum;
      const double of_gate = (growth(p_.top_k + 1) + 2 * kChain) * gate +
                             5 * static_cast<double>(p_.top_k) * kTiny / sum;
      worst =
          std::max({worst, scaled(out_fp32(A::affinity)[i], affinity, kChain * affinity + kTiny),
                    scaled(out_fp32(A::w)[i], gate, of_gate)});
    }
    return worst;
  }

  // Where exp(-x) overflows fp32, or is cut off before it does, the affinity is as good as 0.
  static constexpr double kTiny = 0x1p-125;
  static double affinity_of(double logit) { return 1 / (1 + std::exp(-logit)); }

  [[nodiscard]] double topk_sigmoid_backward(std::int64_t row) const {
    using A = arrays::TopkSigmoidBackward;
    double sum = static_cast<double>(kLeastAffinities);
    double mean = 0;
    double size = 0;
    for (std::int64_t i = row * p_.top_k; i < (row + 1) * p_.top_k; ++i) {
      sum += in_fp32(A::affinity)[i];
      mean += in_fp32(A::affinity)[i] * in_fp32(A::dw)[i];
      size += std::abs(in_fp32(A::affinity)[i] * in_fp32(A::dw)[i]);
    }
    mean /= sum;
    size /= sum;
    return of_chosen(row, [&](std::int64_t i) -> Expected {
      const double a = in_fp32(A::affinity)[i];
      const double dw = in_fp32(A::dw)[i];
      const double slope = static_cast<double>(kRoutedScale) * a / sum * (1 - a);
      const double of_sums = 2 * growth(p_.top_k + 1) + kChain;
      return {slope * (dw - mean), std::abs(slope) * of_sums * (std::abs(dw) + size)};
    });
  }
};

}  // namespace

double error_of_experts(const StepProblem& problem, const std::vector<const void*>& before,
                        const std::vector<const void*>& after) {
  return Experts(problem, before, after).error();
}

}  // namespace trainmeter::step_verify
