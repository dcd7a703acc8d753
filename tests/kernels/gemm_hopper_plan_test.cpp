// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The arithmetic around Hopper's GEMM: tiles, their order, swizzles, descriptors, limits.
#include "kernels/gemm_hopper_plan.hpp"

#include "kernels/gemm_hopper_tasks.hpp"
#include "kernels/hopper_layout.hpp"
#include "kernels/tile_schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <random>
#include <set>
#include <tuple>

using namespace trainmeter;
using namespace trainmeter::hopper;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(TileSchedule, CoversEveryTileOnceInAnyGridByAnyNumberOfWorkers) {
  std::mt19937 random(3);
  for (int draw = 0; draw < 300; ++draw) {
    const auto below = [&](int most) { return 1 + static_cast<int>(random() % most); };
    const TileGrid grid = {below(40), below(40), below(4)};
    const int workers = below(132);
    std::set<std::tuple<int, int, int>> seen;
    for (int worker = 0; worker < workers; ++worker) {
      for (int i = worker; i < grid.count(); i += workers) {
        const TileAt at = tile_at(grid, i);
        ASSERT_TRUE(at.row >= 0 && at.row < grid.rows && at.column >= 0 &&
                    at.column < grid.columns && at.group >= 0 && at.group < grid.groups);
        ASSERT_TRUE(seen.insert({at.group, at.row, at.column}).second);
      }
    }
    ASSERT_EQ(static_cast<int>(seen.size()), grid.count());
  }
}

struct ClustersOf256 {
  static constexpr int kClusterRows = 256;
  static constexpr int kClusterColumns = 256;
};

TEST(TileSchedule, AGridHasTilesForTheLastRowsThatAnIntCounts) {
  constexpr int kMost = std::numeric_limits<int>::max();
  constexpr TileGrid tall = grid_of<ClustersOf256>(kMost, 257, 1);
  EXPECT_EQ(tall.rows, 1 << 23);
  EXPECT_EQ(tall.columns, 2);
  EXPECT_EQ(grid_of<ClustersOf256>(1, kMost, 1).columns, 1 << 23);
}

TEST(TileSchedule, NeighboursShareOperands) {
  std::set<int> rows, columns;
  for (int i = 0; i < 64; ++i) {
    const TileAt at = tile_at({32, 32, 1}, i);
    rows.insert(at.row);
    columns.insert(at.column);
  }
  EXPECT_EQ(rows.size(), 8U);
  EXPECT_EQ(columns.size(), 8U);
}

TEST(Swizzle, IsABijectionWithoutBankConflicts) {
  std::set<std::uint32_t> places;
  for (std::uint32_t address = 0; address < kAtomBytes; address += 16)
    places.insert(swizzled(address));
  EXPECT_EQ(places.size(), kAtomBytes / 16U);
  EXPECT_EQ(*places.rbegin(), kAtomBytes - 16U);
  for (std::uint32_t chunk = 0; chunk < 8; ++chunk) {  // one chunk of eight rows: 32 banks, once
    std::set<std::uint32_t> banks;
    for (std::uint32_t row = 0; row < 8; ++row)
      banks.insert(swizzled(row * kRowBytes + chunk * 16) % 128);
    EXPECT_EQ(banks.size(), 8U);
  }
}

TEST(Descriptor, DecodesToWhatWasMeant) {
  const Descriptor d = decoded(operand_descriptor(0x12340));
  EXPECT_EQ(d.start, 0x12340U);
  EXPECT_EQ(d.leading, 8192U);
  EXPECT_EQ(d.stride, 1024U);
  EXPECT_EQ(d.swizzle, 1U);
  EXPECT_EQ(encoded(d), operand_descriptor(0x12340));
}

TEST(Fragment, CoversEachElementOnce) {
  std::set<std::pair<int, int>> seen;
  for (int thread = 0; thread < kWarpgroupThreads; ++thread) {
    for (int i = 0; i < 128; ++i)
      seen.insert({fragment_row(thread, i), fragment_column(thread, i)});
  }
  EXPECT_EQ(seen.size(), 64U * 256);
  EXPECT_EQ(*seen.rbegin(), (std::pair{63, 255}));
}

TEST(Descriptor, AdvancesAsItsStartDoes) {
  for (const std::uint32_t bytes : {0U, 32U, 6144U, 3U * 49152}) {
    EXPECT_EQ(advanced(operand_descriptor(0x12340), bytes), operand_descriptor(0x12340 + bytes));
  }
}

std::string first_for(const GemmProblem& problem) {
  return to_string(tiles_of(problem)[tiles_for(problem, 132).front()]);
}

TEST(HopperPlan, FirstTheTileThatLeavesTheBusiestSmLeastToDo) {
  EXPECT_THAT(first_for({8, 8, 4096}), HasSubstr("64 x 128"));         // one block
  EXPECT_THAT(first_for({64, 7168, 2048}), HasSubstr("64 x 128"));     // 56 small tiles at once
  EXPECT_THAT(first_for({4096, 4096, 4096}), HasSubstr("128 x 256"));  // 4 waves
  EXPECT_THAT(first_for({4096, 2112, 7168}), HasSubstr("128 x 176"));  // 12 columns of tiles
  EXPECT_THAT(first_for({4096, 7168, 2048}), HasSubstr("128 x 176"));  // 10 waves, .987 of it full
}

// DeepSeek-V3's latent key and value, 576 wide: one wave of blocks. 4.5 tiles of 128 would be two.
TEST(HopperPlan, WidthsThatDivideNAreFirst) {
  EXPECT_THAT(first_for({4096, 576, 7168, DType::bf16, GemmLayout::nt}), HasSubstr("128 x 144"));
  EXPECT_THAT(first_for({576, 7168, 4096, DType::bf16, GemmLayout::tn}), HasSubstr("192 x 192"));
  GemmProblem p = {.m = 4096, .n = 2112, .k = 7168, .dtype = DType::fp8};
  p.scaling = Scaling::block128;
  EXPECT_THAT(first_for(p), HasSubstr("128 x 192"));  // 3 waves; of 136, 4
  p.n = 576;
  EXPECT_THAT(first_for(p), HasSubstr("128 x 144"));
  p.m = 128;
  p.n = 24576;  // 128 tiles in one wave
  EXPECT_THAT(first_for(p), HasSubstr("128 x 192"));
}

TEST(HopperPlan, OthersAreTriedThatMightBeAsFast) {
  const GemmProblem large = {8192, 8192, 8192};
  EXPECT_GT(tiles_for(large, 132).size(), 2U);
  for (const std::size_t i : tiles_for(large, 132)) EXPECT_GT(tiles_of(large)[i].rows, 64);
}

TEST(HopperPlan, AShareOfTheSmsIsPlannedFor) {
  // 64 tiles of 128 x 256: one wave on 132 SMs; on 16, 4 waves of the largest.
  EXPECT_THAT(first_for({.m = 2048, .n = 1024, .k = 4096, .dtype = DType::bf16, .sms = 16}),
              HasSubstr("128 x 256"));
  EXPECT_THAT(first_for({.m = 64, .n = 128, .k = 64, .dtype = DType::bf16, .sms = 1}),
              HasSubstr("64 x 128"));
}

// All of a share work: it is a multiple of a cluster's blocks, or the tile isn't tried.
TEST(HopperPlan, ClustersDivideAShareOfTheSms) {
  std::mt19937 random(4);
  for (int draw = 0; draw < 500; ++draw) {
    const auto below = [&](int most) { return 1 + static_cast<int>(random() % most); };
    GemmProblem p = {.m = 8 * below(1000), .n = 8 * below(1000), .k = 8 * below(1000)};
    p.dtype = DType::bf16;
    p.layout = draw % 3 == 0 ? GemmLayout::tn : GemmLayout::nt;
    p.accumulate = draw % 6 == 0;
    p.fp32_out = draw % 6 == 3;
    p.sms = below(132);
    ASSERT_THAT(why_no_maps(p), IsEmpty());
    ASSERT_THAT(tiles_for(p, 132), Not(IsEmpty()));
    for (const std::size_t i : tiles_for(p, 132))
      EXPECT_EQ(p.sms % tiles_of(p)[i].blocks, 0) << p.sms;
  }
}

TEST(HopperPlan, GroupsOnAnOddShareAreRefused) {
  for (const DType dtype : {DType::bf16, DType::fp8}) {
    GroupedGemmProblem p{.all = {.m = 64, .n = 64, .k = 64, .dtype = dtype}, .sizes = {32, 32}};
    if (dtype == DType::fp8) p.all.scaling = Scaling::block128;
    p.all.sms = 112;
    EXPECT_THAT(why_no_groups(p), IsEmpty());
    EXPECT_THAT(tiles_for(p), Not(IsEmpty()));
    for (const int sms : {1, 111}) {
      p.all.sms = sms;
      EXPECT_THAT(why_no_groups(p), HasSubstr("--sms is a multiple of 2 here")) << sms;
      EXPECT_THAT(tiles_for(p), IsEmpty());
    }
  }
}

TEST(HopperPlan, ATileAskedForThatDoesntFitTheShareIsRefused) {
  const GemmProblem p = {.m = 64, .n = 64, .k = 64, .dtype = DType::bf16, .sms = 3};
  const auto family = tiles_of(p);
  EXPECT_FALSE(tile_is_named());
  for (std::size_t i = 0; i < family.size(); ++i) {
    ::setenv("TRAINMETER_GEMM_TILE", std::to_string(i).c_str(), 1);
    EXPECT_TRUE(tile_is_named());
    if (p.sms % family[i].blocks == 0) {
      EXPECT_THAT(tiles_for(p, 132), testing::ElementsAre(i));
    } else {
      EXPECT_THROW((void)tiles_for(p, 132), Unavailable) << to_string(family[i]);
    }
    ::unsetenv("TRAINMETER_GEMM_TILE");
  }
}

TEST(HopperPlan, Fp8HasFamiliesOfItsOwn) {
  GemmProblem p = {.m = 4096, .n = 7168, .k = 2048, .dtype = DType::fp8};
  p.scaling = Scaling::block128;
  EXPECT_THAT(first_for(p), HasSubstr("256 x 128"));
  p.accumulate = true;
  EXPECT_THAT(first_for(p), HasSubstr("256 x 128"));
  p.m = 64;
  EXPECT_THAT(first_for(p), HasSubstr("64 x 128"));
}

TEST(HopperPlan, LimitsOfFp8AreNamed) {
  GemmProblem p = {.m = 63, .n = 64, .k = 64, .dtype = DType::fp8};
  EXPECT_THAT(why_no_maps(p), HasSubstr("scales of blocks"));
  p.scaling = Scaling::block128;
  EXPECT_THAT(why_no_maps(p), IsEmpty());
  p.n = 68;
  EXPECT_THAT(why_no_maps(p), HasSubstr("n is a multiple of 8"));
  p.accumulate = true;  // fp32 out
  EXPECT_THAT(why_no_maps(p), IsEmpty());
  p.k = 72;
  EXPECT_THAT(why_no_maps(p), HasSubstr("k is a multiple of 16 in fp8"));
  p.layout = GemmLayout::tn;
  EXPECT_THAT(why_no_maps(p), HasSubstr("layout nt"));
}

TEST(HopperPlan, LimitsAreNamed) {
  EXPECT_THAT(why_no_maps({64, 64, 64, DType::bf16}), IsEmpty());
  EXPECT_THAT(why_no_maps({63, 64, 64, DType::bf16, GemmLayout::nt}), IsEmpty());  // any m
  EXPECT_THAT(why_no_maps({64, 64, 64, DType::fp16}), HasSubstr("bf16 and fp8, not fp16"));
  EXPECT_THAT(why_no_maps({64, 63, 64, DType::bf16}), HasSubstr("n is a multiple of 8"));
  EXPECT_THAT(why_no_maps({64, 64, 63, DType::bf16}), HasSubstr("k is a multiple of 8"));
  EXPECT_THAT(why_no_maps({64, 64, 63, DType::bf16, GemmLayout::tn}), IsEmpty());  // any k
  EXPECT_THAT(why_no_maps({63, 64, 64, DType::bf16, GemmLayout::tn}), HasSubstr("m is a multiple"));
  const std::int64_t most = (std::int64_t{1} << 31) - 512;
  EXPECT_THAT(why_no_maps({most - 1, 64, 64, DType::bf16}), IsEmpty());
  EXPECT_THAT(why_no_maps({most, 64, 64, DType::bf16}), HasSubstr("2^31 - 512"));
}

// 17 tiles for 132 SMs, and 56: a decode step's. Not where k is short, or tiles are many.
TEST(HopperPlan, FewTilesShareTheirK) {
  GemmProblem p = {.m = 64, .n = 2112, .k = 7168, .dtype = DType::bf16};
  EXPECT_THAT(first_for(p), HasSubstr("clusters of 4 that share k"));
  p.n = 7168;
  EXPECT_THAT(first_for(p), HasSubstr("clusters of 2 that share k"));
  p.sms = 3;  // fewer than a cluster of 4 has blocks
  for (const std::size_t i : tiles_for(p, 132)) EXPECT_LT(tiles_of(p)[i].blocks, 4);
  p.sms = 0;
  p.k = 256;
  EXPECT_THAT(first_for(p), Not(HasSubstr("share k")));
  p.k = 7168;
  p.layout = GemmLayout::nn;
  EXPECT_THAT(first_for(p), Not(HasSubstr("share k")));
  p = {.m = 64, .n = 2112, .k = 7168, .dtype = DType::fp8, .scaling = Scaling::block128};
  EXPECT_THAT(first_for(p), HasSubstr("clusters of 4 that share k"));
  for (const std::int64_t m : {4096, 8192}) {
    p.m = m;
    for (const std::size_t i : tiles_for(p, 132)) EXPECT_NE(tiles_of(p)[i].shared, Shared::tile);
  }
}

TEST(HopperPlan, Fp32OutputHasAFamilyOfItsOwn) {
  GemmProblem p = {.m = 4096, .n = 7168, .k = 2048, .dtype = DType::bf16, .fp32_out = true};
  EXPECT_THAT(first_for(p), HasSubstr("128 x 256"));
  p.m = 64;
  EXPECT_THAT(first_for(p), HasSubstr("64 x 128"));
  p.n = 68;  // rows of C are multiples of 16 bytes in fp32
  EXPECT_THAT(why_no_maps(p), IsEmpty());
  p.layout = GemmLayout::nn;  // and those of B in bf16
  EXPECT_THAT(why_no_maps(p), HasSubstr("n is a multiple of 8"));
  p = {.m = 64, .n = 64, .k = 64, .dtype = DType::fp8, .scaling = Scaling::block128};
  p.fp32_out = true;
  EXPECT_THAT(why_no_maps(p), HasSubstr("fp8's C is in bf16"));
}
