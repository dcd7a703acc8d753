// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The watching thread.
#include "bench/monitor.hpp"

#include "kernels/machine.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

namespace trainmeter {
namespace {

constexpr double kOwnShare = 0.004;   // of a core
constexpr double kLongestWait = 0.1;  // seconds

double thread_cpu_s() {
  timespec now{};
  (void)::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

Monitor::Monitor(TelemetrySource& source, double period_s) : source_(source) {
  watched_.before = source_.state();
  thread_ = std::thread([this, period_s] { watch(period_s); });
}

Monitor::~Monitor() {
  if (thread_.joinable()) (void)stop();
}

void Monitor::watch(double period_s) {
  unpin_thread();
  const double begin_s = steady_now_s();
  std::unique_lock lock(mutex_);
  for (bool last = false; !last;) {
    last = stopping_;
    lock.unlock();
    watched_.samples.push_back(source_.read());
    lock.lock();
    watched_.cpu_s = thread_cpu_s();
    watched_.seconds = steady_now_s() - begin_s;
    const double affordable_s = watched_.cpu_s / kOwnShare - watched_.seconds;
    const double wait_s = std::max(period_s, std::min(affordable_s, kLongestWait));
    if (!last) {
      wake_.wait_for(lock, std::chrono::duration<double>(wait_s), [this] { return stopping_; });
    }
  }
}

Watched Monitor::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  watched_.after = source_.state();
  watched_.unreadable = source_.unreadable();
  return std::move(watched_);
}

void note_telemetry(const Watched& watched, Measurement& row) {
  for (const TelemetrySample& sample : watched.samples) {
    if (sample.sm_clock_hz) row.sm_clock_hz.push_back(*sample.sm_clock_hz);
    if (sample.power_w) row.power_w.push_back(*sample.power_w);
    if (sample.temperature_c) row.temperature_c.push_back(*sample.temperature_c);
  }
  for (const ThrottleSpan& span : summarise(watched).throttled) {
    auto& reasons = row.throttle_reasons;
    if (std::find(reasons.begin(), reasons.end(), span.reason) == reasons.end()) {
      reasons.push_back(span.reason);
    }
  }
}

}  // namespace trainmeter
