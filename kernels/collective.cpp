// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What all worlds share.
#include "kernels/collective.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string>
#include <system_error>

namespace trainmeter {

Interrupted::Interrupted(int number)
    : std::runtime_error("interrupted by signal " + std::to_string(number) +
                         " before all ranks were there"),
      signal(number) {}

double World::slowest(double seconds) {
  return std::ranges::max(each(seconds));
}

namespace {

constexpr double kTimeout = 60, kMostTimeout = 1e6;  // seconds

std::string timeout_text() {
  const char* text = std::getenv("TRAINMETER_TIMEOUT");
  return text == nullptr ? "" : text;
}

// Nothing where the text is no number of seconds.
std::optional<double> parsed_timeout(const std::string& text) {
  double seconds = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data(), end, seconds);
  const bool good = failed == std::errc{} && stop == end && seconds > 0 && seconds <= kMostTimeout;
  return good ? std::optional(seconds) : std::nullopt;
}

}  // namespace

double rank_timeout_s() {
  return parsed_timeout(timeout_text()).value_or(kTimeout);
}

std::string timeout_mistake() {
  const std::string text = timeout_text();
  if (text.empty() || parsed_timeout(text)) return "";
  return "TRAINMETER_TIMEOUT: '" + text + "': expected seconds, above 0, at most 1000000";
}

}  // namespace trainmeter
