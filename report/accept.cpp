// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The statistics of an acceptance: robust distances below the fleet's median, one-sided, with the
// false alarms of a whole fleet bounded (Bonferroni). docs/accepting.md derives them.
#include "report/accept.hpp"

#include "record/error.hpp"
#include "record/statistics.hpp"
#include "report/spread.hpp"

#include <boost/math/distributions/students_t.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

constexpr double kMadEfficiency = 0.37;  // of the MAD, against the standard deviation
constexpr double kMayLack = 0.25;        // what more nodes than this lack is no loss
constexpr std::size_t kLeastNodes = 5;   // to say what a node lacks

// How far one part is below the others, in one case or over a group of cases.
struct Shortfall {
  std::size_t part = 0;  // its number; of kind "network" that of a node
  double below = 0;      // log of the median rate / its own
};

// Those that are compared with each other.
struct Population {
  std::string kind, what;
  std::vector<Shortfall> members;
  double spread = 0;

  [[nodiscard]] bool large_enough() const { return members.size() >= kLeastParts; }
};

// The spread of the slower half alone: what the faster half does, a cut-off by a power limit or a
// partner say, tells nothing of how slow a good part may be.
double spread_below(const std::vector<Shortfall>& members) {
  std::vector<double> below;
  for (const Shortfall& one : members) {
    if (one.below >= 0) below.push_back(one.below);
  }
  return std::max(kNormalMad * median(below), std::sqrt(kLeastVariance));
}

Population centred(Population population) {
  std::vector<double> values;
  values.reserve(population.members.size());
  for (const Shortfall& one : population.members) values.push_back(one.below);
  const double middle = median(values);
  for (Shortfall& one : population.members) one.below -= middle;
  population.spread = spread_below(population.members);
  return population;
}

std::vector<Population> single_cases(const FleetFacts& facts) {
  std::vector<Population> out;
  for (const FleetFacts::Case& c : facts.cases) {
    Population population{"single cases", c.title, {}};
    for (const auto& [part, rates] : c.log_rates)
      population.members.push_back({part, -median(rates)});
    out.push_back(centred(std::move(population)));
  }
  return out;
}

// What a node's network can do is what it reached with its best partner: those whose nodes were in
// enough pairs.
Population networks_of(const FleetFacts& facts, const Population& pairs) {
  std::map<std::size_t, std::vector<double>> by_node;
  for (const Shortfall& one : pairs.members) {
    by_node[facts.parts[one.part].node].push_back(one.below);
    by_node[facts.parts[one.part].partner].push_back(one.below);
  }
  Population out{"network", "network", {}};
  for (const auto& [node, below] : by_node) {
    if (below.size() >= kLeastPairs) out.members.push_back({node, std::ranges::min(below)});
  }
  return out;
}

// What a pair lacks besides what its slower node lacks anyway.
void take_out_networks(const FleetFacts& facts, Population& pairs, const Population& networks) {
  std::map<std::size_t, double> known;
  for (const Shortfall& node : networks.members) known[node.part] = node.below;
  for (Shortfall& one : pairs.members) {
    const auto node = known.find(facts.parts[one.part].node);
    const auto partner = known.find(facts.parts[one.part].partner);
    if (node != known.end() && partner != known.end())
      one.below -= std::max(node->second, partner->second);
  }
}

// Each part by the median over its cases, kind by kind; and each node's network.
std::vector<Population> by_group(const FleetFacts& facts, const std::vector<Population>& single) {
  std::map<std::string, std::map<std::size_t, std::vector<double>>> groups;
  for (std::size_t c = 0; c < single.size(); ++c) {
    const std::string& group = facts.cases[c].group;
    for (const Shortfall& one : single[c].members) groups[group][one.part].push_back(one.below);
  }
  std::vector<Population> out;
  for (const auto& [group, shortfalls] : groups) {
    Population population{group, group, {}};
    for (const auto& [part, below] : shortfalls)
      population.members.push_back({part, median(below)});
    if (group == "network") {
      population.kind = population.what = "pairs";
      Population networks = networks_of(facts, population);
      take_out_networks(facts, population, networks);
      if (!networks.members.empty()) out.push_back(centred(std::move(networks)));
    }
    out.push_back(centred(std::move(population)));
  }
  return out;
}

// A case that is the only one of its part in its group was compared with the group.
void leave_out_the_only_ones(const FleetFacts& facts, std::vector<Population>& single) {
  std::map<std::pair<std::string, std::size_t>, int> cases;
  for (std::size_t c = 0; c < single.size(); ++c) {
    for (const Shortfall& one : single[c].members) ++cases[{facts.cases[c].group, one.part}];
  }
  for (std::size_t c = 0; c < single.size(); ++c) {
    std::erase_if(single[c].members, [&](const Shortfall& one) {
      return cases[{facts.cases[c].group, one.part}] == 1;
    });
  }
}

// How far below the median, in spreads, one of `parts` alike ones falls with probability `p`.
double limit_of(std::size_t parts, double p) {
  const auto n = static_cast<double>(parts);
  const boost::math::students_t t(kMadEfficiency * (n / 2 - 1));  // the slower half
  return boost::math::quantile(boost::math::complement(t, p)) * std::sqrt(1 + kMedianVariance / n);
}

struct Findings {
  std::vector<std::vector<Reason>> nodes, parts;  // by number
  std::vector<bool> node_judged, part_judged;
};

// Compares the populations of one kind, which share `false_alarms`.
ComparedKind compare_kind(const FleetFacts& facts, const std::vector<const Population*>& kind,
                          double false_alarms, Findings& findings) {
  ComparedKind out{kind.front()->kind};
  for (const Population* p : kind) out.comparisons += p->members.size();
  std::vector<double> spreads, limits;
  const bool of_nodes = out.kind == "network";
  for (const Population* population : kind) {
    const double reach =
        population->spread *
        limit_of(population->members.size(), false_alarms / static_cast<double>(out.comparisons));
    const double limit = std::max(reach, -std::log1p(-facts.rules.tolerance));
    spreads.push_back(population->spread);
    limits.push_back(limit);
    for (const Shortfall& one : population->members) {
      auto& judged = of_nodes ? findings.node_judged : findings.part_judged;
      judged[one.part] = true;
      if (one.below <= limit) continue;
      Reason reason{of_nodes ? "network" : facts.parts[one.part].name, "slow",
                    fmt::format("{}: {:.1f} % below the median, limit {:.1f} %", population->what,
                                -100 * std::expm1(-one.below), -100 * std::expm1(-limit))};
      (of_nodes ? findings.nodes : findings.parts)[one.part].push_back(std::move(reason));
    }
  }
  out.spread = median(spreads);
  out.limit = -std::expm1(-median(limits));
  return out;
}

std::vector<ComparedKind> compare_all(const FleetFacts& facts, Findings& findings) {
  std::vector<Population> all = single_cases(facts);
  const std::vector<Population> groups = by_group(facts, all);
  leave_out_the_only_ones(facts, all);
  all.insert(all.end(), groups.begin(), groups.end());
  std::map<std::string, std::vector<const Population*>> kinds;
  for (const Population& population : all) {
    if (population.large_enough()) kinds[population.kind].push_back(&population);
  }
  std::vector<ComparedKind> out;
  for (const auto& [name, populations] : kinds) {
    out.push_back(compare_kind(facts, populations,
                               facts.rules.false_alarms / static_cast<double>(kinds.size()),
                               findings));
  }
  return out;
}

// What three quarters of the nodes have measured on more parts.
void find_missing(const FleetFacts& facts, Findings& findings) {
  if (facts.nodes.size() < kLeastNodes) return;
  for (const FleetFacts::Case& c : facts.cases) {
    if (c.group == "network") continue;
    std::vector<double> parts(facts.nodes.size(), 0);
    for (const auto& [part, rates] : c.log_rates) ++parts[facts.parts[part].node];
    const double usual = std::floor(quantile(parts, kMayLack));
    for (std::size_t node = 0; node < parts.size(); ++node) {
      if (parts[node] >= usual) continue;
      findings.nodes[node].push_back(
          {"node", "missing",
           fmt::format("{}: measured on {} of {}", c.title, parts[node], usual)});
    }
  }
}

std::string verdict(const std::vector<Reason>& reasons, bool judged) {
  if (!reasons.empty()) return "fail";
  return judged ? "pass" : "cannot_tell";
}

void add_nodes(Acceptance& out, const FleetFacts& facts, Findings& findings) {
  std::vector<std::vector<Reason>> reasons(facts.nodes.size());
  for (std::size_t p = 0; p < facts.parts.size(); ++p) {
    const FleetFacts::Part& part = facts.parts[p];
    if (part.node != part.partner) continue;
    reasons[part.node].insert(reasons[part.node].end(), findings.parts[p].begin(),
                              findings.parts[p].end());
    if (findings.part_judged[p]) findings.node_judged[part.node] = true;
  }
  for (std::size_t node = 0; node < facts.nodes.size(); ++node) {
    std::vector<Reason>& all = reasons[node];
    all.insert(all.end(), findings.nodes[node].begin(), findings.nodes[node].end());
    out.nodes.push_back(
        {facts.nodes[node], verdict(all, findings.node_judged[node]), std::move(all)});
  }
}

void add_links(Acceptance& out, const FleetFacts& facts, const Findings& findings) {
  for (std::size_t p = 0; p < facts.parts.size(); ++p) {
    const FleetFacts::Part& part = facts.parts[p];
    if (part.node == part.partner) continue;
    out.links.push_back({facts.nodes[part.node] + " - " + facts.nodes[part.partner],
                         verdict(findings.parts[p], findings.part_judged[p]), findings.parts[p]});
  }
}

std::vector<std::string> notes_on(const FleetFacts& facts, const Acceptance& out) {
  std::vector<std::string> notes;
  std::size_t most = 0;
  for (const FleetFacts::Case& c : facts.cases) most = std::max(most, c.log_rates.size());
  if (out.kinds.empty()) {
    notes.push_back(
        fmt::format("to compare a case, {} parts needed, {} there: floors and failures alone count",
                    kLeastParts, most));
  } else if (!out.judged_all()) {
    notes.push_back(fmt::format(
        "who can't be judged measured nothing that {} parts did, and no floor is about it",
        kLeastParts));
  }
  if (facts.rules.floors.empty()) notes.emplace_back("no floors: what all nodes lose isn't seen");
  return notes;
}

}  // namespace

bool Acceptance::failed() const {
  const auto fails = [](const Judged& j) { return j.verdict == "fail"; };
  return std::ranges::any_of(nodes, fails) || std::ranges::any_of(links, fails);
}

bool Acceptance::judged_all() const {
  const auto is = [](const Judged& j) { return j.verdict != "cannot_tell"; };
  return std::ranges::all_of(nodes, is) && std::ranges::all_of(links, is);
}

Acceptance accept(const FleetFacts& facts) {
  if (facts.parts.empty()) throw BadInput("no record has a measurement");
  check_floors_are_used(facts);
  Findings findings;
  findings.nodes.resize(facts.nodes.size());
  findings.node_judged.resize(facts.nodes.size());
  for (const FleetFacts::Part& part : facts.parts) findings.parts.push_back(part.reasons);
  findings.part_judged.resize(facts.parts.size());
  for (const auto& [part, reasons] : held_against_floors(facts)) {
    findings.parts[part].insert(findings.parts[part].end(), reasons.begin(), reasons.end());
    findings.part_judged[part] = true;
  }
  Acceptance out;
  out.rules = facts.rules;
  out.kinds = compare_all(facts, findings);
  find_missing(facts, findings);
  add_nodes(out, facts, findings);
  add_links(out, facts, findings);
  std::ranges::sort(out.nodes, {}, &Judged::name);
  std::ranges::sort(out.links, {}, &Judged::name);
  out.notes = notes_on(facts, out);
  return out;
}

}  // namespace trainmeter
