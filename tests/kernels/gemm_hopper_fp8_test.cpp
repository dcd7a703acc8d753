// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The block-scaled fp8 kernels for Hopper, run on the CPU with models of the instructions: both
// passes and every tile, ragged edges, fewer and more steps than stages. Whole numbers and scales
// that are powers of two, so that sums are exact. And why sums are promoted at all.
#include "kernels/gemm_hopper_fp8_kernel.hpp"
#include "kernels/gemm_hopper_plan.hpp"
#include "kernels/rounding.hpp"
#include "kernels/scaled_operand.hpp"

#include "exact_fp8.hpp"
#include "hopper_model.hpp"
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace trainmeter::hopper {
namespace {

ScaledOperand exact_operand(int rows, int k, ScaleBlock block, std::uint32_t seed) {
  return scaled_operand(exact_values(rows, k, block, seed).data(), rows, k, block);
}

ModelTensorMap map_of_operand(ScaledOperand& operand, int box_rows) {
  return {.data = operand.elements.data(),
          .element = 1,
          .sizes = {operand.k, operand.rows, 1},
          .box = {128, box_rows}};
}

ModelTensorMap map_of_scales(ScaledOperand& operand, int box) {
  return {.data = reinterpret_cast<std::uint8_t*>(operand.scales.data()),
          .element = 4,
          .sizes = {operand.rows, ceil_div(operand.k, 128), 1},
          .box = {box, 1},
          .swizzles = false,
          .row = scale_index(ScaleBlock::row, operand.rows, operand.k, 0, 128)};
}

// Runs the kernel as `clusters` clusters, one after the other, and counts the wrong elements.
template <class Config>
int wrong_elements(int m, int n, int k, int clusters) {
  ScaledOperand a = exact_operand(m, k, ScaleBlock::row, 1);
  ScaledOperand b =
      exact_operand(n, k, Config::kScaledColumns ? ScaleBlock::row : ScaleBlock::square, 2);
  const auto elements = static_cast<std::size_t>(m) * n;
  std::vector<std::uint16_t> c(elements, 0xffff);
  std::vector<float> sums(elements, 5);  // what is there, where the kernel adds
  Fp8Task<ModelTensorMap> task;
  task.a = map_of_operand(a, Config::LoadsOfA::kBoxRows);
  task.b = map_of_operand(b, Config::LoadsOfB::kBoxRows);
  task.c = Config::kAdds ? ModelTensorMap{.data = reinterpret_cast<std::uint8_t*>(sums.data()),
                                          .element = 4,
                                          .sizes = {n, m, 1},
                                          .box = {32, 64}}
                         : ModelTensorMap{.data = reinterpret_cast<std::uint8_t*>(c.data()),
                                          .sizes = {n, m, 1},
                                          .box = {64, 64}};
  task.grid = grid_of<Config>(m, n, 1);
  task.k_steps = ceil_div(k, 128);
  task.scales_a = map_of_scales(a, Config::kRows);
  if (Config::kScaledColumns) task.scales_b = map_of_scales(b, Config::kColumns);
  task.scales_of_blocks = b.scales.data();
  task.stride = static_cast<int>(scale_index(ScaleBlock::square, n, k, 128, 0));
  task.last_block = (n - 1) / 128;
  for (int cluster = 0; cluster < clusters; ++cluster) {
    ModelPtx::threads_of_block = Config::kThreads;
    ModelCluster model(Config::kBlocks, Config::kThreads);
    model.run([&](int rank, int thread) {
      Fp8Kernel<Config, ModelPtx, OneTask<Fp8Task<ModelTensorMap>>>{
          {{task}, 0, {thread, rank, cluster, clusters}}}
          .run();
    });
  }
  const std::vector<float> values_a = values_of(a);
  const std::vector<float> values_b = values_of(b);
  int wrong = 0;
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      float want = 0;
      for (int q = 0; q < k; ++q) want += values_a[i * k + q] * values_b[j * k + q];
      const int at = i * n + j;
      const bool right = Config::kAdds ? sums[at] == 5 + want : c[at] == bf16_from_float(want);
      wrong += right ? 0 : 1;
    }
  }
  return wrong;
}

template <TileShape kTile, bool kAdds = false>
void expect_right(int m, int n, int k, int clusters) {
  EXPECT_EQ((wrong_elements<Fp8Config<kTile, kAdds>>(m, n, k, clusters)), 0)
      << to_string(kTile) << (kAdds ? ", added to: " : ": ") << m << " x " << n << " x " << k;
}

TEST(HopperFp8, TilesOf256RowsAreRight) {
  constexpr TileShape kTile = {256, 128, 2, 3, Shared::a};
  expect_right<kTile>(520, 136, 400, 1);
  expect_right<kTile>(264, 264, 784, 2);
  expect_right<kTile, true>(264, 140, 528, 1);
}

TEST(HopperFp8, TilesOf128RowsAreRight) {
  constexpr TileShape kTile = {128, 128, 2, 5, Shared::a};
  expect_right<kTile>(264, 136, 784, 2);  // two clusters, more steps than stages
  expect_right<kTile>(8, 8, 16, 1);       // one step; a partner outside of C
  expect_right<{128, 128, 2, 4, Shared::a}, true>(264, 140, 784, 2);
  expect_right<kTile, true>(8, 4, 256, 1);
}

TEST(HopperFp8, TilesOf64RowsAreRight) {
  expect_right<{64, 128, 1, 7}>(72, 264, 1040, 3);
  expect_right<{64, 128, 1, 7}, true>(72, 132, 1040, 1);
}

TEST(HopperFp8, TilesOf192ColumnsAreRight) {
  constexpr TileShape kTile = {128, 192, 2, 4, Shared::a};
  expect_right<kTile>(136, 400, 656, 1);        // two tiles, the second's partner outside of C
  expect_right<kTile, true>(136, 388, 656, 1);  // more steps than stages
}

// Columns that belong to two blocks of B, each with scales of its own.
TEST(HopperFp8, TilesThatStraddleTwoBlocksAreRight) {
  expect_right<{128, 144, 2, 5, Shared::a}>(8, 440, 400, 1);
  expect_right<{128, 136, 2, 5, Shared::a}>(136, 400, 784, 1);
  expect_right<{128, 96, 2, 6, Shared::a}>(8, 392, 272, 1);
  expect_right<{64, 112, 1, 7}>(72, 456, 400, 2);
}

// Blocks of a cluster that share a tile's k, each with scales of its own part.
TEST(HopperFp8, TilesWhoseKIsSharedAreRight) {
  constexpr TileShape kTwo = {64, 128, 2, 7, Shared::tile};
  expect_right<kTwo>(72, 264, 640, 1);  // 2 and 3 steps, 6 tiles
  expect_right<kTwo>(8, 16, 16, 1);     // 0 and 1 step
  expect_right<{64, 128, 4, 4, Shared::tile}>(64, 136, 912, 1);
}

}  // namespace
}  // namespace trainmeter::hopper
