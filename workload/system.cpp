// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strict reading of system files.
#include "workload/system.hpp"

#include "record/names.hpp"
#include "workload/limits.hpp"

namespace trainmeter {

System read_system(StrictObject object) {
  System s;
  s.place = object.place();
  s.price_place = s.place.at("price_usd_per_gpu_hour");
  s.id = filled(object, "id");
  if (object.has("kind")) s.kind = object.one_of("kind", {"gpu", "cpu"});
  s.gpu = filled(object, "gpu");
  if (object.has("gpus_per_node"))
    s.gpus_per_node = bounded(object, "gpus_per_node", 1, kMaxRunSize);
  s.one_gpu_a_node_assumed = s.kind == "gpu" && !object.has("gpus_per_node");
  if (object.has("sms")) s.sms = bounded(object, "sms", 1, kMaxRunSize);
  if (object.has("peak_flops")) {
    StrictObject peaks = object.object("peak_flops");
    for (const std::string& dtype : dtype_names()) {
      if (peaks.has(dtype)) s.peak_flops[dtype] = within(peaks, dtype, kFlopsPerS);
    }
    peaks.finish();
  }
  s.memory_bytes = within_if_there(object, "memory_bytes", kMemoryBytes);
  s.memory_bytes_per_s = within_if_there(object, "memory_bytes_per_s", kMemoryBytesPerS);
  s.nvlink_bytes_per_s = within_if_there(object, "nvlink_bytes_per_s", kLinkBytesPerS);
  s.nic_bytes_per_s = within_if_there(object, "nic_bytes_per_s", kLinkBytesPerS);
  s.power_w = within_if_there(object, "power_w", kPowerW);
  s.price_usd_per_gpu_hour =
      at_most_if_there(object, "price_usd_per_gpu_hour", kMaxUsdPerGpuHour, "USD per GPU-hour");
  if (object.has("source")) s.source = read_source(object.object("source"));
  object.finish();
  return s;
}

}  // namespace trainmeter
