// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From the command in a header and the time of a session's last row.
#include "report/cut_short.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace trainmeter {
namespace {

// Stamps are whole seconds, and a line is synced to the disk before the clock is read again.
constexpr double kSlack_s = 3;

std::optional<double> number(std::string_view text) {
  double out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

std::optional<double> max_seconds(const std::vector<std::string>& command) {
  constexpr std::string_view kFlag = "--max_seconds";
  for (std::size_t i = 0; i < command.size(); ++i) {
    const std::string_view word = command[i];
    if (!word.starts_with(kFlag)) continue;
    const std::string_view rest = word.substr(kFlag.size());
    if (rest.starts_with("=")) return number(rest.substr(1));
    if (rest.empty() && i + 1 < command.size()) return number(command[i + 1]);
  }
  return std::nullopt;
}

std::optional<double> seconds_since_1970(const std::string& stamp) {
  std::tm time{};
  const char* const end = ::strptime(stamp.c_str(), "%Y-%m-%dT%H:%M:%SZ", &time);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return static_cast<double>(::timegm(&time));
}

}  // namespace

std::vector<bool> sessions_cut_short(const Record& record) {
  std::vector<std::string> last(record.headers.size());
  for (const Line& line : record.lines)
    last[line.session] = std::max(last[line.session], line.measurement.at);
  std::vector<bool> out;
  for (std::size_t i = 0; i < record.headers.size(); ++i) {
    const Header& header = record.headers[i];
    const auto most = max_seconds(header.command);
    const auto begin = seconds_since_1970(header.started_at), end = seconds_since_1970(last[i]);
    out.push_back(most && begin && end && *most - kSlack_s <= *end - *begin);
  }
  return out;
}

}  // namespace trainmeter
