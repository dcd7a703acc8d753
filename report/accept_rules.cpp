// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The rules of an acceptance: reading them, and what a floor asks of a measurement.
#include "record/error.hpp"
#include "record/names.hpp"
#include "report/accept.hpp"
#include "report/rates.hpp"
#include "workload/limits.hpp"

#include <fmt/format.h>

namespace trainmeter {
namespace {

double share_of_one(StrictObject& object, const std::string& key) {
  const double value = object.positive(key);
  if (!(value <= 1)) object.refuse(key, "a number above 0, at most 1");
  return value;
}

Floor read_floor(StrictObject object) {
  Floor floor;
  floor.operation = object.text("operation");
  if (object.has("dtype")) floor.dtype = object.one_of("dtype", dtype_names());
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

}  // namespace

AcceptRules read_accept_rules(const std::string& file, const Library& library) {
  const auto json = read_json_file(file);
  StrictObject object(json, file);
  AcceptRules rules;
  if (object.has("false_alarms")) rules.false_alarms = share_of_one(object, "false_alarms");
  if (object.has("tolerance")) {
    rules.tolerance = object.non_negative("tolerance");
    if (!(rules.tolerance < 1)) object.refuse("tolerance", "a number of at least 0, below 1");
  }
  if (object.has("throttle_reasons")) rules.throttle_reasons = object.texts("throttle_reasons");
  if (object.has("system"))
    rules.system = library.system(named(object, "system", object.text("system")));
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

std::optional<double> least_rate(const Floor& floor, const AcceptRules& rules,
                                 const Measurement& m) {
  if (floor.operation != m.operation || (!floor.dtype.empty() && floor.dtype != m.dtype))
    return std::nullopt;
  for (const auto& [key, value] : floor.shape) {
    const auto found = m.shape.find(key);
    if (found == m.shape.end() || found->second != value) return std::nullopt;
  }
  if (!floor.share) return floor.flops_per_s ? floor.flops_per_s : floor.bytes_per_s;
  const auto ceiling = figure(*rules.system, m);
  if (!ceiling) {
    throw BadInput(fmt::format("floors: share of {} {}: system {} has no such figure", m.operation,
                               m.dtype, rules.system->id));
  }
  return *floor.share * *ceiling;
}

}  // namespace trainmeter
