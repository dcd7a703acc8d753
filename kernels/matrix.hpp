// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The reference product of verify.cpp: fp64, blocked, parallel, and no library's code.
#pragma once

#include "kernels/dtype.hpp"

#include <cstdint>
#include <functional>

namespace trainmeter {

// A rows x cols matrix of any element type, element (r, c) at r * row_stride + c * col_stride.
struct MatrixView {
  const void* data = nullptr;
  DType type = DType::fp64;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t row_stride = 0;
  std::int64_t col_stride = 0;
};

// A block of the view as row-major fp64 with row length `stride`; the caller keeps it in range.
void load_block(const MatrixView& view, std::int64_t row, std::int64_t rows, std::int64_t col,
                std::int64_t cols, double* out, std::int64_t stride);

constexpr std::int64_t kTileRows = 64;
constexpr std::int64_t kTileCols = 128;

// One finished tile of A B: value (i, j) is values[i * kTileCols + j], for row + i and col + j.
struct Tile {
  std::int64_t row = 0;
  std::int64_t rows = 0;
  std::int64_t col = 0;
  std::int64_t cols = 0;
  const double* values = nullptr;
  const double* a_norm = nullptr;  // Euclidean norm of each of the rows of A
  const double* b_norm = nullptr;  // and of each of the columns of B
};

// A B in fp64, tile by tile; `visit` is called from several threads at once and must not throw.
void reference_product(const MatrixView& a, const MatrixView& b,
                       const std::function<void(const Tile&)>& visit);

}  // namespace trainmeter
