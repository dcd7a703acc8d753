// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What `accept` promises, on fleets whose faults are known. Prints the table of docs/accepting.md.
#include "report/accept.hpp"

#include "node_fleet.hpp"
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <iostream>

using namespace trainmeter;

namespace {

struct Score {
  std::map<std::string, std::pair<int, int>> by_fault;  // found, of
  std::vector<std::string> false_alarms;                // good nodes and links that fail
  double limit = 0;                                     // of GPUs' GEMMs

  double recall() const {
    double found = 0, of = 0;
    for (const auto& [fault, counts] : by_fault) {
      found += counts.first;
      of += counts.second;
    }
    return found / of;
  }
};

std::string why(const Judged& judged) {
  std::string out = judged.name + " " + judged.verdict;
  for (const Reason& r : judged.reasons) out += "; " + r.part + ": " + r.kind + ": " + r.text;
  return out;
}

Score simulate(const NodeFleet& fleet, int fleets, const AcceptRules& rules = {}) {
  NodeFleetSampler sampler(fleet, 20261125);
  Score score;
  for (int i = 0; i < fleets; ++i) {
    const SimulatedFleet drawn = sampler.draw();
    FleetFacts facts(rules);
    for (const Record& record : drawn.records) facts.add(record);
    const Acceptance acceptance = accept(facts);
    for (const Judged& node : acceptance.nodes) {
      const auto bad = drawn.bad.find(node.name);
      if (bad == drawn.bad.end()) {
        if (node.verdict != "pass") score.false_alarms.push_back(why(node));
      } else {
        auto& [found, of] = score.by_fault[bad->second];
        found += node.verdict == "fail";
        ++of;
      }
    }
    for (const Judged& link : acceptance.links)
      if (link.verdict == "fail") score.false_alarms.push_back(why(link));
    for (const ComparedKind& kind : acceptance.kinds) {
      if (kind.kind == "compute") score.limit = kind.limit;
    }
  }
  return score;
}

void print(const char* what, const NodeFleet& f, int fleets, const Score& s) {
  std::string faults;
  for (const auto& [fault, counts] : s.by_fault)
    faults += fmt::format(" {:>7}", fmt::format("{}/{}", counts.first, counts.second));
  std::cout << fmt::format("{:34} {:>5.1f} % {:>5} {:>6.1f} %{} {:>7.3f} {:>6}\n", what,
                           100 * f.spread, fleets, 100 * s.limit, faults, s.recall(),
                           s.false_alarms.size());
}

struct Scenario {
  const char* what;
  NodeFleet fleet;
  bool holds;  // the promise: recall of 0.98, one false alarm in ten fleets
};

class AcceptSimulation : public testing::TestWithParam<Scenario> {
 protected:
  static void SetUpTestSuite() {
    std::cout << fmt::format("{:34} {:>7} {:>5} {:>8} {:>7} {:>7} {:>7} {:>7} {:>7} {:>6}\n", "",
                             "spread", "runs", "limit", "NVLink", "NIC", "slow", "hot", "recall",
                             "false");
  }
};

}  // namespace

TEST_P(AcceptSimulation, PlantedFaultsAreFoundAndGoodNodesLeftAlone) {
  constexpr int kFleets = 10;
  const auto& [what, fleet, holds] = GetParam();
  const Score score = simulate(fleet, kFleets);
  print(what, fleet, kFleets, score);
  if (!holds) return;
  EXPECT_GE(score.recall(), 0.98) << what;
  EXPECT_LE(score.false_alarms.size(), 1U)
      << fmt::format("{}", fmt::join(score.false_alarms, "\n"));
}

INSTANTIATE_TEST_SUITE_P(
    Fleets, AcceptSimulation,
    testing::Values(Scenario{"512 nodes", {.spread = 0.002}, true},
                    Scenario{"the same", {.spread = 0.004}, true}, Scenario{"the same", {}, true},
                    Scenario{"the same", {.spread = 0.012}, false},
                    Scenario{"the same", {.spread = 0.016}, false},
                    Scenario{"the same", {.spread = 0.024}, false},
                    Scenario{"all cases of a GPU move together", {.common = 1}, false},
                    Scenario{"heavy tails (t, 5)", {.heavy_tails = true}, false},
                    Scenario{"64 nodes, one in 16 bad", {.nodes = 64, .bad_nodes = 1. / 16}, true},
                    Scenario{"8 nodes, half of them bad", {.nodes = 8, .bad_nodes = 0.5}, false}));
