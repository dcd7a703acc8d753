// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// When a measuring loop stops, by hand.
#include "bench/stop_rule.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace trainmeter {
namespace {

constexpr double kTarget = 0.01;
constexpr bool kInTime = false;
constexpr bool kLate = true;

// What narrows at `from` samples, and notes what it was asked about.
struct Narrowing {
  std::int64_t from;
  std::vector<std::int64_t> asked = {};
  StopRule::Narrow ask() {
    return [this](std::int64_t count) {
      asked.push_back(count);
      return count >= from;
    };
  }
};

TEST(StopRule, WithoutATargetTheLeastIsEnough) {
  StopRule rule(0, 100);
  Narrowing never{1000};
  EXPECT_EQ(rule.why_stop(10, kInTime, never.ask()), "enough");
  EXPECT_EQ(rule.why_stop(10, kLate, never.ask()), "enough");
  EXPECT_EQ(rule.why_stop(100, kInTime, never.ask()), "sample_limit");
  EXPECT_TRUE(never.asked.empty());
}

TEST(StopRule, LooksWhenTheSamplesHaveDoubledAndWantsTwoLooks) {
  StopRule rule(kTarget, 10'000);
  Narrowing narrowing{60};
  EXPECT_EQ(rule.next_look(), 50);
  EXPECT_EQ(rule.why_stop(49, kInTime, narrowing.ask()), "");
  EXPECT_TRUE(narrowing.asked.empty());
  EXPECT_EQ(rule.why_stop(50, kInTime, narrowing.ask()), "");  // too wide
  EXPECT_EQ(rule.next_look(), 100);
  EXPECT_EQ(rule.why_stop(99, kInTime, narrowing.ask()), "");
  EXPECT_EQ(rule.why_stop(100, kInTime, narrowing.ask()), "");  // narrow; half of them weren't
  EXPECT_EQ(rule.next_look(), 200);
  EXPECT_EQ(rule.why_stop(200, kInTime, narrowing.ask()), "converged");
  EXPECT_EQ(narrowing.asked, (std::vector<std::int64_t>{50, 100, 50, 200, 100}));
}

TEST(StopRule, TheLastPossibleLookCountsAlone) {
  for (const bool late : {kInTime, kLate}) {
    Narrowing narrow{1};
    EXPECT_EQ(StopRule(kTarget, late ? 100 : 10).why_stop(10, late, narrow.ask()), "converged");
    EXPECT_EQ(narrow.asked, std::vector<std::int64_t>{10});
  }
}

TEST(StopRule, WhatIsWideStopsAtALimit) {
  Narrowing never{1000};
  EXPECT_EQ(StopRule(kTarget, 100).why_stop(10, kLate, never.ask()), "time_limit");
  EXPECT_EQ(StopRule(kTarget, 100).why_stop(100, kInTime, never.ask()), "sample_limit");
  EXPECT_EQ(StopRule(kTarget, 100).why_stop(100, kLate, never.ask()), "sample_limit");
  EXPECT_EQ(StopRule(kTarget, 0).why_stop(0, kLate, never.ask()), "sample_limit");
  EXPECT_EQ(never.asked, (std::vector<std::int64_t>{10, 100, 100}));  // nothing, of none
}

}  // namespace
}  // namespace trainmeter
