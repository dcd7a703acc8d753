// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which nodes measured less than those that are built like them: a device is lost, or a program
// ended before it had done its cases.
#include "report/accept.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

constexpr double kMayLack = 0.25;       // what more nodes than this lack is no loss
constexpr std::size_t kLeastNodes = 5;  // to say what one of them lacks, or how they are built
constexpr std::size_t kShownNodes = 8;

// Nodes with so many devices of one model, or that had so many before they lost some.
struct Build {
  DeviceModel model;
  std::size_t devices = 0;
  std::vector<std::size_t> nodes;
};

// What three quarters of them have.
std::size_t usual(std::vector<std::size_t> counts) {
  std::ranges::sort(counts);
  return counts[static_cast<std::size_t>(
      std::floor(static_cast<double>(counts.size()) * kMayLack))];
}

bool has_any(const FleetFacts& facts, std::size_t node, const std::string& kind) {
  return std::ranges::any_of(facts.devices[node],
                             [&](const auto& its) { return its.first.kind == kind; });
}

// The nodes of each model. Those that measured no device of a kind at all had one of its commonest.
std::map<DeviceModel, std::vector<std::size_t>> nodes_by_model(const FleetFacts& facts) {
  std::map<DeviceModel, std::vector<std::size_t>> out;
  for (std::size_t node = 0; node < facts.nodes.size(); ++node) {
    for (const auto& [model, parts] : facts.devices[node]) out[model].push_back(node);
  }
  std::map<std::string, DeviceModel> commonest;
  for (const auto& [model, nodes] : out) {
    const auto found = commonest.find(model.kind);
    if (found == commonest.end() || out[found->second].size() < nodes.size())
      commonest[model.kind] = model;
  }
  for (const auto& [kind, model] : commonest) {
    for (std::size_t node = 0; node < facts.nodes.size(); ++node) {
      if (!has_any(facts, node, kind)) out[model].push_back(node);
    }
  }
  return out;
}

std::size_t devices_of(const FleetFacts& facts, std::size_t node, const DeviceModel& model) {
  const auto found = facts.devices[node].find(model);
  return found == facts.devices[node].end() ? 0 : found->second.size();
}

// A lost GPU looks like a node that was built with one less. So another number than the usual is
// one that nodes are built with only where several have it, and it is half or twice as large, or
// farther: one GPU is lost much more often than half of them, on several nodes alike.
std::vector<Build> builds_of(const FleetFacts& facts, const DeviceModel& model,
                             const std::vector<std::size_t>& nodes) {
  std::vector<std::size_t> counts;
  std::map<std::size_t, std::size_t> having;
  for (const std::size_t node : nodes) {
    const std::size_t devices = devices_of(facts, node, model);
    counts.push_back(devices);
    ++having[devices];
  }
  std::map<std::size_t, Build> builds;
  const std::size_t most = usual(counts);
  builds[most];
  for (const auto& [devices, how_many] : having) {
    const bool apart = 2 * devices <= most || devices >= 2 * most;
    if (devices > 0 && most > 0 && apart && how_many >= kLeastNodes) builds[devices];
  }
  for (const std::size_t node : nodes) {
    const auto least = builds.lower_bound(devices_of(facts, node, model));
    (least == builds.end() ? std::prev(least) : least)->second.nodes.push_back(node);
  }
  std::vector<Build> out;
  for (auto& [devices, build] : builds) out.push_back({model, devices, std::move(build.nodes)});
  return out;
}

std::map<DeviceModel, std::vector<Build>> builds_of(const FleetFacts& facts) {
  std::map<DeviceModel, std::vector<Build>> out;
  for (const auto& [model, nodes] : nodes_by_model(facts))
    out[model] = builds_of(facts, model, nodes);
  return out;
}

// A case, among nodes that are built alike and were given the time for it.
void find_without(const FleetFacts& facts, const FleetFacts::Case& c, const Build& build,
                  const std::vector<bool>& lost, std::vector<Standing>& nodes) {
  std::map<std::size_t, std::size_t> parts;
  for (const std::size_t node : build.nodes) {
    if (!facts.cut_short.contains({node, c.program})) parts[node] = 0;
  }
  if (parts.size() < kLeastNodes) return;
  for (const auto& [part, rates] : c.log_rates) {
    if (const auto found = parts.find(facts.parts[part].node); found != parts.end())
      ++found->second;
  }
  std::vector<std::size_t> counts;
  for (const auto& [node, count] : parts) counts.push_back(count);
  const std::size_t expected = usual(counts);
  for (const auto& [node, count] : parts) {
    if (lost[node] || count >= expected) continue;
    nodes[node].reasons.push_back(
        {"node", "missing", fmt::format("{}: measured on {} of {}", c.title, count, expected)});
  }
}

std::string names_of(const FleetFacts& facts, const std::vector<std::size_t>& nodes) {
  std::vector<std::string> names;
  for (const std::size_t node : nodes) names.push_back(facts.nodes[node]);
  std::ranges::sort(names);
  const std::size_t more = names.size() - std::min(names.size(), kShownNodes);
  names.resize(names.size() - more);
  const std::string out = fmt::format("{}", fmt::join(names, ", "));
  return more == 0 ? out : fmt::format("{} and {} more", out, more);
}

std::string so_many_nodes(std::size_t nodes) {
  return fmt::format("{} node{}", nodes, nodes == 1 ? "" : "s");
}

// Names all but those of the build that most nodes have.
std::string several_builds(const FleetFacts& facts, const std::vector<Build>& builds) {
  const auto size = [](const Build& build) { return build.nodes.size(); };
  const Build& most = *std::ranges::max_element(builds, {}, size);
  std::vector<std::string> out;
  for (const Build& build : builds) {
    const bool named = &build != &most;
    out.push_back(fmt::format("{} ({})", build.devices,
                              named ? names_of(facts, build.nodes) : so_many_nodes(size(build))));
  }
  return fmt::format(
      "{}: nodes are taken to be built with {}; what one lacks is told from those of its own",
      builds.front().model.name, fmt::join(out, " or "));
}

}  // namespace

void find_missing(const FleetFacts& facts, std::vector<Standing>& nodes) {
  const auto builds = builds_of(facts);
  std::vector<bool> lost(facts.nodes.size());  // its cases are missing with it
  for (const auto& [model, alike] : builds) {
    for (const Build& build : alike) {
      if (build.nodes.size() < kLeastNodes) continue;
      for (const std::size_t node : build.nodes) {
        const std::size_t has = devices_of(facts, node, model);
        if (has >= build.devices) continue;
        lost[node] = true;
        nodes[node].reasons.push_back(
            {"node", "missing",
             fmt::format("{}: measured on {} of {}", model.name, has, build.devices)});
      }
    }
  }
  for (const FleetFacts::Case& c : facts.cases) {
    if (c.group == "network") continue;
    for (const Build& build : builds.at(c.model)) find_without(facts, c, build, lost, nodes);
  }
}

std::vector<std::string> notes_on_models(const FleetFacts& facts) {
  std::vector<std::string> out;
  std::map<std::string, std::vector<std::string>> models;
  for (const auto& [model, builds] : builds_of(facts)) {
    std::size_t nodes = 0;
    for (const Build& build : builds) nodes += build.nodes.size();
    models[model.kind].push_back(fmt::format("{} ({})", model.name, so_many_nodes(nodes)));
    if (builds.size() > 1) out.push_back(several_builds(facts, builds));
  }
  for (const auto& [kind, names] : models) {
    if (names.size() < 2) continue;
    out.push_back(fmt::format("{} models of a {}: {}; each is compared with its own alone",
                              names.size(), kind, fmt::join(names, "; ")));
  }
  return out;
}

}  // namespace trainmeter
