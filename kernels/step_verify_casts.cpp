// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The checks of casts to fp8, block by block.
#include "kernels/step_arrays.hpp"
#include "kernels/step_verify_parts.hpp"

#include <stdexcept>

namespace trainmeter::step_verify {
namespace {

class Casts : Results {
 public:
  using Results::Results;

  [[nodiscard]] double error() const {
    switch (p_.kernel) {
      case StepKernel::cast_fp8:
        return rows();
      case StepKernel::cast_fp8_transpose:
        return std::max(rows(), columns(arrays::CastFp8Transpose::q_t));
      case StepKernel::cast_fp8_block:
        return squares();
      case StepKernel::recast_fp8:
        return columns(arrays::RecastFp8::q_t);
      default:
        throw std::invalid_argument("not a cast");
    }
  }

 private:
  [[nodiscard]] bool again() const { return p_.kernel == StepKernel::recast_fp8; }

  [[nodiscard]] double x(std::int64_t row, std::int64_t col) const {
    if (!again()) return in(arrays::CastFp8::x)[row * p_.cols + col];
    using A = arrays::RecastFp8;
    const std::uint8_t q = static_cast<const std::uint8_t*>(before_[A::q])[row * p_.cols + col];
    return float_from_fp8(q) * in_fp32(A::s)[row * cast_blocks(p_.cols) + col / kCastBlock];
  }

  // What a block should be divided by.
  [[nodiscard]] double expected_scale(double amax) const {
    if (!(amax > 0)) return 1;
    const double exact = amax / static_cast<double>(kCastMax);
    return std::max<double>(again() ? std::exp2(std::ceil(std::log2(exact))) : exact, kLeastScale);
  }

  // One block of `count` elements: the i-th one's value and its cast, and their scale.
  template <class X, class Q>
  [[nodiscard]] double block(std::int64_t count, X value, Q cast, double scale) const {
    double amax = 0;
    bool finite = true;
    bool all_nan = std::isnan(scale);
    for (std::int64_t i = 0; i < count; ++i) {
      amax = std::max(amax, std::abs(value(i)));
      finite = finite && std::isfinite(value(i));
      all_nan = all_nan && std::isnan(cast(i));
    }
    if (!finite) return all_nan ? 0 : kInfinite;
    const double expected = expected_scale(amax);
    double worst = scaled(scale, expected, again() ? kExact : 2 * kU * expected);
    for (std::int64_t i = 0; i < count; ++i) {
      const double t = std::abs(value(i) / scale);
      // Three bits of fraction; below 2^-6 steps of 2^-9.
      const double half_step = std::ldexp(1, std::max(t > 0 ? std::ilogb(t) : -6, -6) - 4);
      const bool exact = again() && t >= 0x1p-6;
      worst = std::max(worst, scaled(cast(i) * scale, value(i),
                                     exact ? kExact : scale * (half_step + 4 * kU * t) + 0x1p-149));
    }
    return worst;
  }

  [[nodiscard]] double q(std::size_t array, std::int64_t i) const {
    return float_from_fp8(static_cast<const std::uint8_t*>(after_[array])[i]);
  }

  [[nodiscard]] double rows() const {
    using A = arrays::CastFp8;  // and CastFp8Transpose
    const std::int64_t across = cast_blocks(p_.cols);
    return worst_of(p_.rows * across, [&](std::int64_t i) {
      const std::int64_t row = i / across;
      const std::int64_t col = i % across * kCastBlock;
      return block(
          std::min<std::int64_t>(kCastBlock, p_.cols - col),
          [&](std::int64_t c) { return x(row, col + c); },
          [&](std::int64_t c) { return q(A::q, row * p_.cols + col + c); }, out_fp32(A::s)[i]);
    });
  }

  // Of the transpose, which is array `to`, its scales the next one.
  [[nodiscard]] double columns(std::size_t to) const {
    const std::int64_t down = cast_blocks(p_.rows);
    return worst_of(p_.cols * down, [&](std::int64_t i) {
      const std::int64_t col = i / down;
      const std::int64_t row = i % down * kCastBlock;
      return block(
          std::min<std::int64_t>(kCastBlock, p_.rows - row),
          [&](std::int64_t r) { return x(row + r, col); },
          [&](std::int64_t r) { return q(to, col * p_.rows + row + r); }, out_fp32(to + 1)[i]);
    });
  }

  [[nodiscard]] double squares() const {
    using A = arrays::CastFp8Block;
    const std::int64_t across = cast_blocks(p_.cols);
    return worst_of(cast_blocks(p_.rows) * across, [&](std::int64_t i) {
      const std::int64_t row = i / across * kCastBlock;
      const std::int64_t col = i % across * kCastBlock;
      const std::int64_t high = std::min<std::int64_t>(kCastBlock, p_.rows - row);
      const std::int64_t wide = std::min<std::int64_t>(kCastBlock, p_.cols - col);
      return block(
          high * wide, [&](std::int64_t e) { return x(row + e / wide, col + e % wide); },
          [&](std::int64_t e) { return q(A::q, (row + e / wide) * p_.cols + col + e % wide); },
          out_fp32(A::s)[i]);
    });
  }
};

}  // namespace

double error_of_casts(const StepProblem& problem, const std::vector<const void*>& before,
                      const std::vector<const void*>& after) {
  return Casts(problem, before, after).error();
}

}  // namespace trainmeter::step_verify
