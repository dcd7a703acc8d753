// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Compares headers, counts finished measurements.
#include "bench/resume.hpp"

#include "record/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace trainmeter {

std::vector<std::string> differences(const Header& then, const Header& now) {
  std::vector<std::string> out;
  const auto compare = [&](const char* what, const auto& before, const auto& after) {
    if (before != after) out.push_back(fmt::format("{}: {}, now {}", what, before, after));
  };
  compare("device", then.device.name, now.device.name);
  compare("devices", then.device.count, now.device.count);
  compare("cores or SMs", then.device.sms, now.device.sms);
  compare("host", then.host, now.host);
  compare("revision", then.git_revision, now.git_revision);
  const Discipline& a = then.discipline;
  const Discipline& b = now.discipline;
  compare("timer", a.timer, b.timer);
  compare("data", a.data, b.data);
  compare("cache", a.cache, b.cache);
  compare("regime", a.regime, b.regime);
  compare("warm-up", a.warmup_s, b.warmup_s);
  compare("least time", a.min_time_s, b.min_time_s);
  compare("least samples", a.min_samples, b.min_samples);
  compare("target", a.target, b.target);
  compare("most time", a.max_time_s, b.max_time_s);
  return out;
}

void require_same(const Record& record, const std::vector<Header>& allowed) {
  for (const Header& then : record.headers) {
    if (then.program != allowed.front().program) continue;
    if (std::ranges::any_of(allowed,
                            [&](const Header& now) { return differences(then, now).empty(); })) {
      continue;
    }
    throw BadInput(fmt::format(
        "--resume: {}: session {} differs: {} (--resume_anyway goes on with it)",
        record.file.string(), then.session, fmt::join(differences(then, allowed.front()), "; ")));
  }
}

bool is_finished(const Plan& plan, const Record& record, const Header& now, std::int64_t ranks,
                 int repetitions, bool anyway) {
  std::map<std::string, int> finished;
  for (const Line& line : record.lines) {
    const Header& then = record.header_of(line);
    if (then.program != now.program || !line.measurement.usable() ||
        line.measurement.ranks != ranks || !(anyway || differences(then, now).empty())) {
      continue;
    }
    ++finished[line.measurement.name + " with " + line.measurement.paired_with];
  }
  const std::string other = plan.versus ? plan.versus->name : "";
  return finished[plan.main.name + " with " + other] >= repetitions &&
         (other.empty() || finished[other + " with " + plan.main.name] >= repetitions);
}

}  // namespace trainmeter
