// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strict numbers: the whole text is one, and within its bounds.
#include "bench/numbers.hpp"

#include "record/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>
#include <utility>

namespace trainmeter {
namespace {

template <class T>
void add_once(std::vector<T>& values, T value) {
  if (std::ranges::find(values, value) == values.end()) values.push_back(std::move(value));
}

}  // namespace

std::int64_t parse_count(const std::string& flag, const std::string& text, std::int64_t most) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool too_large = error == std::errc::result_out_of_range && stop == end;
  if (!too_large && (error != std::errc() || stop != end)) {
    throw BadInput(fmt::format("{}: '{}': expected a whole number", flag, text));
  }
  if (too_large ? text.front() == '-' : value < 1) {
    throw BadInput(fmt::format("{}: {}: expected at least 1", flag, text));
  }
  if (too_large || value > most) {
    throw BadInput(fmt::format("{}: {}: expected at most {}", flag, text, most));
  }
  return value;
}

double parse_non_negative(const std::string& flag, const std::string& text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value) || value < 0) {
    throw BadInput(fmt::format("{}: '{}': expected a number of at least 0", flag, text));
  }
  return value;
}

std::vector<std::string> parse_list(const std::string& flag, const std::string& text) {
  std::vector<std::string> words;
  std::size_t start = 0;
  for (;;) {
    const std::size_t comma = text.find(',', start);
    std::string word = text.substr(start, comma - start);
    if (word.empty()) {
      throw BadInput(fmt::format("{}: '{}': expected values between commas", flag, text));
    }
    add_once(words, std::move(word));
    if (comma == std::string::npos) return words;
    start = comma + 1;
  }
}

std::vector<std::int64_t> parse_counts(const std::string& flag, const std::string& text,
                                       std::int64_t most) {
  std::vector<std::int64_t> counts;
  for (const std::string& word : parse_list(flag, text)) {
    add_once(counts, parse_count(flag, word, most));
  }
  return counts;
}

void one_of(const std::string& flag, const std::string& word,
            const std::vector<std::string>& allowed) {
  if (std::find(allowed.begin(), allowed.end(), word) == allowed.end()) {
    throw BadInput(
        fmt::format("{}: '{}': expected one of {}", flag, word, fmt::join(allowed, ", ")));
  }
}

}  // namespace trainmeter
