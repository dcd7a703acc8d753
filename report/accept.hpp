// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which nodes of a fleet to take: each part of each node against the fleet's median and against
// floors, with the reasons where it fails (docs/accepting.md).
#pragma once

#include "record/record.hpp"
#include "report/document.hpp"
#include "workload/run.hpp"
#include "workload/system.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace trainmeter {

// The least rate of a problem on each part: a share of the system's figure, or a rate per device.
// It is held against the part's fastest backend, or against the named one.
struct Floor {
  std::string operation, dtype, backend;                  // dtype, backend "": any
  std::map<std::string, std::int64_t> shape;              // those of its keys that must agree
  std::optional<double> share, flops_per_s, bytes_per_s;  // one of them
};

struct AcceptRules {
  std::string file;            // for messages: where they were read from
  double false_alarms = 0.05;  // expected in a whole fleet without a fault
  double tolerance = 0.02;     // who is less than this below the median fails no comparison
  double must_find = 0.15;  // a comparison that can't find who is so far below vouches for nobody
  std::vector<std::string> throttle_reasons = {"hw_slowdown", "hw_thermal_slowdown",
                                               "sw_thermal_slowdown", "hw_power_brake_slowdown"};
  std::optional<System> system;
  std::vector<Floor> floors;
};

// A rules file: docs/accepting.md. BadInput where it is wrong.
AcceptRules read_accept_rules(const std::string& file, const Library& library);

// Fewer parts than this say too little of a spread; then only floors, failures and throttling
// count.
inline constexpr std::size_t kLeastParts = 16;
// A node's network is told from its partners' by so many pairs that it was in.
inline constexpr std::size_t kLeastPairs = 3;

struct Reason {
  std::string part;  // "gpu GPU-1234", "link 0 -> 1", "network"
  std::string kind;  // slow below_floor throttled failed missing
  std::string text;
};

// A node, or a pair of nodes that were measured together.
struct Judged {
  std::string name;     // "n1", "n1 - n2"
  std::string verdict;  // pass fail cannot_tell
  std::vector<Reason> reasons;
};

// The comparisons of one kind: parts by the median of their cases, or single cases.
struct ComparedKind {
  std::string kind;
  std::size_t comparisons = 0;
  double spread =
      0;  // of the slower half, relative (docs/accepting.md); of single cases, the median over them
  double limit = 0;  // how far below the median a part fails, relative; of single cases the same
};

struct Acceptance {
  AcceptRules rules;
  std::vector<Judged> nodes, links;  // by name
  std::vector<ComparedKind> kinds;
  std::vector<std::string> notes;
  [[nodiscard]] bool failed() const;
  [[nodiscard]] bool judged_all() const;  // nobody is cannot_tell
};

// The models of devices that were found, by host and kind of device ("cpu", "gpu").
using DevicesByHost = std::map<std::pair<std::string, std::string>, std::set<std::string>>;
void add_devices(DevicesByHost& devices, const Record& record);
// What to warn of: a host with several models is most likely several machines of one name, and they
// are judged as one node.
std::vector<std::string> mixed_hosts(const DevicesByHost& devices);

// Devices that are compared with each other. A GPU of another model, or with other SMs, is neither
// slow nor fast beside these.
struct DeviceModel {
  std::string kind;  // "cpu", "gpu"
  std::string name;  // "NVIDIA H200, 132 SMs"
  auto operator<=>(const DeviceModel&) const = default;
};

// What is kept of a fleet's records: a rate for each part and case, not the samples.
struct FleetFacts {
  struct Part {
    std::size_t node = 0, partner = 0;  // the two of a pair; else the same
    std::string name;
    bool device = false;          // and not a link, say
    std::vector<Reason> reasons;  // to fail, whatever the others show
  };
  struct Case {
    std::string title, group;  // compute memory transfer link collective network
    DeviceModel model;  // in group network without its name: a pair has the models of two nodes
    std::string program, operation, dtype, backend;
    std::map<std::string, std::int64_t> shape;
    std::map<std::size_t, std::vector<double>> log_rates;  // by part
  };
  // A measurement that a floor is about.
  struct UnderFloor {
    std::string name, operation;
    double rate = 0, least = 0;
  };
  // Those of one part, floor and problem, by backend.
  using ByBackend = std::map<std::string, std::vector<UnderFloor>>;
  struct FloorProblem {
    std::size_t part = 0, floor = 0;
    std::string group, problem;  // problem_key()
    auto operator<=>(const FloorProblem&) const = default;
  };

  AcceptRules rules;
  std::vector<std::string> nodes;
  std::vector<Part> parts;
  std::vector<Case> cases;
  // By node: the models that it has, and its parts that are devices of them.
  std::vector<std::map<DeviceModel, std::set<std::size_t>>> devices;
  // Node and program: --max_seconds left cases of its list out.
  std::set<std::pair<std::size_t, std::string>> cut_short;

  std::vector<std::size_t> floor_uses;  // by floor: rows that it was about, failed ones too
  std::map<FloorProblem, ByBackend> under_floors;

  explicit FleetFacts(AcceptRules its_rules)
      : rules(std::move(its_rules)), floor_uses(rules.floors.size(), 0) {}
  void add(const Record& record);

 private:
  std::size_t node(const std::string& name);
  std::size_t part_of(const Measurement& measurement, const Header& header);
  std::size_t case_of(const Measurement& measurement, const Header& header);
  std::unordered_map<std::string, std::size_t> node_numbers_, part_numbers_, case_numbers_;
};

// BadInput where nothing was measured, and where a floor is about nothing that was: it would pass
// everybody.
Acceptance accept(const FleetFacts& facts);

Document to_document(const Acceptance& acceptance);
nlohmann::ordered_json to_json(const Acceptance& acceptance);
std::string to_junit(const Acceptance& acceptance);  // XML
// A line for each failed node: its name, a space, the reasons. BadInput where a name isn't one that
// Slurm could have: nothing else from a file gets into the list than letters, digits and "
// .,:%()/+-_".
std::string to_drain_list(const Acceptance& acceptance);

bool is_about(const Floor& floor, const Measurement& measurement);
// The least rate of `floor` for this measurement, per device; nothing where the floor isn't about
// it. BadInput where the system has no such figure.
std::optional<double> least_rate(const Floor& floor, const AcceptRules& rules,
                                 const Measurement& measurement);
// BadInput, with the nearest case that was measured, where a floor is about none.
void check_floors_are_used(const FleetFacts& facts);
// What each part's fastest backend lacks of the floors, by part and group of cases; nothing at all
// where no floor is about one.
std::map<std::pair<std::size_t, std::string>, std::vector<Reason>> held_against_floors(
    const FleetFacts& facts);

// What is known of a node or a part.
struct Standing {
  std::vector<Reason> reasons;  // to fail
  bool judged = false;          // compared with enough others, or with a floor
  bool open = false;            // and in a comparison whose spread may hide bad parts
};
// Which nodes lack devices, or cases, that nodes of their kind have measured. By number.
void find_missing(const FleetFacts& facts, std::vector<Standing>& nodes);
// That the fleet has devices of several models, or nodes with several numbers of them.
std::vector<std::string> notes_on_models(const FleetFacts& facts);

}  // namespace trainmeter
