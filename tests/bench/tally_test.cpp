// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a program's last line counts.
#include "bench/tally.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace trainmeter {
namespace {

Outcome of_row(std::vector<double> time_s, std::vector<Mark> marks = {}) {
  Outcome outcome;
  Measurement row;
  row.name = "a";
  row.time_s = std::move(time_s);
  row.marks = std::move(marks);
  row.stopped = "converged";
  outcome.rows.push_back(row);
  return outcome;
}

std::string said_of(const std::vector<Outcome>& outcomes, double target = 0.01) {
  Rules rules;
  rules.target = target;
  Tally tally(rules);
  for (const Outcome& one : outcomes) tally.measured(one, one.rows.front());
  return tally.text();
}

// What throttling marks is known only when sampling has ended.
TEST(Tally, CountsByTheIntervalThatIsShown) {
  const std::vector<double> fifty(50, 1e-3);
  EXPECT_EQ(said_of({of_row(fifty)}), "1 measured");
  const Outcome throttled = of_row(fifty, {{10, 11, "throttled: sw_power_cap"}});
  EXPECT_EQ(said_of({of_row(fifty), throttled}), "2 measured, 1 without an interval of +- 1 %");
  EXPECT_EQ(said_of({throttled}, 0), "1 measured");  // nothing was to be reached
}

TEST(Tally, OfAPairTheRatioCounts) {
  // Both drift by 10 %, and alike.
  std::vector<double> drifting;
  for (int i = 0; i < 100; ++i) drifting.push_back(1e-3 * (1 + 1e-3 * i));
  Outcome pair = of_row(drifting);
  EXPECT_EQ(said_of({pair}), "1 measured, 1 without an interval of +- 1 %");
  pair.rows.push_back(pair.rows.front());
  pair.rows[1].name = "b";
  pair.rows[0].paired_with = "b";
  pair.rows[1].paired_with = "a";
  EXPECT_EQ(said_of({pair}), "1 measured");
}

TEST(Tally, SaysWhatIsToBeDoubted) {
  Outcome one = of_row(std::vector<double>(100, 1e-3));
  one.settled = false;
  one.brief = true;
  one.rows.front().notes["other_processes"] = "1";
  EXPECT_EQ(said_of({one}),
            "1 measured, 1 still drifting after warm-up, 1 sampled for less than 0.2 s, 1 beside "
            "other processes on the GPU");
  Tally tally(Rules{});
  tally.failed();
  tally.left_out();
  EXPECT_EQ(tally.text(), "0 measured, 1 failed, 1 left out (--max_seconds)");
}

}  // namespace
}  // namespace trainmeter
