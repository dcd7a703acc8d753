// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// NVML's interface, as documented, over a GPU that a test describes. FAKE_NVML_OLD: a driver that
// has the entries' older names, and not all of them.
#include "fake_nvml.hpp"

#include <cstring>

namespace {

constexpr int kInvalidArgument = 2;
constexpr int kNotSupported = 3;
constexpr int kNotFound = 6;
constexpr int kInsufficientSize = 7;

struct ProcessInfo {
  unsigned pid;
  unsigned long long used_memory;
  unsigned gpu_instance, compute_instance;
};

FakeGpu* device() {
  return fake_gpu();
}

int list(const std::vector<unsigned>& pids, unsigned* count, ProcessInfo* infos) {
  if (device()->processes_fail != 0) return device()->processes_fail;
  const unsigned room = *count;
  *count = static_cast<unsigned>(pids.size());
  if (room < pids.size()) return kInsufficientSize;
  for (unsigned i = 0; i < *count; ++i) infos[i] = {pids[i], 1U << 30, ~0U, ~0U};
  return 0;
}

template <class Answer>
int answer(const void* of, Answer value, Answer* out) {
  if (of != device()) return kInvalidArgument;
  *out = value;
  return 0;
}

}  // namespace

extern "C" {

FakeGpu* fake_gpu() {
  static FakeGpu gpu;
  return &gpu;
}

int nvmlInit_v2() {
  if (device()->init_fails == 0) ++device()->sessions;
  return device()->init_fails;
}
int nvmlShutdown() {
  --device()->sessions;
  return 0;
}
const char* nvmlErrorString(int code) {
  switch (code) {
    case 3:
      return "Not Supported";
    case 4:
      return "Insufficient Permissions";
    case 6:
      return "Not Found";
    case 9:
      return "Driver Not Loaded";
    case 15:
      return "GPU is lost";
    default:
      return "Unknown Error";
  }
}
int nvmlDeviceGetHandleByUUID(const char* uuid, void** out) {
  if (std::strcmp(uuid, "GPU-fake") != 0) return kNotFound;
  *out = device();
  return 0;
}

int nvmlDeviceGetClockInfo(void* of, int type, unsigned* out) {
  return type == 1 ? answer(of, device()->mhz, out) : kInvalidArgument;
}
int nvmlDeviceGetPowerUsage(void* of, unsigned* out) {
  return device()->power_fails != 0 ? device()->power_fails : answer(of, device()->mw, out);
}
int nvmlDeviceGetTemperature(void* of, int sensor, unsigned* out) {
  return sensor == 0 ? answer(of, device()->celsius, out) : kInvalidArgument;
}
int nvmlDeviceGetTotalEnergyConsumption(void* of, unsigned long long* out) {
  return device()->energy_fails != 0 ? device()->energy_fails : answer(of, device()->mj, out);
}
int nvmlDeviceGetTotalEccErrors(void* of, int kind, int lifetime, unsigned long long* out) {
  if (device()->ecc_fails != 0) return device()->ecc_fails;
  return lifetime == 0 ? answer(of, kind == 0 ? 7ULL : 1ULL, out) : kInvalidArgument;
}
int nvmlDeviceGetCurrPcieLinkWidth(void* of, unsigned* out) {
  return answer(of, device()->pcie_width, out);
}
int nvmlDeviceGetMaxPcieLinkWidth(void* of, unsigned* out) {
  return answer(of, 16U, out);
}
int nvmlDeviceGetCurrPcieLinkGeneration(void* of, unsigned* out) {
  return answer(of, device()->pcie_generation, out);
}
int nvmlDeviceGetMaxPcieLinkGeneration(void* of, unsigned* out) {
  return answer(of, 5U, out);
}
int nvmlDeviceGetPowerManagementDefaultLimit(void* of, unsigned* out) {
  return answer(of, 700'000U, out);
}
int nvmlDeviceGetNvLinkState(void* of, unsigned link, int* out) {
  if (link >= 18) return kInvalidArgument;
  return answer(of, link < device()->links ? 1 : 0, out);
}
int nvmlDeviceGetNvLinkErrorCounter(void* of, unsigned link, int kind, unsigned long long* out) {
  if (link >= device()->links) return kInvalidArgument;
  return kind == 4 ? kNotSupported : answer(of, kind == 2 ? device()->crc_errors : 0ULL, out);
}

#if FAKE_NVML_OLD
int nvmlDeviceGetCurrentClocksThrottleReasons(void* of, unsigned long long* out) {
  return answer(of, device()->reasons, out);
}
int nvmlDeviceGetPowerManagementLimit(void* of, unsigned* out) {
  return answer(of, 400'000U, out);
}
int nvmlDeviceGetComputeRunningProcesses_v2(void*, unsigned* count, ProcessInfo* infos) {
  return list(device()->compute, count, infos);
}
int nvmlDeviceGetGraphicsRunningProcesses_v2(void*, unsigned* count, ProcessInfo* infos) {
  return list(device()->graphics, count, infos);
}
#else
int nvmlDeviceGetCurrentClocksEventReasons(void* of, unsigned long long* out) {
  return answer(of, device()->reasons, out);
}
int nvmlDeviceGetEnforcedPowerLimit(void* of, unsigned* out) {
  return answer(of, 600'000U, out);
}
int nvmlDeviceGetMigMode(void* of, unsigned* current, unsigned* pending) {
  *pending = 0;
  return answer(of, device()->mig, current);
}
int nvmlDeviceGetComputeRunningProcesses_v3(void*, unsigned* count, ProcessInfo* infos) {
  return list(device()->compute, count, infos);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void*, unsigned* count, ProcessInfo* infos) {
  return list(device()->graphics, count, infos);
}
#endif
}
