// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// In which order a persistent kernel works through the tiles of C, and which worker takes which.
#pragma once

#include <algorithm>
#include <cstdint>

#ifdef __CUDACC__
#define TRAINMETER_BOTH __host__ __device__ constexpr
#else
#define TRAINMETER_BOTH constexpr
#endif

namespace trainmeter {

// Tiles of all groups, each with the same number: rows and columns count tiles of one C.
struct TileGrid {
  int rows = 0;
  int columns = 0;
  int groups = 1;

  [[nodiscard]] TRAINMETER_BOTH int count() const { return rows * columns * groups; }
};

struct TileAt {
  int row = 0;
  int column = 0;
  int group = 0;
};

// Workers that run at once hold neighbours in this order. In bands of eight rows, walked column by
// column, 64 of them read 8 tiles of A and 8 of B: the least that the L2 cache must deliver.
constexpr int kBandRows = 8;

// The tile with this index, 0 <= index < grid.count(). Worker w of n takes w, w + n, w + 2 n, ...
TRAINMETER_BOTH TileAt tile_at(const TileGrid& grid, int index) {
  const int of_group = grid.rows * grid.columns;
  const int inside = index % of_group;
  const int band = inside / (kBandRows * grid.columns);
  const int first = band * kBandRows;
  const int height = kBandRows < grid.rows - first ? kBandRows : grid.rows - first;
  const int in_band = inside - first * grid.columns;
  return {first + in_band % height, in_band / height, index / of_group};
}

}  // namespace trainmeter
