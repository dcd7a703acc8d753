// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The GEMM kernels for Hopper, run on the CPU with models of the instructions: every layout and
// tile, ragged edges, several tiles a block, several clusters. Small whole numbers, so that sums
// are exact.
#include "kernels/gemm_hopper_kernel.hpp"
#include "kernels/gemm_hopper_plan.hpp"
#include "kernels/rounding.hpp"

#include "hopper_model.hpp"
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>
#include <string>
#include <tuple>

namespace trainmeter::hopper {
namespace {

struct Shape {
  int m, n, k, groups;
};

std::vector<std::uint16_t> small_integers(std::int64_t count, std::mt19937& random) {
  std::vector<std::uint16_t> out(static_cast<std::size_t>(count));
  for (auto& x : out) x = bf16_from_float(static_cast<float>(static_cast<int>(random() % 5) - 2));
  return out;
}

template <GemmLayout kLayout>
float reference(const Shape& s, const std::vector<std::uint16_t>& a,
                const std::vector<std::uint16_t>& b, int group, int i, int j) {
  float sum = 0;
  for (int q = 0; q < s.k; ++q) {
    const int at_a = kLayout == GemmLayout::tn ? q * s.m + i : i * s.k + q;
    const int at_b = kLayout == GemmLayout::nt ? j * s.k + q : q * s.n + j;
    sum +=
        float_from_bf16(a[group * s.m * s.k + at_a]) * float_from_bf16(b[group * s.k * s.n + at_b]);
  }
  return sum;
}

// Runs the kernel as `clusters` clusters, one after the other, and counts the wrong elements.
template <class Config, GemmLayout kLayout>
int wrong_elements(const Shape& s, int clusters) {
  std::mt19937 random(7);
  std::vector<std::uint16_t> a = small_integers(s.groups * s.m * s.k, random);
  std::vector<std::uint16_t> b = small_integers(s.groups * s.k * s.n, random);
  const auto elements = static_cast<std::size_t>(s.groups * s.m * s.n);
  std::vector<std::uint16_t> c(elements, 0xffff);
  constexpr float kThere = Config::kAdds ? 5 : NAN;
  std::vector<float> sums(elements, kThere);
  const auto map = [&](std::vector<std::uint16_t>& data, int contiguous, int other, int rows) {
    return ModelTensorMap{.data = reinterpret_cast<std::uint8_t*>(data.data()),
                          .sizes = {contiguous, other, s.groups},
                          .box = {64, rows}};
  };
  const auto operand = [&]<class Loads>(Loads, std::vector<std::uint16_t>& data, int other) {
    return Loads::kMajor == Major::k ? map(data, s.k, other, Loads::kBoxRows)
                                     : map(data, other, s.k, Loads::kBoxRows);
  };
  const GemmTask<ModelTensorMap> task = {
      .a = operand(typename Config::LoadsOfA(), a, s.m),
      .b = operand(typename Config::LoadsOfB(), b, s.n),
      .c = Config::kFp32Out ? ModelTensorMap{.data = reinterpret_cast<std::uint8_t*>(sums.data()),
                                             .element = 4,
                                             .sizes = {s.n, s.m, s.groups},
                                             .box = {32, 64}}
                            : map(c, s.n, s.m, 64),
      .grid = grid_of<Config>(s.m, s.n, s.groups),
      .k_steps = ceil_div(s.k, Config::kStepK)};
  for (int cluster = 0; cluster < clusters; ++cluster) {
    ModelPtx::threads_of_block = Config::kThreads;
    ModelCluster model(Config::kBlocks, Config::kThreads);
    model.run([&](int rank, int thread) {
      GemmKernel<Config, ModelPtx, OneTask<GemmTask<ModelTensorMap>>>{
          {{task}, 0, {thread, rank, cluster, clusters}}}
          .run();
    });
  }
  int wrong = 0;
  for (int group = 0; group < s.groups; ++group) {
    for (int i = 0; i < s.m; ++i) {
      for (int j = 0; j < s.n; ++j) {
        const float want = reference<kLayout>(s, a, b, group, i, j);
        const int at = (group * s.m + i) * s.n + j;
        const bool right = Config::kFp32Out ? sums[at] == (Config::kAdds ? kThere + want : want)
                                            : c[at] == bf16_from_float(want);
        wrong += right ? 0 : 1;
      }
    }
  }
  return wrong;
}

template <TileShape kTile, GemmLayout kLayout, Output kOutput = Output::bf16>
void expect_right_in(const Shape& s, int clusters) {
  EXPECT_EQ((wrong_elements<GemmConfig<kTile, kLayout, kOutput>, kLayout>(s, clusters)), 0)
      << to_string(kTile) << ", output " << static_cast<int>(kOutput) << ", " << to_string(kLayout)
      << ": " << s.m << " x " << s.n << " x " << s.k;
}

template <TileShape kTile>
void expect_right(const Shape& s, int clusters) {
  expect_right_in<kTile, GemmLayout::nt>(s, clusters);
  expect_right_in<kTile, GemmLayout::nn>(s, clusters);
  expect_right_in<kTile, GemmLayout::tn>(s, clusters);
  if constexpr (kTile.columns % 32 == 0)
    expect_right_in<kTile, GemmLayout::tn, Output::added>(s, clusters);
}

// Fewer steps than stages and more; a partner block that lies outside of C.
TEST(HopperGemm, TheLargeTileIsRight) {
  expect_right<{128, 256, 2, 4}>({256, 256, 64, 1}, 1);
  expect_right<{128, 256, 2, 4}>({136, 264, 456, 1}, 1);
  expect_right<{128, 256, 2, 3}>({136, 264, 264, 1}, 1);  // all of C staged at once, two tiles
  expect_right<{128, 192, 2, 4, Shared::a}>({136, 392, 64, 1}, 2);
}

TEST(HopperGemm, TheMiddleTileIsRight) {
  expect_right<{128, 128, 2, 5}>({264, 136, 200, 2}, 2);
}

TEST(HopperGemm, TheSmallTilesAreRight) {
  expect_right<{64, 256, 1, 4}>({8, 520, 8, 1}, 2);
  expect_right<{64, 128, 1, 6}>({72, 136, 520, 2}, 3);
}

// Consumers that take turns: tiles for both, for one more than the other, for the first alone.
TEST(HopperGemm, TilesInTurnAreRight) {
  constexpr TileShape kTile = {128, 192, 2, 3, Shared::b, true};
  expect_right_in<kTile, GemmLayout::nt>({256, 392, 328, 1}, 1);  // 3 tiles, 6 steps
  expect_right_in<kTile, GemmLayout::nn>({136, 384, 456, 1}, 1);  // 2 tiles, 8 steps
  expect_right_in<kTile, GemmLayout::tn>({264, 576, 64, 1}, 2);   // 6 tiles, 3 a cluster
  expect_right_in<kTile, GemmLayout::nt>({8, 8, 8, 1}, 1);
  expect_right_in<{128, 176, 2, 4, Shared::b, true}, GemmLayout::tn>({136, 360, 328, 1}, 1);
}

// Three consumers. Blocks that share an mn-major A of three slabs load half the depth of each.
TEST(HopperGemm, TheSquareTileIsRight) {
  expect_right<{192, 192, 2, 3, Shared::a}>({200, 392, 264, 1}, 1);
}

// C's last slab begins in the one before.
TEST(HopperGemm, TilesOfOtherWidthsAreRight) {
  expect_right<{128, 176, 2, 4}>({136, 360, 328, 1}, 1);
  expect_right_in<{128, 144, 2, 5, Shared::a}, GemmLayout::nt>({136, 576, 392, 1}, 1);
}

// Blocks of a cluster that share a tile's k: parts that differ, none for some, several tiles each.
TEST(HopperGemm, TilesWhoseKIsSharedAreRight) {
  constexpr TileShape kTwo = {64, 128, 2, 7, Shared::tile};
  constexpr TileShape kFour = {64, 128, 4, 4, Shared::tile};
  expect_right_in<kTwo, GemmLayout::nt>({72, 264, 328, 1}, 2);  // 3 and 3 steps; 3 tiles each
  expect_right_in<kTwo, GemmLayout::nt>({1, 8, 64, 1}, 1);      // 0 and 1 step
  expect_right_in<kFour, GemmLayout::nt>({64, 136, 456, 2}, 1);
  expect_right_in<kFour, GemmLayout::nt>({3, 8, 136, 1}, 1);  // 0, 1, 1 and 1
}

// Every tile of fp32's and every layout, which a tile's output knows nothing of; n that no row of
// bf16 could have, batches, several tiles a block.
TEST(HopperGemm, Fp32OutputIsRight) {
  expect_right_in<kFp32OutTileShapes[0], GemmLayout::nt, Output::fp32>({136, 260, 72, 1}, 1);
  expect_right_in<kFp32OutTileShapes[1], GemmLayout::nn, Output::fp32>({131, 136, 64, 2}, 1);
  expect_right_in<kFp32OutTileShapes[2], GemmLayout::tn, Output::fp32>({72, 136, 33, 2}, 3);
  expect_right_in<kFp32OutTileShapes[2], GemmLayout::nt, Output::fp32>({3, 4, 8, 1}, 1);
}

}  // namespace
}  // namespace trainmeter::hopper
