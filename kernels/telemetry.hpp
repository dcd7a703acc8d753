// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Clock, power, temperature and throttle reasons of a GPU, through NVML loaded at run time. Where
// it can't be had (no driver, a container without the library), samples are empty: never an error,
// never an invented figure.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

struct TelemetrySample {
  std::optional<double> sm_clock_hz, power_w, temperature_c;
  std::vector<std::string>
      throttle_reasons;  // NVML's names in lower case, without those of an idle GPU
};

class Telemetry {
 public:
  // `uuid` as machine.hpp's GpuInfo has it; empty: nothing is read.
  explicit Telemetry(const std::string& uuid);
  ~Telemetry();
  Telemetry(const Telemetry&) = delete;  // owns NVML's session
  Telemetry& operator=(const Telemetry&) = delete;

  [[nodiscard]] TelemetrySample read() const;

 private:
  struct Nvml;
  std::unique_ptr<Nvml> nvml_;
};

// The words for NVML's bit mask of clock event reasons (nvml.h, nvmlClocksEventReason*).
std::vector<std::string> throttle_reasons(unsigned long long mask);

}  // namespace trainmeter
