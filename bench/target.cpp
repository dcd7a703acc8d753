// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Chooses the device and describes it.
#include "bench/target.hpp"

#include "kernels/machine.hpp"
#include "record/names.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace trainmeter {
namespace {

constexpr std::int64_t kCachesToPass = 3;

Target cpu_target() {
  const CpuInfo cpu = cpu_info();
  pin_threads(cpu);
  Target target;
  target.kind = DeviceKind::cpu;
  target.device.kind = "cpu";
  target.device.name = cpu.name;
  target.device.sms = cpu.cores;
  target.device.memory_bytes = cpu.memory_bytes;
  target.device.last_level_cache_bytes = cpu.last_level_cache_bytes;
  target.device.details["instruction_sets"] =
      fmt::format("{}", fmt::join(cpu.instruction_sets, " "));
  target.device.details["core_ids"] = fmt::format("{}", fmt::join(cpu.core_ids, " "));
  target.rotate_bytes = kCachesToPass * cpu.last_level_cache_bytes;
  target.memory_available_bytes = cpu.memory_available_bytes;
  return target;
}

Target gpu_target(const GpuInfo& gpu, int number) {
  Target target;
  target.kind = DeviceKind::gpu;
  target.device.kind = "gpu";
  target.device.name = gpu.name;
  target.device.sms = gpu.sms;
  target.device.memory_bytes = gpu.memory_bytes;
  target.device.last_level_cache_bytes = gpu.l2_bytes;
  target.device.details["compute_capability"] =
      fmt::format("{}.{}", gpu.compute_major, gpu.compute_minor);
  const auto cuda_version = [](int version) {
    return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
  };
  target.device.details["cuda_driver"] = cuda_version(gpu.driver_version);
  target.device.details["cuda_runtime"] = cuda_version(gpu.runtime_version);
  target.device.details["uuid"] = gpu.uuid;
  target.rotate_bytes = kCachesToPass * gpu.l2_bytes;
  target.memory_available_bytes = gpu_memory_free_bytes(number);
  return target;
}

}  // namespace

Target choose_target(const std::string& device, int gpu) {
  if (device == "cpu") return cpu_target();
  const Gpus found = gpus();
  if (!found.devices.empty()) {
    return gpu_target(found.devices.at(static_cast<std::size_t>(gpu)), gpu);
  }
  if (device == "gpu") throw Unavailable("--device=gpu: " + found.why_none);
  return cpu_target();
}

std::string why_no_room(const std::string& what, double bytes, const Target& target) {
  const auto available = static_cast<double>(target.memory_available_bytes);
  if (bytes <= available) return "";
  return fmt::format("{}: needs {}, {} is free", what, format_bytes(bytes),
                     format_bytes(available));
}

}  // namespace trainmeter
