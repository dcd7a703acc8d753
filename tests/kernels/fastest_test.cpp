// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which of several ways is kept, on clocks that fall from the first run of a trial on, and when one
// run is off.
#include "kernels/fastest.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::size_t kBest = 3;

// A GPU on which way kBest is 1 % faster than the others, and a trial's last run a fifth slower
// than its first.
std::vector<double> on_a_falling_clock(const std::vector<std::size_t>& order) {
  std::vector<double> times;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const double slower = 0.2 * static_cast<double>(i) / static_cast<double>(order.size());
    times.push_back((order[i] == kBest ? 0.99 : 1) * (1 + slower));
  }
  return times;
}

TEST(Fastest, IsTheFastestWhereverItStands) {
  for (const std::size_t ways : {4U, 5U, 12U, 64U}) {
    EXPECT_EQ(fastest_of(ways, [](const auto& order, int) { return on_a_falling_clock(order); }),
              kBest)
        << ways;
  }
}

TEST(Fastest, OneOfTwoIsNotFavoured) {
  for (const std::size_t fast : {0U, 1U}) {
    EXPECT_EQ(
        fastest_of(2,
                   [&](const auto& order, int) {
                     return order[0] == fast ? std::vector{1.0, 1.21} : std::vector{1.01, 1.2};
                   }),
        fast);
  }
}

TEST(Fastest, OneRunThatIsOffDecidesNothing) {
  EXPECT_EQ(fastest_of(8,
                       [](const auto& order, int trial) {
                         std::vector<double> times = on_a_falling_clock(order);
                         if (trial == 2) times[0] = 0.5;
                         return times;
                       }),
            kBest);
}

TEST(Fastest, WhoIsHopelessIsTriedOnce) {
  std::vector<int> runs(3);
  EXPECT_EQ(fastest_of(3,
                       [&](const auto& order, int) {
                         std::vector<double> times;
                         for (const std::size_t way : order) {
                           ++runs[way];
                           times.push_back(way == 0 ? 1.6 : 1);
                         }
                         return times;
                       }),
            1U);
  EXPECT_EQ(runs, (std::vector{1, 6, 6}));
}

}  // namespace
}  // namespace trainmeter
