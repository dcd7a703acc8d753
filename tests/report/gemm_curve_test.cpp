// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The curve of a GEMM's rate over its shape against tiles and waves counted by hand, and what must
// hold for every shape. On a device of 100 SMs a bf16 tile's fixed cost is that of 220 elements of
// K.
#include "report/gemm_curve.hpp"

#include "fixtures.hpp"
#include <gtest/gtest.h>

#include <random>

using namespace trainmeter;

namespace {

double share(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t groups = 1) {
  return gemm_share(toy_gpu(), "bf16", m, n, k, groups, 0);
}

System with_memory(double bytes_per_s) {
  System system = toy_gpu();
  system.memory_bytes_per_s = bytes_per_s;
  return system;
}

constexpr double kDeep = 1000.0 / 1220;  // what K = 1000 leaves of the rate

}  // namespace

TEST(GemmCurve, AFullWaveLosesOnlyTheTilesFixedCost) {
  EXPECT_NEAR(share(100 * 128, 256, 1000), kDeep, 1e-12);
  EXPECT_NEAR(share(256, 100 * 128, 1000), kDeep, 1e-12);
  EXPECT_NEAR(share(100 * 128, 256, 220), 0.5, 1e-12);
  // In fp8 the same bytes are twice the elements.
  EXPECT_NEAR(gemm_share(toy_gpu(), "fp8", 100 * 128, 256, 440, 1, 0), 0.5, 1e-12);
}

TEST(GemmCurve, HalfOfALastWavesIdleSmsAreLost) {
  // 1.05 waves of 128 x 256: (2 + 1.05) / 2 are paid. 2.1 waves of 128 x 128 would take 2.55 half
  // waves at 0.97: 2.1 / 2.55 x 0.97 is more than 1.05 / 1.525.
  EXPECT_NEAR(share(105 * 128, 256, 1000), 2.1 / 2.55 * 0.97 * kDeep, 1e-12);
  // Exactly three waves of the smaller tile beat 1.5 waves of the larger.
  EXPECT_NEAR(share(150 * 128, 256, 1000), 0.97 * kDeep, 1e-12);
}

TEST(GemmCurve, OneTileLeavesMostSmsIdle) {
  // 128 x 128 as two tiles of 64 x 128: 0.02 waves of which (1 + 0.02) / 2 are paid.
  EXPECT_NEAR(share(128, 128, 1000), 0.02 / 0.51 * 0.85 * kDeep, 1e-12);
  // A row is as dear as the smallest tile.
  EXPECT_NEAR(share(1, 128, 1000) / share(64, 128, 1000), 1.0 / 64, 1e-12);
}

TEST(GemmCurve, GroupsFillTheWavesTogether) {
  EXPECT_NEAR(share(128, 256, 1000, 100), kDeep, 1e-12);
  EXPECT_LT(share(128, 256, 1000, 1), 0.1);
}

TEST(GemmCurve, ADecodeShapeIsBoundByMemory) {
  const System system = with_memory(1e12);
  // 8 x 8192 x 8192 reads 134,348,800 bytes and writes 131,072 at 0.87 TB/s: 1.0737 GFLOP in 154.6
  // us, of a device of 1 PFLOP/s.
  const double seconds = (134'348'800.0 + 131'072) / (kMemoryShare * 1e12);
  const double flops = 2.0 * 8 * 8192 * 8192;
  EXPECT_NEAR(gemm_share(system, "bf16", 8, 8192, 8192, 1, 1e15) / (flops / seconds / 1e15), 1,
              1e-12);
  EXPECT_NEAR(gemm_share(system, "bf16", 8, 8192, 8192, 4, 1e15) / (flops / seconds / 1e15), 1,
              1e-12);  // four times the work, four times the bytes
  // Twice the bandwidth, twice the rate; without a tensor rate or a bandwidth there is no bound.
  EXPECT_NEAR(gemm_share(with_memory(2e12), "bf16", 8, 8192, 8192, 1, 1e15),
              2 * gemm_share(system, "bf16", 8, 8192, 8192, 1, 1e15), 1e-12);
  EXPECT_EQ(gemm_share(system, "bf16", 8, 8192, 8192, 1, 0), share(8, 8192, 8192));
  EXPECT_EQ(gemm_share(toy_gpu(), "bf16", 8, 8192, 8192, 1, 1e15), share(8, 8192, 8192));
  // A large one isn't.
  EXPECT_EQ(gemm_share(system, "bf16", 12800, 8192, 8192, 1, 1e15), share(12800, 8192, 8192));
}

TEST(GemmCurve, IsOneWhereTheDeviceHasNoTilesToCount) {
  System cpu = toy_gpu();
  cpu.kind = "cpu";
  EXPECT_EQ(gemm_share(cpu, "bf16", 1, 1, 1, 1, 1e15), 1);
  System unknown = toy_gpu();
  unknown.sms = 0;
  EXPECT_EQ(gemm_share(unknown, "bf16", 1, 1, 1, 1, 1e15), 1);
}

TEST(GemmCurve, EveryShapeReachesSomethingAndDeeperOnesMore) {
  std::mt19937_64 random(1);
  const auto dimension = [&] {
    return static_cast<std::int64_t>(
        std::exp(std::uniform_real_distribution<double>(0, std::log(2e5))(random)));
  };
  const System system = with_memory(3e12);
  for (int i = 0; i < 3000; ++i) {
    const std::int64_t m = dimension(), n = dimension(), k = dimension(), groups = 1 + i % 40;
    const char* dtype = i % 2 == 0 ? "bf16" : "fp8";
    SCOPED_TRACE(fmt::format("{} x {}x{}x{} {}", groups, m, n, k, dtype));
    const double at_k = gemm_share(system, dtype, m, n, k, groups, 1e15);
    EXPECT_GT(at_k, 0);
    EXPECT_LE(at_k, 1);
    EXPECT_GE(gemm_share(system, dtype, m, n, k + 1 + k / 8, groups, 1e15), at_k);
    if (HasFailure()) return;
  }
}
