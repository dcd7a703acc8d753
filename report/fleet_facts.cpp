// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From records to the facts of a fleet: which part of which node ran which case how fast.
#include "record/names.hpp"
#include "report/accept.hpp"
#include "report/cases.hpp"
#include "report/rates.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace trainmeter {
namespace {

std::string group_of(const Measurement& m) {
  if (m.notes.contains("hosts")) return "network";
  if (is_compute(m.operation)) return "compute";
  if (is_collective(m.operation)) return "collective";
  if (m.operation == "peer_copy") return "link";
  if (m.operation == "host_to_device" || m.operation == "device_to_host") return "transfer";
  return "memory";
}

// The two nodes of a measurement across nodes, the first and the last of more; else nothing.
std::vector<std::string> hosts_of(const Measurement& m) {
  const auto noted = m.notes.find("hosts");
  std::vector<std::string> out;
  if (noted == m.notes.end()) return out;
  std::istringstream words(noted->second);
  for (std::string word; words >> word;) out.push_back(word);
  std::ranges::sort(out);
  return out;
}

std::string device_name(const Header& header) {
  if (header.device.kind == "cpu") return "cpu";
  if (const auto uuid = header.device.details.find("uuid"); uuid != header.device.details.end())
    return "gpu " + uuid->second;
  const auto visible = header.environment.find("CUDA_VISIBLE_DEVICES");
  return visible == header.environment.end() ? "gpu" : "gpu " + visible->second;
}

std::string part_name(const Measurement& m, const Header& header, const std::string& group) {
  if (group == "network" || group == "collective") return group;
  if (group == "link" && m.shape.contains("from") && m.shape.contains("to"))
    return fmt::format("link {} -> {}", m.shape.at("from"), m.shape.at("to"));
  return device_name(header);
}

// The number of `key`; a new key gets the next one.
std::size_t numbered(std::unordered_map<std::string, std::size_t>& numbers,
                     const std::string& key) {
  return numbers.try_emplace(key, numbers.size()).first->second;
}

}  // namespace

void add_devices(DevicesByHost& devices, const Record& record) {
  for (const Header& header : record.headers)
    devices[{header.host, header.device.kind}].insert(header.device.name);
}

std::vector<std::string> mixed_hosts(const DevicesByHost& devices) {
  std::vector<std::string> out;
  for (const auto& [where, names] : devices) {
    if (names.size() < 2) continue;
    out.push_back(
        fmt::format("host '{}' is taken for one node, but has {} models of its {}: {}; records of "
                    "several machines of one name aren't told apart",
                    where.first, names.size(), where.second, fmt::join(names, ", ")));
  }
  return out;
}

std::size_t FleetFacts::node(const std::string& name) {
  const std::size_t number = numbered(node_numbers_, name);
  if (number == nodes.size()) nodes.push_back(name);
  return number;
}

std::size_t FleetFacts::part_of(const Measurement& m, const Header& header) {
  Part part;
  part.name = part_name(m, header, group_of(m));
  const std::vector<std::string> hosts = hosts_of(m);
  part.node = node(hosts.empty() ? header.host : hosts.front());
  part.partner = hosts.empty() ? part.node : node(hosts.back());
  const std::size_t number =
      numbered(part_numbers_, fmt::format("{}\n{}\n{}", part.node, part.partner, part.name));
  if (number == parts.size()) parts.push_back(std::move(part));
  return number;
}

void FleetFacts::add(const Record& record) {
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    const Header& header = record.header_of(line);
    const std::size_t number = part_of(m, header);
    Part& part = parts[number];
    const auto say = [&part](const char* kind, std::string text) {
      part.reasons.push_back({part.name, kind, std::move(text)});
    };
    if (!m.usable()) {
      for (std::size_t i = 0; i < rules.floors.size(); ++i) {
        if (is_about(rules.floors[i], m)) ++floor_uses[i];  // it fails anyway
      }
      say("failed", fmt::format("{}: {}", m.name, m.failure.empty() ? "not verified" : m.failure));
      continue;
    }
    for (const std::string& reason : m.throttle_reasons) {
      if (std::ranges::find(rules.throttle_reasons, reason) != rules.throttle_reasons.end())
        say("throttled", fmt::format("{}: {}", m.name, reason));
    }
    if (!gives_rate(m, header)) continue;
    const double rate = rate_of(m, header);
    for (std::size_t i = 0; i < rules.floors.size(); ++i) {
      const auto least = least_rate(rules.floors[i], rules, m);
      if (!least) continue;
      ++floor_uses[i];
      under_floors[{number, i, problem_key(m, header)}][m.backend].push_back(
          {m.name, m.operation, rate, *least});
    }
    if (!(rate > 0)) continue;  // no work was counted
    const std::size_t which = numbered(case_numbers_, case_key(m, header));
    if (which == cases.size())
      cases.push_back(
          {case_title(m, header), group_of(m), m.operation, m.dtype, m.backend, m.shape, {}});
    cases[which].log_rates[number].push_back(std::log(rate));
  }
}

}  // namespace trainmeter
