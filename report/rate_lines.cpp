// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Lines of one case, told apart by the device they were measured on.
#include "report/rate_lines.hpp"

#include "report/cases.hpp"
#include "report/rates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace trainmeter {

std::vector<RateLine> rate_lines(const std::vector<const Record*>& records) {
  std::vector<RateLine> lines;
  std::set<std::string> with_blocks;  // devices
  for (const Record* record : records) {
    for (const Line& line : record->lines) {
      const Measurement& m = line.measurement;
      if (!gives_rate(m, record->header_of(line)) || m.notes.contains("hosts")) continue;
      lines.push_back({record, &line});
      if (m.scaling == "block128") with_blocks.insert(record->header_of(line).device.name);
    }
  }
  std::erase_if(lines, [&](const RateLine& of) {
    return of.line->measurement.scaling == "tensor" &&
           with_blocks.contains(of.record->header_of(*of.line).device.name);
  });
  return lines;
}

std::vector<RateLine> rate_lines(const std::vector<Record>& records) {
  std::vector<const Record*> all;
  for (const Record& record : records) all.push_back(&record);
  return rate_lines(all);
}

namespace {

// Equal for lines of one case, on whichever device of one model and size.
std::string key_of(const RateLine& of) {
  const Measurement& m = of.line->measurement;
  const std::optional<Measurement> on_any = on_any_device(m);
  const Header& header = of.record->header_of(*of.line);
  return fmt::format("{}\n{}\n{}\n{}\n{}", case_key(on_any ? *on_any : m, header),
                     header.device.name, header.device.sms, header.discipline.regime,
                     header.discipline.cache);
}

struct Rated {
  double rate = 0;
  std::size_t at = 0;  // in the list of lines

  bool operator<(const Rated& other) const {
    return std::pair(rate, at) < std::pair(other.rate, other.at);
  }
};

// By device, of each case.
using Cases = std::map<std::string, std::map<std::string, Rated>>;

Cases by_device(const std::vector<RateLine>& lines) {
  std::map<std::string, std::map<std::string, std::vector<Rated>>> all;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Measurement& m = lines[i].line->measurement;
    const Header& header = lines[i].record->header_of(*lines[i].line);
    // Without a uuid, as on a CPU, devices of one name are taken for one.
    all[key_of(lines[i])][device_of(m, header)].push_back({rate_of(m, header), i});
  }
  Cases out;
  for (auto& [key, devices] : all) {
    for (auto& [device, rated] : devices) {
      std::ranges::sort(rated, std::less<>());
      const bool ceiling = lines[rated.front().at].line->measurement.operation == "fma";
      out[key][device] = ceiling ? rated.back() : rated[(rated.size() - 1) / 2];
    }
  }
  return out;
}

// With the device it is of.
using OfDevice = std::pair<const std::string, Rated>;

const OfDevice& slowest_of(const std::map<std::string, Rated>& devices) {
  return *std::ranges::min_element(
      devices, [](const OfDevice& a, const OfDevice& b) { return a.second < b.second; });
}

}  // namespace

std::vector<RateLine> one_a_case(const std::vector<RateLine>& lines) {
  std::set<std::size_t> chosen;
  for (const auto& [key, devices] : by_device(lines)) chosen.insert(slowest_of(devices).second.at);
  std::vector<RateLine> out;
  for (const std::size_t at : chosen) out.push_back(lines[at]);
  return out;
}

bool DevicesApart::differ() const {
  constexpr double kAlike = 0.05;
  return !(below < kAlike);
}

std::string DevicesApart::shown() const {
  return fmt::format(
      "{} {}; the slowest ({}) is {:.1f} % below the fastest at {}: of each case the slowest one's "
      "rate is taken",
      devices, kind == "gpu" ? "GPUs" : "devices", slowest, below * 100, at);
}

std::optional<DevicesApart> devices_apart(const std::vector<Record>& records) {
  std::vector<RateLine> lines = rate_lines(records);
  std::erase_if(lines,
                [](const RateLine& of) { return is_collective(of.line->measurement.operation); });
  std::set<std::string> devices;
  DevicesApart out{.below = -1};
  for (const auto& [key, rated] : by_device(lines)) {
    if (rated.size() < 2) continue;
    for (const auto& [device, rate] : rated) devices.insert(device);
    const auto& [device, slowest] = slowest_of(rated);
    double fastest = 0;
    for (const auto& [name, rate] : rated) fastest = std::max(fastest, rate.rate);
    const double below = 1 - slowest.rate / fastest;
    if (!(out.below < below)) continue;
    const RateLine& of = lines[slowest.at];
    out.kind = of.record->header_of(*of.line).device.kind;
    out.at = of.line->measurement.name;
    out.slowest = device;
    out.below = below;
  }
  if (devices.size() < 2) return std::nullopt;
  out.devices = devices.size();
  return out;
}

}  // namespace trainmeter
