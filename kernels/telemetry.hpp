// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a device and the machine around it tell of themselves: sensors to read while something is
// measured, and a state to read before and after. What can't be read is left out and named with its
// reason, once: never an error, never an invented figure.
#pragma once

#include "kernels/machine.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// A counter that only runs forward, as it was read.
struct Counter {
  std::uint64_t value = 0;
  std::uint64_t largest = 0;  // after this value it goes on at 0; 0: it never goes round
};

// What was counted between two readings. Nothing where that can't be told: it isn't the same
// counter, or it ran backwards and either never goes round, or would have counted more than half of
// its range: then it was reset. Readings must be so close that less than half a range passes.
std::optional<std::uint64_t> counted(const Counter& before, const Counter& after);

// One reading of the sensors.
struct TelemetrySample {
  double at_s = 0;                    // steady_now_s()
  std::optional<double> sm_clock_hz;  // on a CPU the mean of up to 4 of the cores used
  std::optional<double> power_w, temperature_c;
  std::vector<std::string> throttle_reasons;  // holding now: NVML's names, without an idle GPU's
  std::vector<Counter> energy_uj;             // one a power domain: a GPU, each CPU package
  std::optional<Counter> quota_throttled_us;  // CPU: this process's control groups were held back
  std::optional<Counter> thermal_events;      // CPU: times those cores were slowed down by heat
};

// CPU time since boot, in the kernel's ticks.
struct CpuTimes {
  Counter all, busy, stolen;  // of all CPUs of the machine; stolen: by a hypervisor, for others
  Counter own;                // of this process
};

// What changes slowly, or costs too much to be read often.
struct DeviceState {
  // A GPU's.
  std::optional<Counter> ecc_corrected, ecc_uncorrected;    // since the driver was loaded
  std::optional<Counter> nvlink_errors;                     // all kinds, over all active links
  std::optional<int> nvlink_links;                          // active ones
  std::optional<int> pcie_width, pcie_width_max;            // lanes; an idle GPU may lower both...
  std::optional<int> pcie_generation, pcie_generation_max;  // ... this is the speed of a lane
  std::optional<bool> mig;
  std::optional<double> power_limit_w, power_limit_default_w;
  std::optional<int> other_processes;  // with a context on this GPU
  // A CPU's.
  std::optional<CpuTimes> cpu_times;
  std::optional<double> quota_cpus;  // what the control groups allow; none: no limit
};

class TelemetrySource {
 public:
  TelemetrySource() = default;
  virtual ~TelemetrySource() = default;
  TelemetrySource(const TelemetrySource&) = delete;  // may own a driver's session
  TelemetrySource& operator=(const TelemetrySource&) = delete;

  // One thread at a time.
  virtual TelemetrySample read() = 0;
  virtual DeviceState state() = 0;
  // What couldn't be read so far, and why at first: {"energy", "/sys/...: Permission denied"}.
  [[nodiscard]] const std::map<std::string, std::string>& unreadable() const { return unreadable_; }

 protected:
  void cannot_read(const std::string& sensor, const std::string& why) {
    unreadable_.try_emplace(sensor, why);
  }

 private:
  std::map<std::string, std::string> unreadable_;
};

// Through NVML, loaded at run time. `uuid` as GpuInfo has it.
std::unique_ptr<TelemetrySource> gpu_telemetry(const std::string& uuid,
                                               const std::string& library = "libnvidia-ml.so.1");

// A small file's text, or why there is none (errno).
struct FileText {
  std::string text;
  int error = 0;
};
FileText read_file(const std::filesystem::path& file);

// Of the cores in `cpu`, through /proc and /sys below `root`.
std::unique_ptr<TelemetrySource> cpu_telemetry(
    const CpuInfo& cpu, const std::filesystem::path& root = "/",
    std::function<FileText(const std::filesystem::path&)> read = read_file);

// std::chrono::steady_clock in seconds since its epoch.
double steady_now_s();

// The words for NVML's bit mask of clock event reasons (nvml.h, nvmlClocksEventReason*).
std::vector<std::string> throttle_reasons(unsigned long long mask);

}  // namespace trainmeter
