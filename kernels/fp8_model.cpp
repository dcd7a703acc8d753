// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A tensor core's fp8 sums.
#include "kernels/fp8_model.hpp"

#include "kernels/dtype.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace trainmeter {

float fp8_sum(float before, std::span<const float> products) {
  float largest = std::abs(before);
  for (const float product : products) largest = std::max(largest, std::abs(product));
  if (!(largest > 0)) return before;
  const double step = std::ldexp(1.0, std::ilogb(largest) - kFp8FractionBits);
  double sum = std::trunc(before / step);
  for (const float product : products) sum += std::trunc(product / step);
  return static_cast<float>(sum * step);
}

float fp8_dot(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b,
              std::int64_t promote_every) {
  constexpr std::size_t kDepth = 32;
  float promoted = 0;
  float part = 0;
  for (std::size_t k = 0; k < a.size(); k += kDepth) {
    std::array<float, kDepth> products{};
    for (std::size_t i = 0; i < kDepth && k + i < a.size(); ++i) {
      products[i] = float_from_fp8(a[k + i]) * float_from_fp8(b[k + i]);
    }
    part = fp8_sum(part, products);
    if (promote_every > 0 && (k + kDepth) % static_cast<std::size_t>(promote_every) == 0) {
      promoted += part;
      part = 0;
    }
  }
  return promoted + part;
}

}  // namespace trainmeter
