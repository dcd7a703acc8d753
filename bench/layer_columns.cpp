// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Splits and merges.
#include "bench/layer_columns.hpp"

namespace trainmeter {

Tensor columns(const Tensor& from, std::int64_t wide, std::int64_t first, std::int64_t cols) {
  Tensor out;
  for (auto row = from.begin(); row != from.end(); row += wide)
    out.insert(out.end(), row + first, row + first + cols);
  return out;
}

Tensor beside(std::int64_t rows, std::initializer_list<const Tensor*> parts) {
  Tensor out;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (const Tensor* part : parts) {
      const std::int64_t cols = std::ssize(*part) / rows;
      out.insert(out.end(), part->begin() + row * cols, part->begin() + (row + 1) * cols);
    }
  }
  return out;
}

Tensor swapped(const Tensor& from, std::int64_t batch, std::int64_t first, std::int64_t second) {
  const std::int64_t dim = std::ssize(from) / (batch * first * second);
  Tensor out;
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t s = 0; s < second; ++s) {
      for (std::int64_t f = 0; f < first; ++f) {
        const auto at = from.begin() + ((b * first + f) * second + s) * dim;
        out.insert(out.end(), at, at + dim);
      }
    }
  }
  return out;
}

}  // namespace trainmeter
