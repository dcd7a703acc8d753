// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/call_watch.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

namespace trainmeter {
namespace {

using namespace std::chrono_literals;

TEST(CallWatch, ACallThatDoesNotEndIsNoticed) {
  std::promise<void> stuck;
  CallWatch watch(0.05, [&] { stuck.set_value(); });
  const CallWatch::Call waiting(&watch);
  EXPECT_EQ(stuck.get_future().wait_for(60s), std::future_status::ready);
}

TEST(CallWatch, CallsThatEndAndTimeBetweenThemAreNot) {
  std::atomic<int> stuck = 0;
  {
    CallWatch watch(5, [&] { ++stuck; });
    for (int call = 0; call < 1000; ++call) const CallWatch::Call waiting(&watch);
  }
  {
    CallWatch watch(0.02, [&] { ++stuck; });
    { const CallWatch::Call waiting(&watch); }
    std::this_thread::sleep_for(200ms);
  }
  EXPECT_EQ(stuck, 0);
}

TEST(CallWatch, NoneIsNoError) {
  const CallWatch::Call waiting(nullptr);
}

}  // namespace
}  // namespace trainmeter
