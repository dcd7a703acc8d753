// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From records to the facts of a fleet: which part of which node ran which case how fast.
#include "record/names.hpp"
#include "report/accept.hpp"
#include "report/cases.hpp"
#include "report/cut_short.hpp"
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

DeviceModel model_of(const Header& header) {
  const Device& device = header.device;
  return {device.kind, fmt::format("{}, {} {}", device.name, device.sms,
                                   device.kind == "cpu" ? "cores" : "SMs")};
}

struct PartName {
  std::string text;
  bool device = false;
};

// A failed row of --concurrent named no device once: all were in it.
PartName device_name(const Measurement& m, const Header& header) {
  const std::string& kind = header.device.kind;
  const bool of_all = header.device.details.contains("concurrent") && !m.notes.contains("device");
  if (of_all) return {"all devices at once"};
  if (const std::string device = device_of(m, header); !device.empty())
    return {kind + " " + device, true};
  const auto visible = header.environment.find("CUDA_VISIBLE_DEVICES");
  const bool named = kind != "cpu" && visible != header.environment.end();
  return {named ? kind + " " + visible->second : kind, true};
}

PartName part_name(const Measurement& m, const Header& header, const std::string& group) {
  if (group == "network" || group == "collective") return {group};
  if (group == "link" && m.shape.contains("from") && m.shape.contains("to"))
    return {fmt::format("link {} -> {}", m.shape.at("from"), m.shape.at("to"))};
  return device_name(m, header);
}

// A burst is faster than a long run.
std::string regime_ending(const Header& header) {
  const std::string& regime = header.discipline.regime;
  return regime.empty() ? "" : "/regime:" + regime;
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
  if (number == nodes.size()) {
    nodes.push_back(name);
    devices.emplace_back();
  }
  return number;
}

std::size_t FleetFacts::part_of(const Measurement& m, const Header& header) {
  Part part;
  PartName named = part_name(m, header, group_of(m));
  part.name = std::move(named.text);
  part.device = named.device;
  const std::vector<std::string> hosts = hosts_of(m);
  part.node = node(hosts.empty() ? header.host : hosts.front());
  part.partner = hosts.empty() ? part.node : node(hosts.back());
  const std::size_t number =
      numbered(part_numbers_, fmt::format("{}\n{}\n{}", part.node, part.partner, part.name));
  for (const std::size_t its : {part.node, part.partner}) {
    if (nodes[its] != header.host) continue;  // of a pair's other node the header says nothing
    std::set<std::size_t>& parts_of_model = devices[its][model_of(header)];
    if (part.device) parts_of_model.insert(number);
  }
  if (number == parts.size()) parts.push_back(std::move(part));
  return number;
}

std::size_t FleetFacts::case_of(const Measurement& m, const Header& header) {
  const std::string group = group_of(m);
  DeviceModel model = model_of(header);
  if (group == "network") model.name.clear();
  const std::string regime = regime_ending(header);
  const std::size_t number =
      numbered(case_numbers_,
               fmt::format("{}\n{}\n{}\n{}", model.kind, model.name, regime, case_key(m, header)));
  if (number == cases.size()) {
    cases.push_back({case_title(m, header) + regime,
                     group,
                     std::move(model),
                     header.program,
                     m.operation,
                     m.dtype,
                     m.backend,
                     m.shape,
                     {}});
  }
  return number;
}

void FleetFacts::add(const Record& record) {
  const std::vector<bool> cut = sessions_cut_short(record);
  for (const Line& line : record.lines) {
    const std::optional<Measurement> on_any = on_any_device(line.measurement);
    const Measurement& m = on_any ? *on_any : line.measurement;
    const Header& header = record.header_of(line);
    const std::size_t number = part_of(m, header);
    Part& part = parts[number];
    if (cut[line.session]) cut_short.insert({part.node, header.program});
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
      under_floors[{number, i, group_of(m), problem_key(m, header)}][m.backend].push_back(
          {m.name, m.operation, rate, *least});
    }
    if (!(rate > 0)) continue;  // no work was counted
    cases[case_of(m, header)].log_rates[number].push_back(std::log(rate));
  }
}

}  // namespace trainmeter
