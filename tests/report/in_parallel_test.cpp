// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Every part is done once, and a part that fails is heard of.
#include "report/in_parallel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

using namespace trainmeter;

TEST(InParallel, EveryPartIsDoneOnce) {
  for (const int threads : {0, 1, 5}) {
    std::vector<std::atomic<int>> done(100);
    in_parallel(done.size(), threads, [&](std::size_t i) { ++done[i]; });
    for (const std::atomic<int>& times : done) EXPECT_EQ(times, 1) << threads;
  }
  in_parallel(0, 3, [](std::size_t) { FAIL(); });
}

TEST(InParallel, TheFirstFailureIsThrownAndTheOthersAreDone) {
  std::atomic<int> done = 0;
  std::string thrown;
  try {
    in_parallel(50, 4, [&](std::size_t i) {
      if (i == 7 || i == 30) throw std::runtime_error(std::to_string(i));
      ++done;
    });
  } catch (const std::runtime_error& error) {
    thrown = error.what();
  }
  EXPECT_EQ(thrown, "7");
  EXPECT_EQ(done, 48);
}
