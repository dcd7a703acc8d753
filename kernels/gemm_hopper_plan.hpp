// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which kernel of the Hopper family does a GEMM, and what none of them can.
#pragma once

#include "kernels/gemm_grouped.hpp"
#include "kernels/gemm_hopper_tile.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace trainmeter::hopper {

template <std::size_t kFirst, std::size_t kMore>
constexpr auto with_more(const std::array<TileShape, kFirst>& first,
                         const std::array<TileShape, kMore>& more) {
  std::array<TileShape, kFirst + kMore> all;
  std::copy(more.begin(), more.end(), std::copy(first.begin(), first.end(), all.begin()));
  return all;
}

// Families of tiles. Those of many columns lose the least to loads; 176, 144, 136, 112 and 96 of
// them divide an n of DeepSeek-V3's, or fill the last wave (the blocks at work at once), where 128
// and 256 don't. 192 x 192 shares A: DeepSeek-V3's 576 rows are three tiles, below each other four.
// What adds to C adds once: its slabs divide a tile.
inline constexpr std::array<TileShape, 7> kTileShapesThatAdd = {{{128, 256, 2, 3},
                                                                 {128, 256, 2, 4},
                                                                 {192, 192, 2, 3, Shared::a},
                                                                 {128, 192, 2, 4, Shared::a},
                                                                 {128, 128, 2, 5},
                                                                 {64, 256, 1, 4},
                                                                 {64, 128, 1, 6}}};
// 176 columns and clusters of 256 rows fill the last wave where clusters of 352 columns don't.
inline constexpr auto kTileShapes = with_more(
    kTileShapesThatAdd,
    std::array<TileShape, 3>{
        {{128, 192, 2, 4, Shared::b, true}, {128, 176, 2, 4}, {128, 176, 2, 4, Shared::b, true}}});
// A decode step's few rows are in layout nt, which has more tiles.
inline constexpr auto kTileShapesAlongK =
    with_more(kTileShapes, std::array<TileShape, 3>{{{128, 144, 2, 5, Shared::a},
                                                     {64, 128, 2, 7, Shared::tile},
                                                     {64, 128, 4, 4, Shared::tile}}});
inline constexpr std::array<TileShape, 3> kFp32OutTileShapes = {
    {{128, 256, 2, 4}, {128, 128, 2, 5}, {64, 128, 1, 6}}};
inline constexpr std::array<TileShape, 10> kFp8TileShapes = {{{256, 128, 2, 3, Shared::a},
                                                              {128, 192, 2, 4, Shared::a},
                                                              {128, 144, 2, 5, Shared::a},
                                                              {128, 136, 2, 5, Shared::a},
                                                              {128, 128, 2, 5, Shared::a},
                                                              {128, 96, 2, 6, Shared::a},
                                                              {64, 128, 1, 7},
                                                              {64, 112, 1, 7},
                                                              {64, 128, 2, 7, Shared::tile},
                                                              {64, 128, 4, 4, Shared::tile}}};
inline constexpr std::array<TileShape, 5> kFp8TileShapesThatAdd = {{{256, 128, 2, 3, Shared::a},
                                                                    {128, 192, 2, 4, Shared::a},
                                                                    {128, 128, 2, 4, Shared::a},
                                                                    {128, 128, 2, 5, Shared::a},
                                                                    {64, 128, 1, 7}}};
// Of groups: a cluster's tiles lie beside each other and share A, for one below would often lie
// behind the group's last row. Where pieces of k are groups, C has the rows of any other.
inline constexpr std::array<TileShape, 1> kGroupedTileShapes = {{{128, 256, 2, 3, Shared::a}}};
inline constexpr std::array<TileShape, 1> kGroupedTileShapesThatAdd = {
    {{128, 256, 2, 3, Shared::b}}};
inline constexpr std::array<TileShape, 2> kGroupedFp8TileShapes = {
    {{256, 128, 2, 3, Shared::a}, {128, 128, 2, 5, Shared::a}}};
inline constexpr std::array<TileShape, 2> kGroupedFp8TileShapesThatAdd = {
    {{256, 128, 2, 3, Shared::a}, {128, 128, 2, 4, Shared::a}}};

// Those of the problem's type and output.
std::span<const TileShape> tiles_of(const GemmProblem& problem);
std::span<const TileShape> tiles_of(const GroupedGemmProblem& problem);

std::string to_string(const TileShape& tile);  // "128 x 192, clusters of 2, in turn"

// Which tiles of the problem's family are worth a try on the device, on `sms` SMs, or on the
// problem's share of them, which clusters then divide: indices, first the one that leaves the least
// to the busiest of them, then those that leave at most kWorthATry times as much. Work is waves of
// blocks x what a block's step takes, be it products or loads. TRAINMETER_GEMM_TILE=i in the
// environment: that one alone. Unavailable where its clusters don't divide the share.
constexpr double kWorthATry = 1.5;
bool tile_is_named();  // by the environment: then nothing is tried
std::vector<std::size_t> tiles_for(const GemmProblem& problem, int sms);

// All of them whose clusters divide the share, or that one.
std::vector<std::size_t> tiles_for(const GroupedGemmProblem& problem);

// Empty where TMA can describe the operands and a kernel of the family multiplies them, else the
// limit: element types, rows of a multiple of 16 bytes, sizes below 2^31 - 512, a share of the SMs
// that some cluster divides.
std::string why_no_maps(const GemmProblem& problem);

// The same of groups, and where their sizes don't add up.
std::string why_no_groups(const GroupedGemmProblem& problem);

}  // namespace trainmeter::hopper
