// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A machine as a system file describes it (results/published/systems/<id>.json). Bandwidths are one
// way, per GPU.
#pragma once

#include "record/strict_json.hpp"
#include "workload/model.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace trainmeter {

struct System {
  std::string id;
  std::string kind = "gpu";  // gpu or cpu
  std::string gpu;           // its name; for a CPU, the processor's
  std::int64_t gpus_per_node = 1;
  bool one_gpu_a_node_assumed = false;       // where a file of GPUs doesn't say it
  std::int64_t sms = 0;                      // on a CPU, cores
  std::map<std::string, double> peak_flops;  // dense, by dtype, those it has
  std::optional<double> memory_bytes, memory_bytes_per_s, nvlink_bytes_per_s, nic_bytes_per_s,
      power_w;
  std::optional<double> price_usd_per_gpu_hour;
  std::string price_how;  // in no file: where it was worked out, from what
  // Of the object in a file; of what the price was worked out from.
  KeyPlace place, price_place;
  std::optional<Source> source;
};

System read_system(StrictObject object);

}  // namespace trainmeter
