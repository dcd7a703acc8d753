// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The device that a program measures, chosen by --device.
#pragma once

#include "kernels/operation.hpp"
#include "record/record.hpp"

#include <cstdint>
#include <string>

namespace trainmeter {

struct Target {
  DeviceKind kind = DeviceKind::cpu;
  Device device;                            // as the record has it
  std::int64_t rotate_bytes = 0;            // 3 x the last-level cache
  std::int64_t memory_available_bytes = 0;  // for operands
};

// auto: the GPU if there is one, else the CPU, whose threads are pinned. `gpu`: which of those that
// this process sees. Unavailable, with the reason, where a GPU is asked for and there is none.
Target choose_target(const std::string& device, int gpu = 0);

// "WHAT: needs 12.3 GiB, 8.0 GiB is free" where `bytes` don't fit, else "".
std::string why_no_room(const std::string& what, double bytes, const Target& target);

}  // namespace trainmeter
