// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What differs between two sets of headers: machine, program, method.
#include "report/compare.hpp"

#include <fmt/format.h>

#include <map>
#include <set>

namespace trainmeter {
namespace {

using Values = std::map<std::string, std::set<std::string>>;  // by what they are

void add_map(Values& out, const std::string& what, const std::map<std::string, std::string>& map) {
  for (const auto& [key, value] : map) out[fmt::format("{}.{}", what, key)].insert(value);
}

Values values_of(const std::vector<Header>& headers) {
  Values out;
  for (const Header& h : headers) {
    out["device"].insert(h.device.name);
    out["device.kind"].insert(h.device.kind);
    out["device.count"].insert(std::to_string(h.device.count));
    out["device.sms"].insert(std::to_string(h.device.sms));
    out["device.memory_bytes"].insert(std::to_string(h.device.memory_bytes));
    add_map(out, "device", h.device.details);
    out["host"].insert(h.host);
    out["version"].insert(h.version);
    out["git_revision"].insert(h.git_revision);
    out["discipline.timer"].insert(h.discipline.timer);
    out["discipline.data"].insert(h.discipline.data);
    out["discipline.cache"].insert(h.discipline.cache);
    out["discipline.warmup_s"].insert(fmt::format("{}", h.discipline.warmup_s));
    out["discipline.min_time_s"].insert(fmt::format("{}", h.discipline.min_time_s));
    out["discipline.min_samples"].insert(std::to_string(h.discipline.min_samples));
    out["discipline.regime"].insert(h.discipline.regime);
    out["discipline.target"].insert(fmt::format("{}", h.discipline.target));
    out["discipline.max_time_s"].insert(fmt::format("{}", h.discipline.max_time_s));
    add_map(out, "software", h.software);
    add_map(out, "environment", h.environment);
  }
  return out;
}

std::string listed(const Values& values, const std::string& what) {
  const auto found = values.find(what);
  return found == values.end() ? "not set" : fmt::format("{}", fmt::join(found->second, ", "));
}

}  // namespace

std::vector<Difference> differences(const std::vector<Header>& old_headers,
                                    const std::vector<Header>& new_headers) {
  const Values before = values_of(old_headers), after = values_of(new_headers);
  std::set<std::string> all;
  for (const Values* values : {&before, &after}) {
    for (const auto& [what, ignored] : *values) all.insert(what);
  }
  std::vector<Difference> out;
  for (const std::string& what : all) {
    // Loaded by the programs that use them: whom one side doesn't name had no part in it.
    const bool loaded_if_used = what == "software.cuBLASLt" || what == "software.cuDNN";
    if (loaded_if_used && !(before.contains(what) && after.contains(what))) continue;
    if (listed(before, what) != listed(after, what))
      out.push_back({what, listed(before, what), listed(after, what)});
  }
  return out;
}

}  // namespace trainmeter
