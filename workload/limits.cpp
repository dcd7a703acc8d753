// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Reading of bounded values.
#include "workload/limits.hpp"

#include "record/error.hpp"
#include "record/text_limits.hpp"

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

double at_most(StrictObject& object, const std::string& key, double most, const char* what) {
  const double value = object.positive(key);
  if (!(value <= most)) object.refuse(key, fmt::format("{}, at most {:g}", what, most));
  return value;
}

std::optional<double> at_most_if_there(StrictObject& object, const std::string& key, double most,
                                       const char* what) {
  if (!object.has(key)) return std::nullopt;
  return at_most(object, key, most, what);
}

double within(StrictObject& object, const std::string& key, const Range& range) {
  const double value = object.positive(key);
  if (!(range.least <= value && value <= range.most)) {
    object.refuse(key, fmt::format("{}, {:g} to {:g}", range.unit, range.least, range.most));
  }
  return value;
}

std::optional<double> within_if_there(StrictObject& object, const std::string& key,
                                      const Range& range) {
  if (!object.has(key)) return std::nullopt;
  return within(object, key, range);
}

bool is_within(const std::filesystem::path& file, const std::filesystem::path& folder) {
  std::error_code error;
  const std::filesystem::path relative = std::filesystem::relative(file, folder, error);
  return !error && !relative.empty() && *relative.begin() != "..";
}

bool names_a_file(const std::string& text) {
  const std::filesystem::path path = text;
  return path.extension() == ".json" || path.has_parent_path();
}

std::string named(const StrictObject& object, const std::string& key, const std::string& text) {
  namespace fs = std::filesystem;
  const auto refuse = [&] {
    throw BadInput(
        fmt::format("{}: {}: expected an id, or a file below the folder of this one, found '{}'",
                    object.where(), object.path_of(key), shortened(text)));
  };
  const auto is_control = [](unsigned char c) { return c < ' ' || c == 0x7f; };
  if (text.size() > kLongestName || std::ranges::any_of(text, is_control)) refuse();
  const fs::path path = text;
  if (!names_a_file(text)) return text;
  const fs::path own = fs::path(object.where()).parent_path();
  const fs::path folder = own.empty() ? "." : own;
  const fs::path found = folder / path;
  if (!is_within(found, folder)) refuse();
  return found.string();
}

std::string filled(StrictObject& object, const std::string& key) {
  std::string value = object.text(key);
  if (std::ranges::all_of(value, [](char c) { return c == ' '; })) {
    object.refuse(key, "a string that isn't empty");
  }
  return value;
}

}  // namespace trainmeter
