// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which samples count.
#include "record/samples.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

using namespace trainmeter;
using testing::ElementsAre;

namespace {

Measurement with(std::vector<double> time_s, std::vector<Mark> marks = {}) {
  Measurement m;
  m.name = "a";
  m.time_s = std::move(time_s);
  m.marks = std::move(marks);
  return m;
}

}  // namespace

TEST(CountedSamples, MarkedOnesAreLeftOut) {
  const CountedSamples all = counted_samples(with({1, 2, 3, 4}));
  EXPECT_THAT(all.time_s, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(all.left_out, 0);
  const CountedSamples some =
      counted_samples(with({1, 2, 3, 4, 5, 6, 7, 8}, {{1, 1, "x"}, {7, 7, "y"}}));
  EXPECT_THAT(some.time_s, ElementsAre(1, 3, 4, 5, 6, 7));
  EXPECT_EQ(some.left_out, 2);
  EXPECT_FALSE(some.too_many_marked);
}

TEST(CountedSamples, ButOnlyWithinABound) {
  const CountedSamples all = counted_samples(with({1, 2, 3, 4}, {{0, 3, "throttled"}}));
  EXPECT_THAT(all.time_s, ElementsAre(1, 2, 3, 4));
  EXPECT_TRUE(all.too_many_marked);
  EXPECT_EQ(all.left_out, 0);
  EXPECT_EQ(counted_samples(with({1, 2, 3, 4}, {{0, 0, "x"}})).left_out, 1);  // a quarter is within
  EXPECT_EQ(counted_samples(with({1, 2, 3, 4}, {{0, 0, "x"}, {0, 0, "y"}})).left_out, 1);
}

TEST(PairedRatio, LeavesOutAPairWhereEitherIsMarked) {
  std::vector<double> ones(100, 1.0);
  std::vector<double> twos(100, 2.0);
  ones[10] = 50;
  twos[20] = 70;
  Measurement a = with(ones, {{10, 10, "x"}});
  Measurement b = with(twos, {{20, 20, "x"}});
  b.name = "b";
  EXPECT_THROW((void)paired_ratio(a, b), std::invalid_argument);
  a.paired_with = "b";
  b.paired_with = "a";
  const MedianEstimate ratio = paired_ratio(a, b);
  EXPECT_NEAR(ratio.median, 0.5, 1e-12);
  ASSERT_TRUE(ratio.interval);
  EXPECT_NEAR(ratio.interval->high, 0.5, 1e-9);
  b.time_s.pop_back();
  EXPECT_THROW((void)paired_ratio(a, b), std::invalid_argument);
}

// NVML's readings are means over a second: of 0.2 s after an idle GPU they tell the climb.
TEST(Worth, PowerIsToldWhereItHasSettled) {
  Measurement m = with({1e-3, 1e-3, 1e-3, 1e-3});
  EXPECT_FALSE(settled_power_w(m));
  m.power_w = {131, 131, 187, 240, 346, 395, 448, 448, 460};
  EXPECT_FALSE(settled_power_w(m));
  m.power_w = {131, 131, 187, 240, 346, 395, 448, 456, 452};
  EXPECT_DOUBLE_EQ(settled_power_w(m).value_or(0), 452);
  m.power_w = {318, 318, 318, 318, 318, 318, 318, 318};  // too few to have lasted
  EXPECT_FALSE(settled_power_w(m));
  m.power_w.push_back(318);
  EXPECT_DOUBLE_EQ(settled_power_w(m).value_or(0), 318);
  m.runs_per_sample = 5;
  m.energy_j = 10;
  m.energy_steps = kLeastEnergySteps - 1;
  EXPECT_DOUBLE_EQ(settled_power_w(m).value_or(0), 318);
  m.energy_steps = kLeastEnergySteps;
  EXPECT_DOUBLE_EQ(settled_power_w(m).value_or(0), 10 / (20 * 1e-3));
  m.notes["energy_from"] = "power";  // the readings again
  EXPECT_DOUBLE_EQ(settled_power_w(m).value_or(0), 318);
  m.ranks = 2;
  EXPECT_FALSE(settled_power_w(m));
}

TEST(Worth, IsWorkOverEnergyAndCycles) {
  Measurement m = with({1e-3, 1e-3, 1e-3, 1e-3});
  m.runs_per_sample = 5;
  m.flops = 2e9;
  m.sms = 4;
  EXPECT_FALSE(work_per_joule(m) || flops_per_cycle(m));
  m.energy_j = 10;
  m.energy_steps = kLeastEnergySteps - 1;  // too coarse a counter
  EXPECT_FALSE(work_per_joule(m));
  m.energy_steps = kLeastEnergySteps;
  EXPECT_DOUBLE_EQ(work_per_joule(m).value_or(0), 20 * 2e9 / 10);
  m.sm_clock_hz = {1e9, 2e9, 1e9};
  EXPECT_DOUBLE_EQ(flops_per_cycle(m).value_or(0), 2e9 / (1e-3 * 1e9 * 4));
  m.flops = 0;
  m.bytes = 3e6;
  EXPECT_DOUBLE_EQ(work_per_joule(m).value_or(0), 20 * 3e6 / 10);
  EXPECT_FALSE(flops_per_cycle(m));
  m.ranks = 2;
  EXPECT_FALSE(work_per_joule(m));
}
