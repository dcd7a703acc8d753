// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A thread that looks now and then.
#include "kernels/rank_watch.hpp"

#include "kernels/collective.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace trainmeter {
namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

RankWatch::RankWatch(Over over, double timeout_s)
    : over_(std::move(over)),
      timeout_s_(timeout_s),
      last_s_(now_s()),
      thread_([this] { watch(); }) {}

RankWatch::~RankWatch() {
  ending_ = true;
  thread_.join();
}

void RankWatch::started() {
  last_s_ = now_s();
}

void RankWatch::require() const {
  const std::lock_guard lock(mutex_);
  if (!why_.empty()) throw RankLost(why_);
}

void RankWatch::watch() {
  constexpr double kLongestLook = 0.2;
  const std::chrono::duration<double> between(std::min(kLongestLook, timeout_s_ / 10));
  while (!ending_) {
    if (std::string why = reason(); !why.empty()) {
      {
        const std::lock_guard lock(mutex_);
        why_ = std::move(why);
      }
      over_.abort();
      return;
    }
    std::this_thread::sleep_for(between);
  }
}

// The device isn't asked before time is up: asking may cost the work that is measured.
std::string RankWatch::reason() const {
  if (std::string failed = over_.failed(); !failed.empty()) return failed;
  if (now_s() - last_s_ < timeout_s_ || over_.finished()) return "";
  return "a collective didn't finish within " + std::to_string(static_cast<int>(timeout_s_)) +
         " s: a rank hangs or is gone";
}

}  // namespace trainmeter
