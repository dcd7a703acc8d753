// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Watches the device while it is measured, by a thread of its own, and sums up what was seen. Times
// are steady_now_s().
#pragma once

#include "bench/measure.hpp"
#include "kernels/telemetry.hpp"
#include "record/record.hpp"

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace trainmeter {

struct Watched {
  std::vector<TelemetrySample> samples;  // in the order read
  DeviceState before, after;
  std::map<std::string, std::string> unreadable;  // sensor, and why
  double seconds = 0;                             // that the thread ran,
  double cpu_s = 0;                               // and what CPU time it took
};

class Monitor {
 public:
  // Reads the state and the sensors at once, the sensors then every `period_s`, and both once more
  // in stop(). Where the thread's CPU time exceeds 0.4 % of a core it reads more rarely, down to
  // 10 times a second. `source` must outlive it.
  Monitor(TelemetrySource& source, double period_s);
  ~Monitor();
  Monitor(const Monitor&) = delete;  // owns a thread
  Monitor& operator=(const Monitor&) = delete;

  Watched stop();  // once

 private:
  void watch(double period_s);

  TelemetrySource& source_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  Watched watched_;
  std::thread thread_;
};

// A reason for a lower clock, and when it held: from the reading that shows it to the next one.
// What was counted between two readings ("cgroup_quota", "core_thermal") held between them.
struct ThrottleSpan {
  std::string reason;
  double begin_s = 0;
  double end_s = 0;
};

// An interval of what was watched. What can't be told is left out.
struct TelemetrySummary {
  double begin_s = 0;
  double end_s = 0;
  std::int64_t readings = 0;
  std::optional<double> readings_per_s;
  std::optional<double> sm_clock_hz;  // mean of the readings
  std::optional<double> energy_j;
  std::string energy_from = "none";  // "counter", or "power": integrated by trapezoids
  std::int64_t energy_steps = 0;     // readings at which it had grown: few of them are a coarse sum
  std::vector<ThrottleSpan> throttled;
  // Sensors that failed in some readings: {"power", "12 of 30 readings"} had it.
  std::map<std::string, std::string> incomplete;
  // From here on, of all that was watched.
  std::optional<double> monitor_core_share;  // the thread's CPU time over its time
  std::optional<double> others_busy_share;   // other programs' CPU time, of all CPUs' time
  std::optional<double> stolen_share;        // a hypervisor's other guests', likewise
  std::optional<std::uint64_t> ecc_corrected, ecc_uncorrected, nvlink_errors;  // new ones
};
TelemetrySummary summarise(const Watched& watched);
TelemetrySummary summarise(const Watched& watched, double begin_s, double end_s);

// Into the row's fields; each throttle reason once.
void note_telemetry(const Watched& watched, Measurement& row);

// What was watched while the samples of `rounds` were taken: marks those that were throttled, with
// the reason; the energy of the runs alone (mean power over that time x the runs' time), also of
// stretches that are long enough to tell it (ten steps of the counter), with their clock; and in
// the notes where it comes from and what else took part of the machine.
void note_sampling(const Watched& watched, const std::vector<Round>& rounds, Measurement& row);

}  // namespace trainmeter
