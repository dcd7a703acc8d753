// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Watches the device while it is measured: clock, power, temperature and throttle reasons, read by
// a thread of its own.
#pragma once

#include "kernels/telemetry.hpp"
#include "record/record.hpp"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace trainmeter {

class Monitor {
 public:
  // Reads at once, then every `period_s`, until stop().
  Monitor(std::function<TelemetrySample()> read, double period_s);
  ~Monitor();
  Monitor(const Monitor&) = delete;  // owns a thread
  Monitor& operator=(const Monitor&) = delete;

  // What was read, in order. Readings that the device refused are left out.
  std::vector<TelemetrySample> stop();

 private:
  void watch(double period_s);

  std::function<TelemetrySample()> read_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::vector<TelemetrySample> samples_;
  std::thread thread_;
};

// Into the row's fields; each throttle reason once.
void note_telemetry(const std::vector<TelemetrySample>& samples, Measurement& row);

}  // namespace trainmeter
