// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The rules of an acceptance: reading them, and what a floor asks of a measurement.
#include "record/error.hpp"
#include "record/names.hpp"
#include "record/statistics.hpp"
#include "report/accept.hpp"
#include "report/rates.hpp"
#include "workload/limits.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace trainmeter {
namespace {

double share_of_one(StrictObject& object, const std::string& key) {
  const double value = object.positive(key);
  if (!(value <= 1)) object.refuse(key, "a number above 0, at most 1");
  return value;
}

// A word of `known`; what else refuses `key`, where `what` is what the words are.
void require_known(const StrictObject& object, const std::string& key, const std::string& word,
                   const std::vector<std::string>& known, std::string_view what) {
  if (std::ranges::find(known, word) != known.end()) return;
  const std::string near = nearest(word, known);
  object.refuse(key, near.empty() ? fmt::format("one of {}", fmt::join(known, ", "))
                                  : fmt::format("{} (did you mean '{}'?)", what, near));
}

std::string read_operation(StrictObject& object) {
  std::string named = object.text("operation");
  require_known(object, "operation", named, operation_names(), "an operation");
  return named;
}

// One that no record holds would pass a throttled node.
std::vector<std::string> read_throttle_reasons(StrictObject& object) {
  std::vector<std::string> reasons = object.texts("throttle_reasons");
  for (const std::string& reason : reasons) {
    require_known(object, "throttle_reasons", reason, throttle_reason_names(),
                  "reasons that a record knows");
  }
  return reasons;
}

Floor read_floor(StrictObject object) {
  Floor floor;
  floor.operation = read_operation(object);
  if (object.has("dtype")) floor.dtype = object.one_of("dtype", dtype_names());
  if (object.has("backend")) floor.backend = object.text("backend");
  if (object.has("shape")) {
    StrictObject shape = object.object("shape");
    const nlohmann::json keys = object.raw("shape");
    for (const auto& item : keys.items()) floor.shape[item.key()] = shape.integer(item.key());
  }
  if (object.has("share")) floor.share = share_of_one(object, "share");
  floor.flops_per_s = object.optional(&StrictObject::positive, "flops_per_s");
  floor.bytes_per_s = object.optional(&StrictObject::positive, "bytes_per_s");
  object.finish();
  if (floor.share.has_value() + floor.flops_per_s.has_value() + floor.bytes_per_s.has_value() != 1)
    object.refuse("share", "one of share, flops_per_s, bytes_per_s");
  if (floor.bytes_per_s && is_compute(floor.operation))
    object.refuse("bytes_per_s", "flops_per_s for this operation");
  if (floor.flops_per_s && !is_compute(floor.operation))
    object.refuse("flops_per_s", "bytes_per_s for this operation");
  return floor;
}

// What the system file says of the operation's ceiling.
std::optional<double> figure(const System& system, const Measurement& m) {
  if (is_compute(m.operation)) {
    const auto peak = system.peak_flops.find(m.dtype);
    return peak == system.peak_flops.end() ? std::nullopt : std::optional(peak->second);
  }
  if (m.operation == "peer_copy" && system.nvlink_bytes_per_s) {
    const auto ways = m.shape.find("ways");
    return *system.nvlink_bytes_per_s *
           static_cast<double>(ways == m.shape.end() ? 1 : ways->second);
  }
  if (is_collective(m.operation))
    return m.notes.contains("hosts") ? system.nic_bytes_per_s : system.nvlink_bytes_per_s;
  if (is_memory_kernel(m.operation) || is_step_kernel(m.operation))
    return system.memory_bytes_per_s;
  return std::nullopt;
}

std::string described(const Floor& floor) {
  std::string out = floor.operation;
  for (const std::string& word : {floor.dtype, floor.backend}) {
    if (!word.empty()) out += " " + word;
  }
  for (const auto& [key, value] : floor.shape) out += fmt::format(" {}:{}", key, value);
  return out;
}

double log_size(std::int64_t size) {
  return std::log(static_cast<double>(std::max<std::int64_t>(1, size)));
}

// How far a case of the same operation is from what a floor asks for: another dtype is farther than
// another backend, that than any shape, then the keys that it lacks, then the ratios of sizes.
double distance(const Floor& floor, const FleetFacts::Case& c) {
  constexpr double kOtherDtype = 1e9, kOtherBackend = 1e7, kNoSuchKey = 1e4;
  double out = !floor.dtype.empty() && floor.dtype != c.dtype ? kOtherDtype : 0;
  if (!floor.backend.empty() && floor.backend != c.backend) out += kOtherBackend;
  for (const auto& [key, value] : floor.shape) {
    const auto found = c.shape.find(key);
    out +=
        found == c.shape.end() ? kNoSuchKey : std::abs(log_size(value) - log_size(found->second));
  }
  return out;
}

std::string nearest_measured(const Floor& floor, const std::vector<FleetFacts::Case>& cases) {
  std::set<std::string> operations;
  const FleetFacts::Case* best = nullptr;
  double least = std::numeric_limits<double>::infinity();
  for (const FleetFacts::Case& c : cases) {
    operations.insert(c.operation);
    if (c.operation != floor.operation || !(distance(floor, c) < least)) continue;
    best = &c;
    least = distance(floor, c);
  }
  if (best != nullptr) return "the nearest is " + best->title;
  if (operations.empty()) return "there is none";
  return fmt::format("there are {}", fmt::join(operations, ", "));
}

// The backend of the highest median rate.
const std::vector<FleetFacts::UnderFloor>& fastest(const FleetFacts::ByBackend& backends) {
  const auto typical = [](const auto& one) {
    std::vector<double> rates;
    for (const FleetFacts::UnderFloor& row : one.second) rates.push_back(row.rate);
    return median(rates);
  };
  return std::ranges::max_element(backends, {}, typical)->second;
}

}  // namespace

AcceptRules read_accept_rules(const std::string& file, const Library& library) {
  const auto json = read_json_file(file);
  StrictObject object(json, file);
  AcceptRules rules;
  rules.file = file;
  if (object.has("false_alarms")) rules.false_alarms = share_of_one(object, "false_alarms");
  if (object.has("tolerance")) {
    rules.tolerance = object.non_negative("tolerance");
    if (!(rules.tolerance < 1)) object.refuse("tolerance", "a number of at least 0, below 1");
  }
  if (object.has("must_find")) rules.must_find = share_of_one(object, "must_find");
  if (object.has("throttle_reasons")) rules.throttle_reasons = read_throttle_reasons(object);
  if (object.has("system"))
    rules.system =
        library.for_names_in_files().system(named(object, "system", object.text("system")));
  if (object.has("floors")) {
    for (const StrictObject& one : object.objects("floors")) {
      rules.floors.push_back(read_floor(one));
      if (rules.floors.back().share && !rules.system)
        object.refuse("system", "a system, which `share` is of");
    }
  }
  object.finish();
  return rules;
}

bool is_about(const Floor& floor, const Measurement& m) {
  if (floor.operation != m.operation || (!floor.dtype.empty() && floor.dtype != m.dtype) ||
      (!floor.backend.empty() && floor.backend != m.backend)) {
    return false;
  }
  return std::ranges::all_of(floor.shape, [&](const auto& asked) {
    const auto found = m.shape.find(asked.first);
    return found != m.shape.end() && found->second == asked.second;
  });
}

std::optional<double> least_rate(const Floor& floor, const AcceptRules& rules,
                                 const Measurement& m) {
  if (!is_about(floor, m)) return std::nullopt;
  if (!floor.share) return floor.flops_per_s ? floor.flops_per_s : floor.bytes_per_s;
  const auto ceiling = figure(*rules.system, m);
  if (!ceiling) {
    throw BadInput(fmt::format("floors: share of {} {}: system {} has no such figure", m.operation,
                               m.dtype, rules.system->id));
  }
  return *floor.share * *ceiling;
}

void check_floors_are_used(const FleetFacts& facts) {
  for (std::size_t i = 0; i < facts.rules.floors.size(); ++i) {
    if (facts.floor_uses[i] > 0) continue;
    const Floor& floor = facts.rules.floors[i];
    throw BadInput(
        fmt::format("{}floors[{}]: expected a case that the records have a rate of, found {}; {}",
                    facts.rules.file.empty() ? "" : facts.rules.file + ": ", i, described(floor),
                    nearest_measured(floor, facts.cases)));
  }
}

std::map<std::pair<std::size_t, std::string>, std::vector<Reason>> held_against_floors(
    const FleetFacts& facts) {
  std::map<std::pair<std::size_t, std::string>, std::vector<Reason>> out;
  for (const auto& [which, backends] : facts.under_floors) {
    std::vector<Reason>& reasons = out[{which.part, which.group}];
    for (const FleetFacts::UnderFloor& row : fastest(backends)) {
      if (row.rate >= row.least) continue;
      const auto shown = is_compute(row.operation) ? format_flops : format_bandwidth;
      reasons.push_back(
          {facts.parts[which.part].name, "below_floor",
           fmt::format("{}: {} of a floor of {}", row.name, shown(row.rate), shown(row.least))});
    }
  }
  return out;
}

}  // namespace trainmeter
