// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// nvbandwidth's JSON (version 0.8) and Google Benchmark's.
#include "record/error.hpp"
#include "record/names.hpp"
#include "record/strict_json.hpp"
#include "record/text_limits.hpp"
#include "report/import.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <regex>
#include <sstream>

namespace trainmeter {
namespace {

std::optional<double> number(const nlohmann::json& cell) {  // "12.3", 12.3; not "N/A"
  double value = 0;
  if (cell.is_number()) {
    value = cell.get<double>();
  } else if (cell.is_string()) {
    const auto& text = cell.get_ref<const std::string&>();
    const std::size_t begin = text.find_first_not_of(' ');
    if (begin == std::string::npos) return std::nullopt;
    const char* const end = text.data() + text.size();
    const auto [stop, failed] = std::from_chars(text.data() + begin, end, value);
    if (failed != std::errc{} || std::any_of(stop, end, [](char c) { return c != ' '; })) {
      return std::nullopt;
    }
  } else {
    return std::nullopt;
  }
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

// What a test of nvbandwidth moves, from its description: "memcpy CE GPU(row) <- GPU(column)
// bandwidth (GB/s)".
struct Direction {
  bool from_host = false, to_host = false;
  bool to_row = false;  // the arrow points to the row
};

std::optional<Direction> direction_of(const std::string& name, const std::string& description) {
  static const std::regex kOneWay(
      "(device_to_device_memcpy_(read|write)|host_to_device_memcpy|"
      "device_to_host_memcpy)_(ce|sm)");
  static const std::regex kArrow(
      "(CPU|GPU)\\((row|column)s?\\) (<-|->) (CPU|GPU)\\((row|column)s?\\) bandwidth \\(GB/s\\)");
  constexpr std::size_t kLongest = 200;
  std::smatch found;
  if (name.size() > kLongest || description.size() > kLongest || !std::regex_match(name, kOneWay) ||
      !std::regex_search(description, found, kArrow) || found[2] == found[5]) {
    return std::nullopt;
  }
  const bool to_first = found[3] == "<-";
  Direction out;
  out.to_host = found[to_first ? 1 : 4] == "CPU";
  out.from_host = found[to_first ? 4 : 1] == "CPU";
  out.to_row = found[to_first ? 2 : 5] == "row";
  return out;
}

Measurement transfer(const Direction& direction, bool by_sms, std::size_t row, std::size_t column,
                     double GBps) {
  Measurement m;
  const auto to = static_cast<std::int64_t>(direction.to_row ? row : column);
  const auto from = static_cast<std::int64_t>(direction.to_row ? column : row);
  m.operation = "peer_copy";
  if (direction.from_host) m.operation = "host_to_device";
  if (direction.to_host) m.operation = "device_to_host";
  m.dtype = kUnknown;
  m.backend = by_sms ? "cuda" : "copy_engine";
  m.name = fmt::format("{}/{}/{}", m.operation, m.dtype, m.backend);
  const auto add = [&](const char* key, std::int64_t value) {
    m.shape[key] = value;
    m.name += fmt::format("/{}:{}", key, value);
  };
  if (!direction.from_host) add("from", from);
  if (!direction.to_host) add("to", to);
  if (m.operation == "peer_copy") add("ways", 1);
  m.check = kUnknown;
  m.bytes = GBps * 1e9;
  m.time_s = {1};
  m.notes["time"] = "only a rate is known: the bytes of one second";
  return m;
}

// "0: NVIDIA H100 80GB HBM3 (00000000:04:00): (node-1)": the name alone, as drivers have it, and
// the host (older versions print none).
struct ListedDevice {
  std::string name, host;
};

ListedDevice device_of(const std::string& printed) {
  ListedDevice out{.name = printed, .host = ""};
  constexpr std::string_view kBeforeHost = "): (";
  if (const std::size_t host = printed.rfind(kBeforeHost);
      host != std::string::npos && printed.ends_with(')')) {
    const std::size_t begin = host + kBeforeHost.size();
    out.host = printed.substr(begin, printed.size() - 1 - begin);
    out.name = printed.substr(0, host + 1);
  }
  const std::size_t digits = out.name.find_first_not_of("0123456789");
  const std::size_t bus = out.name.rfind(" (");
  if (digits == 0 || digits == std::string::npos || out.name.compare(digits, 2, ": ") != 0 ||
      bus == std::string::npos || bus <= digits + 2 || !out.name.ends_with(')')) {
    return out;
  }
  out.name = out.name.substr(digits + 2, bus - digits - 2);
  return out;
}

void import_matrix(StrictObject& test, const std::string& where, Imported& to) {
  const std::string name = test.text("name");
  const auto leave_out = [&](const std::string& why) {
    to.left_out.push_back(fmt::format("{}: {}: {}", where, name, why));
  };
  const std::string status = test.has("status") ? test.text("status") : "Passed";
  if (status != "Passed") return leave_out("status " + status);
  if (!test.has("bandwidth_description") || !test.has("bandwidth_matrix")) {
    return leave_out("no matrix");
  }
  const auto direction = direction_of(name, test.text("bandwidth_description"));
  if (!direction) return leave_out("no counterpart in a record");
  const nlohmann::json& matrix = test.raw("bandwidth_matrix");
  if (!matrix.is_array()) test.refuse("bandwidth_matrix", "a list of rows");
  std::size_t none = 0;
  std::string first;
  for (std::size_t row = 0; row < matrix.size(); ++row) {
    if (!matrix[row].is_array()) test.refuse("bandwidth_matrix", "a list of rows");
    for (std::size_t column = 0; column < matrix[row].size(); ++column) {
      const nlohmann::json& cell = matrix[row][column];
      if (row == column && cell == "N/A") continue;  // a device and itself
      const auto GBps = number(cell);
      constexpr double kMost = 1e9;
      if (!GBps || !(*GBps > 0 && *GBps < kMost)) {
        if (none++ == 0) first = fmt::format("row {}, column {}: {}", row, column, cell.dump());
        continue;
      }
      to.rows.push_back(transfer(*direction, name.ends_with("_sm"), row, column, *GBps));
    }
  }
  if (none > 0)
    leave_out(
        fmt::format("cells without a bandwidth: {}, the first in {}", none, shortened(first)));
}

// "2.30 s": Google Benchmark's units of time.
double seconds_of(StrictObject& row) {
  static const std::map<std::string, double> kUnits = {
      {"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}};
  const std::string unit =
      row.has("time_unit") ? row.one_of("time_unit", {"ns", "us", "ms", "s"}) : "ns";
  return row.non_negative("real_time") * kUnits.at(unit);
}

// Operation, element type, backend and sizes of a name as ours are: gemm/fp32/onednn/m:64/n:64.
// False, and no more than the name taken, for others, and for collectives: how many ranks there
// were isn't in it.
bool take_our_name(const std::string& name, Measurement& m) {
  std::istringstream in(name);
  std::vector<std::string> parts;
  for (std::string part; std::getline(in, part, '/');) parts.push_back(part);
  if (parts.size() < 4 ||
      std::ranges::find(operation_names(), parts[0]) == operation_names().end() ||
      std::ranges::find(dtype_names(), parts[1]) == dtype_names().end()) {
    return false;
  }
  m.name = name.substr(0, name.find("/iterations:"));
  if (std::ranges::find(collective_names(), parts[0]) != collective_names().end()) return false;
  std::map<std::string, std::int64_t> shape;
  for (std::size_t i = 3; i < parts.size(); ++i) {
    const std::size_t colon = parts[i].find(':');
    if (colon == std::string::npos) continue;
    const std::string key = parts[i].substr(0, colon);
    const std::string_view digits = std::string_view(parts[i]).substr(colon + 1);
    std::int64_t value = 0;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    constexpr std::int64_t kMost = std::int64_t{1} << 52;
    if (key == "iterations" || failed != std::errc{} || end != digits.data() + digits.size() ||
        value < 1 || value > kMost) {
      continue;
    }
    shape[key] = value;
  }
  m.operation = parts[0];
  m.dtype = parts[1];
  m.backend = parts[2];
  m.shape = shape;
  return true;
}

}  // namespace

void import_nvbandwidth(const nlohmann::json& json, const std::string& where, Imported& to) {
  StrictObject top = StrictObject(json, where).object("nvbandwidth");
  Header& header = to.header;
  header.program = "nvbandwidth";
  if (top.has("git_version")) header.version = top.text("git_version");
  for (const char* key : {"Driver Version", "error", "warning"}) {
    if (top.has(key) && top.raw(key).is_string()) header.device.details[key] = top.text(key);
  }
  if (const auto error = header.device.details.find("error"); error != header.device.details.end())
    to.left_out.push_back(
        fmt::format("{}: nvbandwidth says: {}", where, shortened(error->second, 200)));
  if (top.has("GPU Device list")) {
    const std::vector<std::string> devices = top.texts("GPU Device list");
    if (!devices.empty()) {
      const ListedDevice first = device_of(devices.front());
      header.device.name = first.name;
      if (!first.host.empty()) header.host = first.host;
    }
    header.device.count = std::max<std::int64_t>(1, static_cast<std::int64_t>(devices.size()));
  }
  for (StrictObject& test : top.objects("testcases")) import_matrix(test, where, to);
}

void import_google(const nlohmann::json& json, const std::string& where, Imported& to) {
  StrictObject top(json, where);
  Header& header = to.header;
  header.program = "google-benchmark";
  header.device.kind = "cpu";  // its host's, whatever the benchmark measured
  if (top.has("context")) {
    StrictObject context = top.object("context");
    if (context.has("host_name")) header.host = context.text("host_name");
    if (context.has("library_version")) header.version = context.text("library_version");
    if (context.has("date")) header.device.details["date"] = context.text("date");
    if (context.has("library_build_type")) {
      header.device.details["library_build_type"] = context.text("library_build_type");
    }
    if (context.has("num_cpus")) header.device.sms = context.count("num_cpus");
  }
  for (StrictObject& row : top.objects("benchmarks")) {
    const std::string name = row.text("name");
    if (row.has("run_type") && row.text("run_type") != "iteration") continue;  // mean, stddev, ...
    Measurement m;
    m.name = row.has("run_name") ? row.text("run_name") : name;
    m.operation = m.dtype = m.backend = kUnknown;
    (void)take_our_name(m.name, m);
    m.check = kUnknown;
    if (row.has("repetition_index")) {
      m.repetition = row.integer("repetition_index");
      if (m.repetition < 0) row.refuse("repetition_index", "a whole number of at least 0");
    }
    const bool failed = row.has("error_occurred") && row.boolean("error_occurred");
    const bool skipped = row.has("skipped") && row.boolean("skipped");
    if (failed || skipped) {
      const char* const key = failed ? "error_message" : "skip_message";
      m.failure = row.has(key) ? row.text(key) : "";
      if (m.failure.empty()) m.failure = kUnknown;
      to.rows.push_back(std::move(m));
      continue;
    }
    const double seconds =
        row.has("real_time") && row.raw("real_time").is_number() ? seconds_of(row) : 0;  // NaN
    if (!(seconds > 0)) {
      to.left_out.push_back(fmt::format("{}: {}: no time", where, m.name));
      continue;
    }
    m.time_s = {seconds};
    m.runs_per_sample = row.count("iterations");
    if (row.has("bytes_per_second") && row.raw("bytes_per_second").is_number()) {
      m.bytes = row.non_negative("bytes_per_second") * seconds;
      if (!std::isfinite(m.bytes)) row.refuse("bytes_per_second", "a rate");
    }
    if (row.has("label") && row.raw("label").is_string()) m.notes["label"] = row.text("label");
    to.rows.push_back(std::move(m));
  }
}

}  // namespace trainmeter
