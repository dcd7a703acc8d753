// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The watching thread.
#include "bench/monitor.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace trainmeter {

Monitor::Monitor(std::function<TelemetrySample()> read, double period_s)
    : read_(std::move(read)), thread_([this, period_s] { watch(period_s); }) {}

Monitor::~Monitor() {
  (void)stop();
}

void Monitor::watch(double period_s) {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    TelemetrySample sample = read_();
    lock.lock();
    samples_.push_back(std::move(sample));
    wake_.wait_for(lock, std::chrono::duration<double>(period_s), [this] { return stopping_; });
  }
}

std::vector<TelemetrySample> Monitor::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  return std::move(samples_);
}

void note_telemetry(const std::vector<TelemetrySample>& samples, Measurement& row) {
  for (const TelemetrySample& sample : samples) {
    if (sample.sm_clock_hz) row.sm_clock_hz.push_back(*sample.sm_clock_hz);
    if (sample.power_w) row.power_w.push_back(*sample.power_w);
    if (sample.temperature_c) row.temperature_c.push_back(*sample.temperature_c);
    for (const std::string& reason : sample.throttle_reasons) {
      auto& reasons = row.throttle_reasons;
      if (std::find(reasons.begin(), reasons.end(), reason) == reasons.end()) {
        reasons.push_back(reason);
      }
    }
  }
}

}  // namespace trainmeter
