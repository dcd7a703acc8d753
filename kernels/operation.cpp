// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How many operand sets to make, within the memory there is.
#include "kernels/operation.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <stdexcept>

namespace trainmeter {
namespace {

std::string in_binary_units(std::int64_t bytes) {
  constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text.data();
}

}  // namespace

std::int64_t operand_stride(std::int64_t bytes) {
  constexpr std::int64_t kPage = 4096;
  constexpr std::int64_t kWholePagesFrom = 15 * kPage;
  const std::int64_t unit = bytes < kWholePagesFrom ? 256 : kPage;
  const std::int64_t missing = (unit - bytes % unit) % unit;
  // Sizes near the end of 64 bits stay as they are: no machine holds them.
  return bytes > std::numeric_limits<std::int64_t>::max() - missing ? bytes : bytes + missing;
}

int sets_for(std::int64_t bytes_per_set, const OperandOptions& options,
             std::int64_t available_bytes) {
  if (bytes_per_set < 1) throw std::invalid_argument("an operand set holds at least one byte");
  if (options.rotate_bytes < 0) throw std::invalid_argument("rotate_bytes is negative");
  const std::int64_t fitting = available_bytes / bytes_per_set;
  if (fitting < 1) {
    throw Unavailable("needs " + in_binary_units(bytes_per_set) + ", " +
                      in_binary_units(std::max<std::int64_t>(available_bytes, 0)) + " is free");
  }
  const std::int64_t wanted =
      options.rotate_bytes / bytes_per_set + (options.rotate_bytes % bytes_per_set != 0 ? 1 : 0);
  const std::int64_t most = std::numeric_limits<int>::max();
  return static_cast<int>(std::clamp<std::int64_t>(wanted, 1, std::min(fitting, most)));
}

}  // namespace trainmeter
