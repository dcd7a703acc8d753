// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Probes: what they mark, and that marked samples don't count.
#include "bench/sentinel.hpp"

#include "bench/measure.hpp"
#include "record/samples.hpp"

#include "fakes.hpp"
#include <gtest/gtest.h>

#include <array>
#include <iterator>
#include <vector>

namespace trainmeter {
namespace {

TEST(ChangedStates, MarksWhatLiesBesideAnUnusualProbe) {
  const auto probe = [](std::int64_t before, double compute, double copy = 1) {
    return Probe{.before = before, .compute_s = compute, .copy_s = copy};
  };
  EXPECT_TRUE(changed_states({}, 0).empty());
  EXPECT_TRUE(changed_states({probe(0, 1), probe(10, 1.2), probe(20, 0.9)}, 20).empty());
  const auto marks = changed_states(
      {probe(0, 1), probe(10, 1), probe(20, 1.5), probe(30, 1), probe(40, 1, 2)}, 40);
  ASSERT_EQ(marks.size(), 2U);
  EXPECT_EQ(marks[0].first, 10);
  EXPECT_EQ(marks[0].last, 29);
  EXPECT_EQ(marks[0].why, "machine: compute probe 1.50 x");
  EXPECT_EQ(marks[1].first, 30);
  EXPECT_EQ(marks[1].last, 39);
  EXPECT_EQ(marks[1].why, "machine: copy probe 2.00 x");
}

TEST(ChangedStates, TheFirstSamplesHaveTheMarksOfTheProbesUntilThen) {
  const std::vector<Probe> probes = {{0, 1, 1}, {10, 1, 1}, {20, 2, 1}, {30, 1, 1}, {40, 2, 1}};
  const Measurement early = first_samples(std::vector<double>(40, 1.0), probes, 25);
  EXPECT_EQ(early.time_s.size(), 25U);
  ASSERT_EQ(early.marks.size(), 1U);
  EXPECT_EQ(early.marks[0].first, 10);
  EXPECT_EQ(early.marks[0].last, 24);
  EXPECT_EQ(first_samples(std::vector<double>(40, 1.0), probes, 40).marks.size(), 2U);
  EXPECT_TRUE(first_samples({1, 1, 1}, {}, 2).marks.empty());
}

TEST(Sentinel, IsThereOnThisMachineAndTellsTimes) {
  const Target target = choose_target("cpu");
  const auto sentinel = make_sentinel(target);
  ASSERT_NE(sentinel, nullptr);
  const Probe probe = sentinel->probe();
  EXPECT_GT(probe.compute_s, 0);
  EXPECT_GT(probe.copy_s, 0);
}

// Fifty samples, some of them beside a probe in another state: the others are too few.
TEST(Measure, WhatIsMarkedDoesNotCountForTheTarget) {
  for (const bool disturbed : {false, true}) {
    FakeTime time;
    FakeOperation operation(time, [](std::int64_t) { return 1e-2; });
    const auto timer = make_cpu_timer(time.clock(1e-8), nullptr);
    std::array<Operation*, 1> operations = {&operation};
    int probes = 0;
    const Around around{.probe =
                            [&] {
                              const double factor = ++probes == 4 && disturbed ? 2 : 1;
                              return Probe{.before = 0, .compute_s = factor * 1e-4, .copy_s = 2e-4};
                            },
                        .before_run = nullptr};
    Rules brief;
    brief.target = 0.01;
    brief.max_time_s = 0.499;
    const Measured measured = measure(operations, *timer, brief, nullptr, never, around);
    Measurement row;
    row.time_s = measured.of[0].time_s;
    row.marks = changed_states(measured.probes, std::ssize(row.time_s));
    ASSERT_EQ(row.time_s.size(), 50U);
    ASSERT_EQ(counted_samples(row).left_out > 0, disturbed);
    EXPECT_EQ(measured.stopped, disturbed ? "time_limit" : "converged");
    EXPECT_EQ(median_time(row).half_width() < 0.01, !disturbed);
  }
}

}  // namespace
}  // namespace trainmeter
