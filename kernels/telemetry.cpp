// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The few NVML entries that are needed, found by name: nvml.h is not part of every toolkit, and the
// library comes with the driver.
#include "kernels/telemetry.hpp"

#include <array>
#include <dlfcn.h>
#include <utility>

namespace trainmeter {

struct Telemetry::Nvml {
  void* library = nullptr;
  void* device = nullptr;
  int (*shutdown)() = nullptr;
  int (*clock)(void*, int, unsigned*) = nullptr;
  int (*power)(void*, unsigned*) = nullptr;
  int (*temperature)(void*, int, unsigned*) = nullptr;
  int (*reasons)(void*, unsigned long long*) = nullptr;

  template <class F>
  void find(F*& function, const char* name) {
    function = reinterpret_cast<F*>(::dlsym(library, name));
  }

  ~Nvml() {
    if (shutdown != nullptr) (void)shutdown();
    if (library != nullptr) (void)::dlclose(library);
  }
};

Telemetry::Telemetry(const std::string& uuid) {
  if (uuid.empty()) return;
  auto nvml = std::make_unique<Nvml>();
  nvml->library = ::dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (nvml->library == nullptr) return;
  int (*init)() = nullptr;
  int (*by_uuid)(const char*, void**) = nullptr;
  nvml->find(init, "nvmlInit_v2");
  nvml->find(by_uuid, "nvmlDeviceGetHandleByUUID");
  if (init == nullptr || by_uuid == nullptr || init() != 0) return;
  nvml->find(nvml->shutdown, "nvmlShutdown");
  if (by_uuid(uuid.c_str(), &nvml->device) != 0) return;
  nvml->find(nvml->clock, "nvmlDeviceGetClockInfo");
  nvml->find(nvml->power, "nvmlDeviceGetPowerUsage");
  nvml->find(nvml->temperature, "nvmlDeviceGetTemperature");
  nvml->find(nvml->reasons, "nvmlDeviceGetCurrentClocksThrottleReasons");
  nvml_ = std::move(nvml);
}

Telemetry::~Telemetry() = default;

TelemetrySample Telemetry::read() const {
  TelemetrySample out;
  if (nvml_ == nullptr) return out;
  constexpr int kSmClock = 1;    // NVML_CLOCK_SM, in MHz
  constexpr int kGpuSensor = 0;  // NVML_TEMPERATURE_GPU
  unsigned value = 0;
  unsigned long long mask = 0;
  if (nvml_->clock != nullptr && nvml_->clock(nvml_->device, kSmClock, &value) == 0)
    out.sm_clock_hz = value * 1e6;
  if (nvml_->power != nullptr && nvml_->power(nvml_->device, &value) == 0)
    out.power_w = value * 1e-3;
  if (nvml_->temperature != nullptr && nvml_->temperature(nvml_->device, kGpuSensor, &value) == 0)
    out.temperature_c = value;
  if (nvml_->reasons != nullptr && nvml_->reasons(nvml_->device, &mask) == 0)
    out.throttle_reasons = throttle_reasons(mask);
  return out;
}

std::vector<std::string> throttle_reasons(unsigned long long mask) {
  static constexpr std::array<std::pair<unsigned long long, const char*>, 8> kReasons = {
      {{0x02, "applications_clocks_setting"},
       {0x04, "sw_power_cap"},
       {0x08, "hw_slowdown"},
       {0x10, "sync_boost"},
       {0x20, "sw_thermal_slowdown"},
       {0x40, "hw_thermal_slowdown"},
       {0x80, "hw_power_brake_slowdown"},
       {0x100, "display_clock_setting"}}};
  std::vector<std::string> out;
  for (const auto& [bit, name] : kReasons) {
    if ((mask & bit) != 0) out.emplace_back(name);
  }
  return out;
}

}  // namespace trainmeter
