// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A GPU's telemetry. The NVML entries that are needed are found by name: nvml.h is not part of
// every toolkit, and the library comes with the driver. Layouts and constants are those of its
// documented ABI; units: MHz, mW, mJ, degrees Celsius.
#include "kernels/telemetry.hpp"

#include <dlfcn.h>
#include <initializer_list>
#include <set>
#include <unistd.h>

namespace trainmeter {
namespace {

using Device = void*;

constexpr int kSuccess = 0;
constexpr int kNotSupported = 3;
constexpr int kInsufficientSize = 7;
constexpr int kSmClock = 1;
constexpr int kGpuSensor = 0;
constexpr int kCorrected = 0;
constexpr int kUncorrected = 1;
constexpr int kSinceDriverLoaded = 0;  // NVML_VOLATILE_ECC
constexpr unsigned kMaxLinks = 36;     // NVML_NVLINK_MAX_LINKS
constexpr int kLinkErrorCounters = 5;  // replay, recovery, CRC of flits and of data, ECC

struct ProcessInfo {  // nvmlProcessInfo_v2_t
  unsigned pid;
  unsigned long long used_memory;
  unsigned gpu_instance;
  unsigned compute_instance;
};

class Nvml final : public TelemetrySource {
 public:
  Nvml(const std::string& uuid, const std::string& library) {
    library_ = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) {
      const char* why = ::dlerror();
      cannot_read("nvml", why == nullptr ? library : why);
      return;
    }
    find(error_string_, {"nvmlErrorString"});
    int (*init)() = nullptr;
    int (*by_uuid)(const char*, Device*) = nullptr;
    find(init, {"nvmlInit_v2"});
    find(by_uuid, {"nvmlDeviceGetHandleByUUID"});
    if (init == nullptr || by_uuid == nullptr) {
      cannot_read("nvml", library + ": not NVML");
      return;
    }
    if (!worked("nvml", init())) return;
    find(shutdown_, {"nvmlShutdown"});
    if (!worked("nvml", by_uuid(uuid.c_str(), &device_))) device_ = nullptr;
    find_sensors();
  }

  ~Nvml() override {
    if (shutdown_ != nullptr) (void)shutdown_();
    if (library_ != nullptr) (void)::dlclose(library_);
  }

  TelemetrySample read() override {
    TelemetrySample out;
    out.at_s = steady_now_s();
    if (device_ == nullptr) return out;
    if (const auto mhz = ask("sm_clock", clock_, kSmClock)) out.sm_clock_hz = *mhz * 1e6;
    if (const auto mw = ask("power", power_)) out.power_w = *mw * 1e-3;
    if (const auto celsius = ask("temperature", temperature_, kGpuSensor)) {
      out.temperature_c = *celsius;
    }
    if (const auto mask = ask<unsigned long long>("throttle_reasons", reasons_)) {
      out.throttle_reasons = throttle_reasons(*mask);
    }
    if (const auto mj = ask<unsigned long long>("energy", energy_))
      out.energy_uj = {{.value = *mj * 1000}};
    return out;
  }

  DeviceState state() override {
    DeviceState out;
    if (device_ == nullptr) return out;
    out.ecc_corrected = ecc_errors(kCorrected);
    out.ecc_uncorrected = ecc_errors(kUncorrected);
    out.pcie_width = ask("pcie", pcie_width_);
    out.pcie_width_max = ask("pcie", pcie_width_max_);
    out.pcie_generation = ask("pcie", pcie_generation_);
    out.pcie_generation_max = ask("pcie", pcie_generation_max_);
    if (const auto mw = ask("power_limit", power_limit_)) out.power_limit_w = *mw * 1e-3;
    if (const auto mw = ask("power_limit", power_limit_default_)) {
      out.power_limit_default_w = *mw * 1e-3;
    }
    unsigned pending = 0;
    unsigned current = 0;
    if (mig_ == nullptr) {
      cannot_read("mig", kNoSuchEntry);
    } else if (worked("mig", mig_(device_, &current, &pending))) {
      out.mig = current != 0;
    }
    read_links(out);
    out.other_processes = others();
    return out;
  }

 private:
  static constexpr const char* kNoSuchEntry = "this driver's NVML has no such entry";

  template <class Answer>
  using Getter = int (*)(Device, Answer*);
  using Processes = int (*)(Device, unsigned*, ProcessInfo*);

  // The first of `names` that the library has.
  template <class F>
  void find(F*& function, std::initializer_list<const char*> names) {
    for (const char* name : names) {
      if (function == nullptr) function = reinterpret_cast<F*>(::dlsym(library_, name));
    }
  }

  void find_sensors() {
    find(clock_, {"nvmlDeviceGetClockInfo"});
    find(power_, {"nvmlDeviceGetPowerUsage"});
    find(temperature_, {"nvmlDeviceGetTemperature"});
    find(reasons_,
         {"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"});
    find(energy_, {"nvmlDeviceGetTotalEnergyConsumption"});
    find(ecc_, {"nvmlDeviceGetTotalEccErrors"});
    find(pcie_width_, {"nvmlDeviceGetCurrPcieLinkWidth"});
    find(pcie_width_max_, {"nvmlDeviceGetMaxPcieLinkWidth"});
    find(pcie_generation_, {"nvmlDeviceGetCurrPcieLinkGeneration"});
    find(pcie_generation_max_, {"nvmlDeviceGetMaxPcieLinkGeneration"});
    find(power_limit_, {"nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPowerManagementLimit"});
    find(power_limit_default_, {"nvmlDeviceGetPowerManagementDefaultLimit"});
    find(mig_, {"nvmlDeviceGetMigMode"});
    find(link_state_, {"nvmlDeviceGetNvLinkState"});
    find(link_errors_, {"nvmlDeviceGetNvLinkErrorCounter"});
    find(compute_processes_,
         {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"});
    find(graphics_processes_,
         {"nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2"});
  }

  bool worked(const char* sensor, int code) {
    if (code == kSuccess) return true;
    cannot_read(sensor, error_string_ == nullptr ? "NVML error " + std::to_string(code)
                                                 : error_string_(code));
    return false;
  }

  template <class Answer = unsigned, class Get, class... Arguments>
  std::optional<Answer> ask(const char* sensor, Get get, Arguments... arguments) {
    Answer answer{};
    if (get == nullptr) {
      cannot_read(sensor, kNoSuchEntry);
      return std::nullopt;
    }
    if (!worked(sensor, get(device_, arguments..., &answer))) return std::nullopt;
    return answer;
  }

  std::optional<Counter> ecc_errors(int kind) {
    const auto errors = ask<unsigned long long>("ecc_errors", ecc_, kind, kSinceDriverLoaded);
    if (!errors) return std::nullopt;
    return Counter{.value = *errors};
  }

  // Links and their counters end where the driver says so: that is no failure.
  void read_links(DeviceState& out) {
    if (link_state_ == nullptr || link_errors_ == nullptr) {
      cannot_read("nvlink", kNoSuchEntry);
      return;
    }
    int links = 0;
    bool counts = false;
    Counter errors;
    for (unsigned link = 0; link < kMaxLinks; ++link) {
      int active = 0;
      if (link_state_(device_, link, &active) != kSuccess || active == 0) continue;
      ++links;
      for (int kind = 0; kind < kLinkErrorCounters; ++kind) {
        unsigned long long count = 0;
        if (link_errors_(device_, link, kind, &count) != kSuccess) continue;
        counts = true;
        errors.value += count;
      }
    }
    out.nvlink_links = links;
    if (counts) {
      out.nvlink_errors = errors;
    } else if (links > 0) {
      (void)worked("nvlink_errors", kNotSupported);
    }
  }

  // In a container NVML may list process ids of the host, or none: a list without this process,
  // which has a context here, says nothing of the others.
  std::optional<int> others() {
    std::set<unsigned> pids;
    if (!list(compute_processes_, pids) || !list(graphics_processes_, pids)) return std::nullopt;
    if (pids.erase(static_cast<unsigned>(::getpid())) == 0) {
      cannot_read("processes", "NVML doesn't list this process: a container's process ids?");
      return std::nullopt;
    }
    return static_cast<int>(pids.size());
  }

  bool list(Processes get, std::set<unsigned>& pids) {
    if (get == nullptr) {
      cannot_read("processes", kNoSuchEntry);
      return false;
    }
    std::vector<ProcessInfo> found(64);
    int code = kInsufficientSize;
    auto count = static_cast<unsigned>(found.size());
    while ((code = get(device_, &count, found.data())) == kInsufficientSize &&
           found.size() < 65'536) {
      found.resize(found.size() * 2);  // the count it gives may be outdated by the next call
      count = static_cast<unsigned>(found.size());
    }
    if (!worked("processes", code)) return false;
    for (unsigned i = 0; i < count; ++i) pids.insert(found[i].pid);
    return true;
  }

  void* library_ = nullptr;
  Device device_ = nullptr;
  const char* (*error_string_)(int) = nullptr;
  int (*shutdown_)() = nullptr;  // once NVML is initialised
  int (*clock_)(Device, int, unsigned*) = nullptr;
  int (*temperature_)(Device, int, unsigned*) = nullptr;
  Getter<unsigned> power_ = nullptr;
  Getter<unsigned long long> reasons_ = nullptr;
  Getter<unsigned long long> energy_ = nullptr;
  int (*ecc_)(Device, int, int, unsigned long long*) = nullptr;
  Getter<unsigned> pcie_width_ = nullptr;
  Getter<unsigned> pcie_width_max_ = nullptr;
  Getter<unsigned> pcie_generation_ = nullptr;
  Getter<unsigned> pcie_generation_max_ = nullptr;
  Getter<unsigned> power_limit_ = nullptr;
  Getter<unsigned> power_limit_default_ = nullptr;
  int (*mig_)(Device, unsigned*, unsigned*) = nullptr;
  int (*link_state_)(Device, unsigned, int*) = nullptr;
  int (*link_errors_)(Device, unsigned, int, unsigned long long*) = nullptr;
  Processes compute_processes_ = nullptr;
  Processes graphics_processes_ = nullptr;
};

}  // namespace

std::unique_ptr<TelemetrySource> gpu_telemetry(const std::string& uuid,
                                               const std::string& library) {
  return std::make_unique<Nvml>(uuid, library);
}

}  // namespace trainmeter
