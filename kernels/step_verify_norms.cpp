// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The checks of RMSNorm and LayerNorm.
#include "kernels/rounding.hpp"
#include "kernels/step_arrays.hpp"
#include "kernels/step_verify_parts.hpp"

#include <stdexcept>

namespace trainmeter::step_verify {
namespace {

class Norms : Results {
 public:
  using Results::Results;

  [[nodiscard]] double error() const {
    switch (p_.kernel) {
      case StepKernel::rmsnorm:
        return worst_of(p_.rows, [this](std::int64_t row) { return rmsnorm(row); });
      case StepKernel::rmsnorm_backward:
        return rmsnorm_backward();
      case StepKernel::layernorm:
        return worst_of(p_.rows, [this](std::int64_t row) { return layernorm(row); });
      case StepKernel::layernorm_backward:
        return layernorm_backward();
      default:
        throw std::invalid_argument("not a norm");
    }
  }

 private:
  [[nodiscard]] double inverse_norm(std::int64_t row) const {
    using A = arrays::RmsNorm;  // and RmsNormBackward
    const std::int64_t at = row * p_.cols;
    double squares = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) squares += in(A::x)[at + c] * in(A::x)[at + c];
    return 1 /
           std::sqrt(squares / static_cast<double>(p_.cols) + static_cast<double>(kNormEpsilon));
  }

  [[nodiscard]] double rmsnorm(std::int64_t row) const {
    using A = arrays::RmsNorm;
    const std::int64_t at = row * p_.cols;
    const double inverse = inverse_norm(row);
    double worst = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double y = in(A::x)[at + c] * inverse * in(A::w)[c];
      worst = std::max(worst,
                       stored(out(A::y)[at + c], y, (growth(p_.cols) / 2 + kChain) * std::abs(y)));
    }
    return worst;
  }

  struct Term {
    double value, off;
  };

  // Array `to` holds fp32[cols], the sums over the rows of term(row, c).
  template <class F>
  [[nodiscard]] double sums_of_columns(std::size_t to, F term) const {
    constexpr std::int64_t kAtOnce = 64;  // so that whole cache lines of a row are read
    return worst_of(ceil_div(p_.cols, kAtOnce), [&](std::int64_t i) {
      const std::int64_t begin = i * kAtOnce;
      std::vector<Term> sums(static_cast<std::size_t>(std::min(kAtOnce, p_.cols - begin)),
                             {0, kExact});
      for (std::int64_t row = 0; row < p_.rows; ++row) {
        for (std::int64_t c = 0; c < std::ssize(sums); ++c) {
          const Term one = term(row, begin + c);
          sums[static_cast<std::size_t>(c)].value += one.value;
          sums[static_cast<std::size_t>(c)].off += one.off;
        }
      }
      double worst = 0;
      for (std::int64_t c = 0; c < std::ssize(sums); ++c) {
        const Term& sum = sums[static_cast<std::size_t>(c)];
        worst = std::max(worst, scaled(out_fp32(to)[begin + c], sum.value, sum.off));
      }
      return worst;
    });
  }

  [[nodiscard]] double rmsnorm_backward() const {
    using A = arrays::RmsNormBackward;
    std::vector<double> inverses(static_cast<std::size_t>(p_.rows));
    const double of_rows = worst_of(p_.rows, [&](std::int64_t row) {
      const double inverse = inverses[static_cast<std::size_t>(row)] = inverse_norm(row);
      return norm_input_gradient(row, inverse);
    });
    const double allowed = growth(p_.rows) + growth(p_.cols) / 2 + kChain;
    return std::max(of_rows, sums_of_columns(A::dw, [&](std::int64_t row, std::int64_t c) -> Term {
                      const std::int64_t at = row * p_.cols + c;
                      const double term =
                          in(A::dy)[at] * in(A::x)[at] * inverses[static_cast<std::size_t>(row)];
                      return {term, allowed * std::abs(term)};
                    }));
  }

  [[nodiscard]] double norm_input_gradient(std::int64_t row, double inverse) const {
    using A = arrays::RmsNormBackward;
    const std::int64_t at = row * p_.cols;
    double product = 0;
    double size = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double term = in(A::dy)[at + c] * in(A::w)[c] * in(A::x)[at + c];
      product += term;
      size += std::abs(term);
    }
    const double of_inverse = growth(p_.cols) / 2 + kChain;
    const double along = inverse * inverse * inverse / static_cast<double>(p_.cols);
    double worst = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double direct = inverse * in(A::dy)[at + c] * in(A::w)[c];
      const double x = in(A::x)[at + c];
      const double allowed =
          of_inverse * std::abs(direct) +
          along * std::abs(x) * (3 * of_inverse * std::abs(product) + growth(p_.cols) * size);
      worst = std::max(worst, stored(out(A::dx)[at + c], direct - along * x * product, allowed));
    }
    return worst;
  }

  // Of a row of x: what LayerNorm centres by, and how far fp32's may be off.
  struct Centre {
    double mean, inverse;
    double mean_off;     // by how much
    double inverse_off;  // by which share

    [[nodiscard]] double normal(double x) const { return (x - mean) * inverse; }
    [[nodiscard]] double normal_off(double x) const {
      return inverse * mean_off + std::abs(normal(x)) * inverse_off;
    }
  };

  [[nodiscard]] Centre centre(std::int64_t row) const {
    using A = arrays::LayerNorm;  // and LayerNormBackward
    const std::int64_t at = row * p_.cols;
    const auto count = static_cast<double>(p_.cols);
    double sum = 0;
    double size = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      sum += in(A::x)[at + c];
      size += std::abs(in(A::x)[at + c]);
    }
    const double mean = sum / count;
    double squares = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c)
      squares += (in(A::x)[at + c] - mean) * (in(A::x)[at + c] - mean);
    const double spread = squares / count + static_cast<double>(kLayerNormEpsilon);
    const double off = growth(p_.cols) * size / count + kU * std::abs(mean);
    return {.mean = mean,
            .inverse = 1 / std::sqrt(spread),
            .mean_off = off,
            .inverse_off = growth(p_.cols) / 2 + kChain + off * off / spread};
  }

  [[nodiscard]] double layernorm(std::int64_t row) const {
    using A = arrays::LayerNorm;
    const Centre of = centre(row);
    double worst = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double x = in(A::x)[row * p_.cols + c];
      const double w = in(A::w)[c];
      const double y = of.normal(x) * w + in(A::b)[c];
      const double allowed = std::abs(w) * of.normal_off(x) + kU * std::abs(y);
      worst = std::max(worst, stored(out(A::y)[row * p_.cols + c], y, allowed));
    }
    return worst;
  }

  [[nodiscard]] double layernorm_backward() const {
    using A = arrays::LayerNormBackward;
    std::vector<Centre> centres(static_cast<std::size_t>(p_.rows));
    const double of_rows = worst_of(p_.rows, [&](std::int64_t row) {
      return layernorm_input_gradient(row, centres[static_cast<std::size_t>(row)] = centre(row));
    });
    const double of_sum = growth(p_.rows);
    const double of_weights = sums_of_columns(A::dw, [&](std::int64_t row, std::int64_t c) -> Term {
      const Centre& of = centres[static_cast<std::size_t>(row)];
      const double g = in(A::dy)[row * p_.cols + c];
      const double x = in(A::x)[row * p_.cols + c];
      return {g * of.normal(x),
              std::abs(g) * ((of_sum + kChain) * std::abs(of.normal(x)) + of.normal_off(x))};
    });
    const double of_biases = sums_of_columns(A::db, [&](std::int64_t row, std::int64_t c) -> Term {
      const double g = in(A::dy)[row * p_.cols + c];
      return {g, of_sum * std::abs(g)};
    });
    return std::max({of_rows, of_weights, of_biases});
  }

  [[nodiscard]] double layernorm_input_gradient(std::int64_t row, const Centre& of) const {
    using A = arrays::LayerNormBackward;
    const std::int64_t at = row * p_.cols;
    const auto count = static_cast<double>(p_.cols);
    double mean = 0;
    double mean_off = 0;
    double along = 0;
    double along_off = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double g = in(A::dy)[at + c] * in(A::w)[c] / count;
      const double n = of.normal(in(A::x)[at + c]);
      mean += g;
      mean_off += growth(p_.cols) * std::abs(g);
      along += g * n;
      along_off += (growth(p_.cols) + kChain) * std::abs(g * n) +
                   std::abs(g) * of.normal_off(in(A::x)[at + c]);
    }
    double worst = 0;
    for (std::int64_t c = 0; c < p_.cols; ++c) {
      const double direct = in(A::dy)[at + c] * in(A::w)[c];
      const double x = in(A::x)[at + c];
      const double n = of.normal(x);
      const double sizes = std::abs(direct) + std::abs(mean) + std::abs(n * along);
      const double allowed =
          of.inverse * (of.inverse_off * sizes + mean_off + std::abs(n) * along_off +
                        of.normal_off(x) * std::abs(along));
      worst = std::max(
          worst, stored(out(A::dx)[at + c], of.inverse * (direct - mean - n * along), allowed));
    }
    return worst;
  }
};

}  // namespace

double error_of_norms(const StepProblem& problem, const std::vector<const void*>& before,
                      const std::vector<const void*>& after) {
  return Norms(problem, before, after).error();
}

}  // namespace trainmeter::step_verify
