// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Reading of bounded values.
#include "workload/limits.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trainmeter {

std::int64_t bounded(StrictObject& object, const std::string& key, std::int64_t least,
                     std::int64_t most) {
  const std::int64_t value = object.integer(key);
  if (value < least) object.refuse(key, fmt::format("a whole number of at least {}", least));
  if (value > most) object.refuse(key, fmt::format("a whole number of at most {}", most));
  return value;
}

std::string filled(StrictObject& object, const std::string& key) {
  std::string value = object.text(key);
  if (std::ranges::all_of(value, [](char c) { return c == ' '; })) {
    object.refuse(key, "a string that isn't empty");
  }
  return value;
}

}  // namespace trainmeter
