// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Co-runners on this machine's cores: that they move what they say they move, at the rate that is
// set, until they are told to stop.
#include "kernels/machine.hpp"

#include "co_runner_checks.hpp"
#include <gtest/gtest.h>

#include <vector>

using namespace trainmeter;

#define NEEDS_TWO_CORES() \
  if (cpu_info().cores < 2) GTEST_SKIP() << "skipped: one core"

TEST(CoRunner, ACheckFindsEachWordThatIsNotOfTheLastPassOverIt) {
  const CoParts parts{.workers = 2, .steps = 3, .step_words = 4};
  std::vector<CoWord> to(static_cast<std::size_t>(parts.words()));
  // The first worker did a pass and one step of the next, the second one two steps.
  for (CoWord i = 0; i < 20; ++i) to[i] = co_content(i) ^ co_tag(7, i < 4 ? 1 : 0);
  EXPECT_TRUE(check_moved(parts, to.data(), 7, {4, 2}).ok);
  EXPECT_EQ(check_moved(parts, to.data(), 7, {5, 2}).wrong, 4);  // a step that was counted only
  EXPECT_EQ(check_moved(parts, to.data(), 7, {4, 3}).wrong, 4);
  EXPECT_EQ(check_moved(parts, to.data(), 8, {4, 2}).wrong, 20);  // of another start
  to[17] ^= 1;
  EXPECT_EQ(check_moved(parts, to.data(), 7, {4, 2}).wrong, 1);
  EXPECT_FALSE(check_moved(parts, to.data(), 7, {0, 0}).ok);  // nothing moved
}

TEST(CoRunner, OnACpuMovesWhatItCounts) {
  NEEDS_TWO_CORES();
  expect_all_kinds_right(make_cpu_co_runner, 1);
  expect_rate_held(make_cpu_co_runner, 1e8);
}

TEST(CoRunner, OnACpuEndsByItself) {
  NEEDS_TWO_CORES();
  expect_end_by_itself(make_cpu_co_runner);
}

TEST(CoRunner, LeavesAtLeastOneCoreOrSm) {
  EXPECT_THROW((void)make_cpu_co_runner({.sms = cpu_info().cores}), Unavailable);
  EXPECT_THROW((void)make_cpu_co_runner({.sms = 0}), Unavailable);
  EXPECT_THROW((void)make_gpu_co_runner({.sms = 1'000'000}), Unavailable);
}
