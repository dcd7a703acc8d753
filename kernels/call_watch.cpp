// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A thread that looks now and then whether the same call is still going on.
#include "kernels/call_watch.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace trainmeter {

CallWatch::CallWatch(double timeout_s, std::function<void()> stuck)
    : thread_([this, timeout_s, stuck = std::move(stuck)] { watch(timeout_s, stuck); }) {}

CallWatch::~CallWatch() {
  ending_ = true;
  thread_.join();
}

void CallWatch::watch(double timeout_s, const std::function<void()>& stuck) {
  using Clock = std::chrono::steady_clock;
  constexpr double kLongestLook = 0.2;
  const std::chrono::duration<double> between(std::min(kLongestLook, timeout_s / 10));
  const std::chrono::duration<double> timeout(timeout_s);
  std::int64_t last = steps_;
  Clock::time_point since = Clock::now();
  while (!ending_) {
    std::this_thread::sleep_for(between);
    const std::int64_t now = steps_.load(std::memory_order_relaxed);
    if (now != last || now % 2 == 0) {
      last = now;
      since = Clock::now();
    } else if (Clock::now() - since > timeout) {
      stuck();
      return;
    }
  }
}

}  // namespace trainmeter
