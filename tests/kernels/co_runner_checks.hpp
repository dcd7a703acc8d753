// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a co-runner of any device must do.
#pragma once

#include "kernels/co_runner.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

namespace trainmeter {

using Make = std::function<std::unique_ptr<CoRunner>(const CoRunnerProblem&)>;

inline void rest(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

inline Moved moved_in(CoRunner& co_runner, bool works, double seconds) {
  co_runner.start(works);
  co_runner.look(nullptr);
  rest(seconds);
  co_runner.look(nullptr);
  return co_runner.stop();
}

inline void expect_all_kinds_right(const Make& make, int sms) {
  for (const CoRunnerKind kind : kCoRunnerKinds) {
    SCOPED_TRACE(std::string(to_string(kind)) + " on " + std::to_string(sms));
    const auto co_runner = make({.kind = kind, .sms = sms});
    for (int start = 0; start < 3; ++start) {
      const Moved moved = moved_in(*co_runner, true, 0.05);
      EXPECT_GT(moved.bytes, 0);
      EXPECT_GE(moved.seconds, 0.04);
      const Check check = co_runner->check();
      EXPECT_TRUE(check.ok) << check.wrong << " words are wrong: " << check.how;
    }
    EXPECT_EQ(moved_in(*co_runner, false, 0.01).bytes, 0);  // holds its SMs, and no more
  }
}

inline void expect_rate_held(const Make& make, double bytes_per_s) {
  const auto co_runner = make({.sms = 1, .bytes_per_s = bytes_per_s});
  const Moved moved = moved_in(*co_runner, true, 0.2);
  EXPECT_LT(moved.bytes, 1.1 * bytes_per_s * moved.seconds);
  EXPECT_GT(moved.bytes, 0);
}

inline void expect_end_by_itself(const Make& make) {
  const auto co_runner = make({.kind = CoRunnerKind::poller, .sms = 1});
  co_runner->start(true, 0.05);
  rest(0.3);
  EXPECT_THROW((void)co_runner->stop(), std::runtime_error);
  EXPECT_GT(moved_in(*co_runner, true, 0.05).bytes, 0);  // and goes again
}

}  // namespace trainmeter
