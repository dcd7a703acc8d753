// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// In which order a persistent kernel works through the tiles of C, and which worker takes which.
#pragma once

#include "kernels/host_device.hpp"
#include "kernels/rounding.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

namespace trainmeter {

// Division of 0 <= n < 2^31 by what is known beforehand, as a product: Granlund and Montgomery,
// "Division by invariant integers using multiplication", PLDI 1994. A GPU divides in some forty
// instructions, one after the other.
class Divisor {
 public:
  constexpr Divisor() = default;
  explicit constexpr Divisor(int divisor)
      : shift_(31 + std::bit_width(static_cast<std::uint32_t>(divisor) - 1)),
        factor_(static_cast<std::uint32_t>(
            ceil_div(std::uint64_t{1} << shift_, static_cast<std::uint64_t>(divisor)))) {}

  [[nodiscard]] TRAINMETER_BOTH int quotient(int n) const {
    return static_cast<int>(static_cast<std::uint64_t>(n) * factor_ >> shift_);
  }

 private:
  int shift_ = 31;
  std::uint32_t factor_ = std::uint32_t{1} << 31;
};

// Workers that run at once hold neighbours in this order. In bands of eight rows, walked column by
// column, 64 of them read 8 tiles of A and 8 of B: the least that the L2 cache must deliver.
constexpr int kBandRows = 8;

// Tiles of all groups, each with the same number: rows and columns count tiles of one C.
struct TileGrid {
  constexpr TileGrid() = default;
  constexpr TileGrid(int rows_of_tiles, int columns_of_tiles, int groups_of_them)
      : rows(rows_of_tiles),
        columns(columns_of_tiles),
        groups(groups_of_them),
        of_group(std::max(rows * columns, 1)),
        of_band(std::max(kBandRows * columns, 1)),
        rows_of_last(std::max(rows % kBandRows, 1)) {}

  [[nodiscard]] TRAINMETER_BOTH int count() const { return rows * columns * groups; }

  int rows = 0;
  int columns = 0;
  int groups = 1;
  Divisor of_group;
  Divisor of_band;
  Divisor rows_of_last;  // band, where it has fewer
};

struct TileAt {
  int row = 0;
  int column = 0;
  int group = 0;
};

// The tile with this index, 0 <= index < grid.count(). Worker w of n takes w, w + n, w + 2 n, ...
TRAINMETER_BOTH TileAt tile_at(const TileGrid& grid, int index) {
  const int group = grid.of_group.quotient(index);
  const int inside = index - group * grid.rows * grid.columns;
  const int first = grid.of_band.quotient(inside) * kBandRows;
  const int in_band = inside - first * grid.columns;
  const bool whole = first + kBandRows <= grid.rows;
  const int height = whole ? kBandRows : grid.rows - first;
  const int column = whole ? static_cast<int>(static_cast<std::uint32_t>(in_band) / kBandRows)
                           : grid.rows_of_last.quotient(in_band);
  return {first + in_band - column * height, column, group};
}

}  // namespace trainmeter
