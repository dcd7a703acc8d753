// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The GEMM kernels for Hopper, run on the CPU with models of the instructions: every layout and
// tile, ragged edges, several tiles a block, several clusters. Small whole numbers, so that sums
// are exact.
#include "kernels/gemm_hopper_kernel.hpp"
#include "kernels/gemm_hopper_plan.hpp"

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
  const GemmTask<ModelTensorMap> task = {
      .a = Config::kMajorA == Major::k ? map(a, s.k, s.m, Config::kBoxRowsA) : map(a, s.m, s.k, 64),
      .b = Config::kMajorB == Major::k ? map(b, s.k, s.n, Config::kBoxRowsB) : map(b, s.n, s.k, 64),
      .c = Config::kFp32Out ? ModelTensorMap{.data = reinterpret_cast<std::uint8_t*>(sums.data()),
                                             .element = 4,
                                             .sizes = {s.n, s.m, s.groups},
                                             .box = {32, 64}}
                            : map(c, s.n, s.m, 64),
      .grid = grid_of<Config>(s.m, s.n, s.groups),
      .k_steps = (s.k + Config::kStepK - 1) / Config::kStepK};
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

template <int kRows, int kColumns, int kBlocks, int kStages>
void expect_right(const Shape& s, int clusters) {
  const auto check = [&]<GemmLayout kLayout>() {
    using Config = GemmConfig<kRows, kColumns, kBlocks, kStages, kLayout>;
    EXPECT_EQ((wrong_elements<Config, kLayout>(s, clusters)), 0)
        << to_string(kLayout) << " " << s.m << " x " << s.n << " x " << s.k;
  };
  check.template operator()<GemmLayout::nt>();
  check.template operator()<GemmLayout::nn>();
  check.template operator()<GemmLayout::tn>();
  using Adding = GemmConfig<kRows, kColumns, kBlocks, kStages, GemmLayout::tn, Output::added>;
  EXPECT_EQ((wrong_elements<Adding, GemmLayout::tn>(s, clusters)), 0) << "added to";
}

template <std::size_t kTile, GemmLayout kLayout>
void expect_right_in_fp32(const Shape& s, int clusters) {
  constexpr TileShape t = kFp32OutTileShapes[kTile];
  using Config = GemmConfig<t.rows, t.columns, t.blocks, t.stages, kLayout, Output::fp32>;
  EXPECT_EQ((wrong_elements<Config, kLayout>(s, clusters)), 0)
      << to_string(t) << " " << to_string(kLayout) << " " << s.m << " x " << s.n << " x " << s.k;
}

// Fewer steps than stages and more; a partner block that lies outside of C.
TEST(HopperGemm, TheLargeTileIsRight) {
  expect_right<128, 256, 2, 4>({256, 256, 64, 1}, 1);
  expect_right<128, 256, 2, 4>({136, 264, 456, 1}, 1);
  expect_right<128, 256, 2, 3>({136, 264, 264, 1}, 1);  // all of C staged at once, two tiles
  expect_right<128, 192, 2, 4>({136, 392, 64, 1}, 2);
}

TEST(HopperGemm, TheMiddleTileIsRight) {
  expect_right<128, 128, 2, 5>({264, 136, 200, 2}, 2);
}

TEST(HopperGemm, TheSmallTilesAreRight) {
  expect_right<64, 256, 1, 4>({8, 520, 8, 1}, 2);
  expect_right<64, 128, 1, 6>({72, 136, 520, 2}, 3);
}

// Blocks of a cluster that share a tile's k: parts that differ, none for some, several tiles each.
TEST(HopperGemm, TilesWhoseKIsSharedAreRight) {
  const auto expect = [](auto config, const Shape& s, int clusters) {
    EXPECT_EQ((wrong_elements<decltype(config), GemmLayout::nt>(s, clusters)), 0)
        << decltype(config)::kSplits << " parts, " << s.m << " x " << s.n << " x " << s.k;
  };
  using Two = GemmConfig<64, 128, 2, 7, GemmLayout::nt, Output::bf16, Shared::tile>;
  using Four = GemmConfig<64, 128, 4, 4, GemmLayout::nt, Output::bf16, Shared::tile>;
  expect(Two(), {72, 264, 328, 1}, 2);  // 3 and 3 steps; 3 tiles for either cluster
  expect(Two(), {1, 8, 64, 1}, 1);      // 0 and 1 step
  expect(Four(), {64, 136, 456, 2}, 1);
  expect(Four(), {3, 8, 136, 1}, 1);  // 0, 1, 1 and 1
}

// Every tile of fp32's and every layout, which a tile's output knows nothing of; n that no row of
// bf16 could have, batches, several tiles a block.
TEST(HopperGemm, Fp32OutputIsRight) {
  expect_right_in_fp32<0, GemmLayout::nt>({136, 260, 72, 1}, 1);
  expect_right_in_fp32<1, GemmLayout::nn>({131, 136, 64, 2}, 1);
  expect_right_in_fp32<2, GemmLayout::tn>({72, 136, 33, 2}, 3);
  expect_right_in_fp32<2, GemmLayout::nt>({3, 4, 8, 1}, 1);
}

}  // namespace
}  // namespace trainmeter::hopper
