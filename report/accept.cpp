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
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <tuple>

namespace trainmeter {
namespace {

constexpr double kMadEfficiency = 0.37;               // of the MAD, against the standard deviation
constexpr const char* kSingleCases = "single cases";  // these find faults, and vouch for nobody

constexpr double kPlenty = 4.6;  // spreads below the median that 4,096 parts fail at

// How far one part is below the others, in one case or over a group of cases.
struct Shortfall {
  std::size_t part = 0;  // its number; of kind "network" that of a node
  double below = 0;      // log of the median rate / its own
};

// Those that are compared with each other.
struct Population {
  std::string kind, what;
  std::string group, model;  // of their cases, and of their devices
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

// How far each one is below the median of the others. Below that of all, the one in the middle is
// its own measure: of three nodes a third would be no spread at all. Who is alone has no others.
Population among_others(Population population) {
  std::vector<Shortfall>& members = population.members;
  std::ranges::sort(members, {}, &Shortfall::below);
  std::vector<double> values;
  for (const Shortfall& one : members) values.push_back(one.below);
  if (values.size() < 2) members.clear();
  const std::size_t half = values.size() / 2;
  for (std::size_t i = 0; i < members.size(); ++i) {
    // Those in the middle of the others, which have the same order.
    const auto other = [&](std::size_t at) { return values[at < i ? at : at + 1]; };
    const bool even = values.size() % 2 == 0;
    members[i].below -= even ? other(half - 1) : (other(half - 1) + other(half)) / 2;
  }
  if (!members.empty()) population.spread = spread_below(members);
  return population;
}

// The models of a pair's nodes, as far as they are known: who is rank 0 says its own alone.
std::string models_of_pair(const FleetFacts& facts, const FleetFacts::Part& pair,
                           const std::string& kind) {
  std::set<std::string> names;
  for (const std::size_t node : {pair.node, pair.partner}) {
    for (const auto& [model, parts] : facts.devices[node]) {
      if (model.kind == kind) names.insert(model.name);
    }
  }
  return fmt::format("{}", fmt::join(names, " and "));
}

// One for each case, and each model of devices.
std::vector<Population> single_cases(const FleetFacts& facts) {
  std::vector<Population> out;
  for (const FleetFacts::Case& c : facts.cases) {
    std::map<std::string, std::vector<Shortfall>> by_model;
    std::vector<Shortfall>* members = c.group == "network" ? nullptr : &by_model[c.model.name];
    for (const auto& [part, rates] : c.log_rates) {
      if (c.group == "network")
        members = &by_model[models_of_pair(facts, facts.parts[part], c.model.kind)];
      members->push_back({part, -median(rates)});
    }
    for (auto& [model, its] : by_model)
      out.push_back(among_others({kSingleCases, c.title, c.group, model, std::move(its)}));
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
  Population out{"network", "network", "network", pairs.model, {}};
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
  using Key = std::pair<std::string, std::string>;  // group, model
  std::map<Key, std::map<std::size_t, std::vector<double>>> groups;
  for (const Population& one_case : single) {
    if (one_case.members.empty()) continue;
    auto& shortfalls = groups[{one_case.group, one_case.model}];
    for (const Shortfall& one : one_case.members) shortfalls[one.part].push_back(one.below);
  }
  std::vector<Population> out;
  for (const auto& [key, shortfalls] : groups) {
    const auto& [group, model] = key;
    Population population{group, group, group, model, {}};
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
void leave_out_the_only_ones(std::vector<Population>& single) {
  std::map<std::tuple<std::string, std::string, std::size_t>, int> cases;
  for (const Population& one_case : single) {
    for (const Shortfall& one : one_case.members)
      ++cases[{one_case.group, one_case.model, one.part}];
  }
  for (Population& one_case : single) {
    std::erase_if(one_case.members, [&](const Shortfall& one) {
      return cases[{one_case.group, one_case.model, one.part}] == 1;
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
  std::vector<Standing> nodes, parts;                    // by number
  std::set<std::pair<std::string, std::size_t>> floors;  // kind and number: one is about it
  std::vector<std::string> notes;
};

double relative(double below) {
  return -std::expm1(-below);
}

// Whether more parts would help, or the parts themselves differ so much.
bool too_wide(const Population& population, double must_find) {
  const bool fine = kPlenty * population.spread <= -std::log1p(-must_find);
  return !fine;
}

std::string too_coarse(const Population& population, double reach, double must_find) {
  return fmt::format(
      "{} ({}): a spread of {:.1f} % between {}, so only what is {:.0f} % below the median would "
      "fail, and not what is {:.0f} % below (must_find): {}; it vouches for nobody",
      population.what, population.model, 100 * population.spread, population.members.size(),
      100 * relative(reach), 100 * must_find,
      too_wide(population, must_find) ? "more than a quarter of them may be bad"
                                      : "they are too few");
}

// Compares the populations of one kind, which share `false_alarms`.
ComparedKind compare_kind(const FleetFacts& facts, const std::vector<const Population*>& kind,
                          double false_alarms, Findings& findings) {
  ComparedKind out{kind.front()->kind};
  for (const Population* p : kind) out.comparisons += p->members.size();
  std::vector<double> spreads, limits;
  const bool of_nodes = out.kind == "network", vouches = out.kind != kSingleCases;
  for (const Population* population : kind) {
    const double reach =
        population->spread *
        limit_of(population->members.size(), false_alarms / static_cast<double>(out.comparisons));
    const double limit = std::max(reach, -std::log1p(-facts.rules.tolerance));
    const bool fine = relative(reach) <= facts.rules.must_find;
    const bool open = vouches && !fine && too_wide(*population, facts.rules.must_find);
    if (vouches && !fine)
      findings.notes.push_back(too_coarse(*population, reach, facts.rules.must_find));
    spreads.push_back(population->spread);
    limits.push_back(limit);
    for (const Shortfall& one : population->members) {
      Standing& finding = (of_nodes ? findings.nodes : findings.parts)[one.part];
      if (vouches && fine) finding.judged = true;
      if (open && !findings.floors.contains({out.kind, one.part})) finding.open = true;
      if (one.below <= limit) continue;
      finding.reasons.push_back(
          {of_nodes ? "network" : facts.parts[one.part].name, "slow",
           fmt::format("{}: {:.1f} % below the median, limit {:.1f} %", population->what,
                       100 * relative(one.below), 100 * relative(limit))});
    }
  }
  out.spread = median(spreads);
  out.limit = relative(median(limits));
  return out;
}

std::vector<ComparedKind> compare_all(const FleetFacts& facts, Findings& findings) {
  std::vector<Population> all = single_cases(facts);
  const std::vector<Population> groups = by_group(facts, all);
  leave_out_the_only_ones(all);
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

// A floor about a pair is one about both nodes' networks.
void hold_against_floors(const FleetFacts& facts, Findings& findings) {
  for (const auto& [which, reasons] : held_against_floors(facts)) {
    const auto& [part, group] = which;
    Standing& finding = findings.parts[part];
    finding.reasons.insert(finding.reasons.end(), reasons.begin(), reasons.end());
    finding.judged = true;
    if (group == "network") {
      findings.floors.insert({"pairs", part});
      findings.floors.insert({group, facts.parts[part].node});
      findings.floors.insert({group, facts.parts[part].partner});
    } else {
      findings.floors.insert({group, part});
    }
  }
}

std::string verdict(const Standing& finding) {
  if (!finding.reasons.empty()) return "fail";
  return finding.judged && !finding.open ? "pass" : "cannot_tell";
}

// What its parts say of a node stands before what is known of it as a whole.
void add_parts_to_nodes(const FleetFacts& facts, Findings& findings) {
  std::vector<Standing> nodes(facts.nodes.size());
  const auto add = [](const Standing& some, Standing& to) {
    to.reasons.insert(to.reasons.end(), some.reasons.begin(), some.reasons.end());
    to.judged = to.judged || some.judged;
    to.open = to.open || some.open;
  };
  for (std::size_t p = 0; p < facts.parts.size(); ++p) {
    const FleetFacts::Part& part = facts.parts[p];
    if (part.node == part.partner) add(findings.parts[p], nodes[part.node]);
  }
  for (std::size_t node = 0; node < nodes.size(); ++node) add(findings.nodes[node], nodes[node]);
  findings.nodes = std::move(nodes);
}

void add_nodes(Acceptance& out, const FleetFacts& facts, const Findings& findings) {
  for (std::size_t node = 0; node < facts.nodes.size(); ++node) {
    const Standing& finding = findings.nodes[node];
    out.nodes.push_back({facts.nodes[node], verdict(finding), finding.reasons});
  }
}

void add_links(Acceptance& out, const FleetFacts& facts, const Findings& findings) {
  for (std::size_t p = 0; p < facts.parts.size(); ++p) {
    const FleetFacts::Part& part = facts.parts[p];
    if (part.node == part.partner) continue;
    out.links.push_back({facts.nodes[part.node] + " - " + facts.nodes[part.partner],
                         verdict(findings.parts[p]), findings.parts[p].reasons});
  }
}

std::vector<std::string> notes_on(const FleetFacts& facts, const Acceptance& out,
                                  const Findings& findings) {
  const auto by_nothing = [](const Standing& f) {
    return f.reasons.empty() && !f.judged && !f.open;
  };
  std::vector<std::string> notes = notes_on_models(facts);
  notes.insert(notes.end(), findings.notes.begin(), findings.notes.end());
  std::size_t most = 0;
  for (const FleetFacts::Case& c : facts.cases) most = std::max(most, c.log_rates.size());
  if (out.kinds.empty()) {
    notes.push_back(
        fmt::format("to compare a case, {} parts needed, {} there: floors and failures alone count",
                    kLeastParts, most));
  } else if (std::ranges::any_of(findings.nodes, by_nothing)) {
    notes.push_back(
        fmt::format("who can't be judged was in no comparison that vouches (of {} parts or more), "
                    "and no floor is about it",
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
  for (const FleetFacts::Part& part : facts.parts) findings.parts.push_back({part.reasons});
  hold_against_floors(facts, findings);
  Acceptance out;
  out.rules = facts.rules;
  out.kinds = compare_all(facts, findings);
  find_missing(facts, findings.nodes);
  add_parts_to_nodes(facts, findings);
  add_nodes(out, facts, findings);
  add_links(out, facts, findings);
  std::ranges::sort(out.nodes, {}, &Judged::name);
  std::ranges::sort(out.links, {}, &Judged::name);
  out.notes = notes_on(facts, out, findings);
  return out;
}

}  // namespace trainmeter
