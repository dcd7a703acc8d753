// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Plain loops over tiles that stay in the caches of a core; the compiler makes a version for each
// vector width.
#include "kernels/matrix.hpp"

#include "kernels/rounding.hpp"
#include "kernels/target_clones.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kDepth = 256;     // of k in one step
constexpr std::int64_t kRowsAtOnce = 4;  // share each load of B

// acc[64][128] += a[64][kDepth] * b[depth][128].
TRAINMETER_TARGET_CLONES
void multiply_tile(const double* a, const double* b, std::int64_t rows, std::int64_t depth,
                   double* acc) {
  for (std::int64_t i = 0; i < rows; i += kRowsAtOnce) {
    double* c0 = acc + (i + 0) * kTileCols;
    double* c1 = acc + (i + 1) * kTileCols;
    double* c2 = acc + (i + 2) * kTileCols;
    double* c3 = acc + (i + 3) * kTileCols;
    for (std::int64_t p = 0; p < depth; ++p) {
      const double a0 = a[(i + 0) * kDepth + p];
      const double a1 = a[(i + 1) * kDepth + p];
      const double a2 = a[(i + 2) * kDepth + p];
      const double a3 = a[(i + 3) * kDepth + p];
      const double* row = b + p * kTileCols;
#pragma omp simd
      for (std::int64_t j = 0; j < kTileCols; ++j) {
        c0[j] += a0 * row[j];
        c1[j] += a1 * row[j];
        c2[j] += a2 * row[j];
        c3[j] += a3 * row[j];
      }
    }
  }
}

template <class T, class Convert>
void load(const MatrixView& view, std::int64_t row, std::int64_t rows, std::int64_t col,
          std::int64_t cols, double* out, std::int64_t stride, Convert convert) {
  const T* in = static_cast<const T*>(view.data) + row * view.row_stride + col * view.col_stride;
  if (view.row_stride == 1) {  // columns lie together: walk along them
    for (std::int64_t c = 0; c < cols; ++c) {
      for (std::int64_t r = 0; r < rows; ++r) {
        out[r * stride + c] = convert(in[r + c * view.col_stride]);
      }
    }
    return;
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < cols; ++c) {
      out[r * stride + c] = convert(in[r * view.row_stride + c * view.col_stride]);
    }
  }
}

}  // namespace

void load_block(const MatrixView& view, std::int64_t row, std::int64_t rows, std::int64_t col,
                std::int64_t cols, double* out, std::int64_t stride) {
  const auto plain = [](auto x) { return static_cast<double>(x); };
  switch (view.type) {
    case DType::fp64:
      return load<double>(view, row, rows, col, cols, out, stride, plain);
    case DType::fp32:
    case DType::tf32:
      return load<float>(view, row, rows, col, cols, out, stride, plain);
    case DType::fp16:
      return load<std::uint16_t>(view, row, rows, col, cols, out, stride, [](std::uint16_t x) {
        return static_cast<double>(float_from_fp16(x));
      });
    case DType::bf16:
      return load<std::uint16_t>(view, row, rows, col, cols, out, stride, [](std::uint16_t x) {
        return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16));
      });
    case DType::int8:
      return load<std::int8_t>(view, row, rows, col, cols, out, stride, plain);
    case DType::fp8:
    case DType::fp8_e5m2:
      break;
  }
  throw std::invalid_argument("no host format for this element type");
}

void reference_product(const MatrixView& a, const MatrixView& b,
                       const std::function<void(const Tile&)>& visit) {
  const std::int64_t m = a.rows;
  const std::int64_t n = b.cols;
  const std::int64_t k = a.cols;
  if (b.rows != k) throw std::invalid_argument("A and B don't fit together");
  load_block(a, 0, 0, 0, 0, nullptr, 0);  // throws for an element type it can't read, out of the
  load_block(b, 0, 0, 0, 0, nullptr, 0);  // parallel part, where nothing may throw
  const std::int64_t row_tiles = ceil_div(m, kTileRows);
  const std::int64_t col_tiles = ceil_div(n, kTileCols);
#pragma omp parallel
  {
    std::vector<double> acc(kTileRows * kTileCols);
    std::vector<double> a_block(kTileRows * kDepth);
    std::vector<double> b_block(kDepth * kTileCols);
    std::vector<double> a_norm(kTileRows);
    std::vector<double> b_norm(kTileCols);
#pragma omp for schedule(dynamic) collapse(2)
    for (std::int64_t jt = 0; jt < col_tiles; ++jt) {
      for (std::int64_t it = 0; it < row_tiles; ++it) {
        const std::int64_t row = it * kTileRows;
        const std::int64_t col = jt * kTileCols;
        const std::int64_t rows = std::min(kTileRows, m - row);
        const std::int64_t cols = std::min(kTileCols, n - col);
        std::fill(acc.begin(), acc.end(), 0.0);
        std::fill(a_norm.begin(), a_norm.end(), 0.0);
        std::fill(b_norm.begin(), b_norm.end(), 0.0);
        for (std::int64_t k0 = 0; k0 < k; k0 += kDepth) {
          const std::int64_t depth = std::min(kDepth, k - k0);
          load_block(a, row, rows, k0, depth, a_block.data(), kDepth);
          load_block(b, k0, depth, col, cols, b_block.data(), kTileCols);
          multiply_tile(a_block.data(), b_block.data(), rows, depth, acc.data());
          for (std::int64_t i = 0; i < rows; ++i) {
            for (std::int64_t p = 0; p < depth; ++p) {
              const double x = a_block[i * kDepth + p];
              a_norm[i] += x * x;
            }
          }
          for (std::int64_t p = 0; p < depth; ++p) {
            for (std::int64_t j = 0; j < cols; ++j) {
              const double x = b_block[p * kTileCols + j];
              b_norm[j] += x * x;
            }
          }
        }
        for (double& x : a_norm) x = std::sqrt(x);
        for (double& x : b_norm) x = std::sqrt(x);
        visit({.row = row,
               .rows = rows,
               .col = col,
               .cols = cols,
               .values = acc.data(),
               .a_norm = a_norm.data(),
               .b_norm = b_norm.data()});
      }
    }
  }
}

}  // namespace trainmeter
