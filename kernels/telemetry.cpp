// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What all sources of telemetry share.
#include "kernels/telemetry.hpp"

#include <array>
#include <chrono>
#include <utility>

namespace trainmeter {

std::optional<std::uint64_t> counted(const Counter& before, const Counter& after) {
  if (before.largest != after.largest) return std::nullopt;
  if (after.value >= before.value) return after.value - before.value;
  if (before.value > before.largest) return std::nullopt;
  const std::uint64_t round = before.largest - before.value + 1 + after.value;
  if (round > before.largest / 2) return std::nullopt;
  return round;
}

double steady_now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
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
