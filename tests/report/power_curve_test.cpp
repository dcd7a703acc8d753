// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Power over the clock, on synthetic cards whose law is known.
#include "report/power_curve.hpp"

#include "report/transfer.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace trainmeter;

namespace {

constexpr double kNominal = 700, kIdle = 70;

// P = idle + a f^(1 / exponent): 500 W of dynamic power at 1.5 GHz.
double power_at(double hz, double exponent, double scale = 1) {
  return kIdle + scale * 500 * std::pow(hz / 1.5e9, 1 / exponent);
}

std::vector<PowerPoint> card(double exponent, const std::vector<double>& ghz, double noise = 0,
                             std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0, 1);
  std::vector<PowerPoint> out;
  for (const double f : ghz) {
    for (const auto& [name, scale] : {std::pair{"small", 0.6}, std::pair{"large", 1.0}}) {
      const double factor = std::exp(noise * normal(random));
      out.push_back({name, f * 1e9, kIdle + factor * (power_at(f * 1e9, exponent, scale) - kIdle)});
    }
  }
  return out;
}

}  // namespace

TEST(PowerCurve, FindsTheLawOfASyntheticCard) {
  for (const double truth : {0.35, 0.5, 0.8}) {
    const auto found = measured_exponent(card(truth, {1.2, 1.4, 1.6, 1.8}), kNominal);
    ASSERT_TRUE(found);
    EXPECT_NEAR(found->value, truth, 1e-9);
    EXPECT_LE(found->low, truth);
    EXPECT_GE(found->high, truth);
    EXPECT_EQ(found->clocks, 4U);
  }
}

TEST(PowerCurve, ItsRangeHoldsTheTruthUnderNoise) {
  int held = 0, found = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto one = measured_exponent(card(0.5, {1.2, 1.4, 1.6, 1.8}, 0.03, seed), kNominal);
    if (!one) continue;
    ++found;
    if (one->low <= 0.5 && 0.5 <= one->high) ++held;
  }
  EXPECT_GE(found, 190);
  EXPECT_GE(held, 0.9 * found);
}

TEST(PowerCurve, ALinearVoltageIsWithinItsRange) {  // P = idle + a f (0.6 + 0.25 f)^2, f in GHz
  std::vector<PowerPoint> points;
  const auto watts = [](double f) { return kIdle + 300 * f * std::pow(0.6 + 0.25 * f, 2); };
  for (const double f : {1.3, 1.5, 1.7, 1.9}) points.push_back({"a", f * 1e9, watts(f)});
  const auto found = measured_exponent(points, kNominal);
  ASSERT_TRUE(found);
  const SustainedClock at = sustained_clock(points.back(), watts(1.5), kNominal, *found);
  EXPECT_NEAR(at.hz, 1.5e9, 0.01 * 1.5e9);
  EXPECT_LT(at.low_hz, 1.5e9);
  EXPECT_GT(at.high_hz, 1.5e9);
}

TEST(PowerCurve, RefusesTooFewClocks) {
  EXPECT_FALSE(measured_exponent({}, kNominal));
  EXPECT_FALSE(measured_exponent(card(0.5, {1.2, 1.8}), kNominal));
  EXPECT_FALSE(measured_exponent(card(0.5, {1.500, 1.505, 1.51}), kNominal));  // one clock
  EXPECT_FALSE(measured_exponent(card(0.5, {1.5, 1.53, 1.56}), kNominal));     // too near
  // Three clocks, but of different kernels.
  EXPECT_FALSE(
      measured_exponent({{"a", 1.2e9, 300}, {"b", 1.5e9, 400}, {"c", 1.8e9, 500}}, kNominal));
}

TEST(PowerCurve, RefusesACardAtItsCap) {  // the clock moved for other reasons
  EXPECT_FALSE(
      measured_exponent({{"a", 1.3e9, 700}, {"a", 1.5e9, 699}, {"a", 1.7e9, 700}}, kNominal));
}

TEST(PowerCurve, TheClockUnderACapByHand) {
  const PowerExponent half{0.5, 0.5, 0.5, 3};
  const SustainedClock at = sustained_clock({"a", 1.6e9, 640}, 355, 700, half);
  EXPECT_DOUBLE_EQ(at.hz, 1.6e9 * std::sqrt(285.0 / 570));
  EXPECT_LT(at.low_hz, at.hz);  // the idle share alone
  EXPECT_GT(at.high_hz, at.hz);
}

TEST(PowerCurve, APointIsAStretchWithBoth) {
  Measurement m = gemm_at(1e12, 64, 64, 64);
  m.time_s = {0.1, 0.1, 0.2, 0.3};
  m.runs_per_sample = 2;
  m.stretches = {{0, 1, 100, 1.5e9}, {2, 2, {}, 1.6e9}, {3, 3, 60, {}}};
  const std::vector<PowerPoint> points = power_points(m);
  ASSERT_EQ(points.size(), 1U);
  EXPECT_DOUBLE_EQ(points[0].clock_hz, 1.5e9);
  EXPECT_DOUBLE_EQ(points[0].power_w, 250);
  m.ranks = 2;
  EXPECT_TRUE(power_points(m).empty());
}

TEST(PowerCurve, TheTransferUsesItAndSaysSo) {
  const Library library = published_library();
  const System h200 = library.system("h200");
  Measurement m = gemm_at(700e12, 8192, 8192, 8192);
  m.power_w.assign(9, 695);
  m.sm_clock_hz = {1.5e9};
  m.time_s.assign(4, 0.5);
  for (std::int64_t i = 0; i < 4; ++i) {
    const double hz = (1.2 + 0.2 * static_cast<double>(i)) * 1e9;
    m.stretches.push_back({i, i, 0.5 * power_at(hz, 0.7), hz});
  }
  Record record = record_of({m});
  put_on({.kind = "gpu", .name = "NVIDIA H200", .sms = 132, .memory_bytes = 150LL << 30}, record);
  System capped = h200;
  capped.power_w = 400;
  RateBook book;
  EXPECT_THAT(add_projected(book, {record}, capped, library),
              testing::Contains(testing::HasSubstr("to the power 0.70, measured at 4 clocks")));
  ASSERT_EQ(book.points().size(), 1U);
  const double peak_free = std::pow((400.0 - 70) / (695 - 70), 0.7);
  EXPECT_NEAR(book.points()[0].value / rate_of(m, record.headers[0]), peak_free, 1e-3);
}
