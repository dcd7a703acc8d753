// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Compares headers, counts finished measurements.
#include "bench/resume.hpp"

#include "bench/overlap.hpp"
#include "bench/together.hpp"
#include "record/error.hpp"
#include "record/overlap.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>

namespace trainmeter {
namespace {

std::string detail_of(const Header& header, const std::string& key, const std::string& otherwise) {
  const auto found = header.device.details.find(key);
  return found == header.device.details.end() ? otherwise : found->second;
}

}  // namespace

std::vector<std::string> differences(const Header& then, const Header& now) {
  std::vector<std::string> out;
  const auto compare = [&](const char* what, const auto& before, const auto& after) {
    if (before != after) out.push_back(fmt::format("{}: {}, now {}", what, before, after));
  };
  compare("device", then.device.name, now.device.name);
  compare("devices", then.device.count, now.device.count);
  compare("cores or SMs", then.device.sms, now.device.sms);
  compare("devices at once", detail_of(then, "concurrent", "one"),
          detail_of(now, "concurrent", "one"));
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

namespace {

// The operation alone first.
std::vector<RowKey> rows_of_overlap(const Case& one) {
  Measurement alone;
  alone.name = one.name;
  alone.operation = one.operation;
  const CoRunnerProblem& co = one.overlap->beside;
  const OverlapRows all = rows_beside(alone, co, false);
  std::vector<RowKey> rows;
  for (const Measurement* m :
       {&all.alone, &all.held, &all.together, &all.co_alone, &all.co_together})
    rows.push_back({m->name, m->paired_with, m->beside, m->ranks});
  return rows;
}

}  // namespace

std::vector<RowKey> rows_of(const Plan& plan, std::int64_t ranks) {
  if (plan.main.overlap) {
    std::vector<RowKey> rows = rows_of_overlap(plan.main);
    if (!plan.versus) return rows;
    const std::vector<RowKey> others = rows_of_overlap(*plan.versus);
    rows.front().paired_with = plan.versus->name;
    rows.insert(rows.end(), others.begin(), others.end());
    rows[others.size()].paired_with = plan.main.name;
    return rows;
  }
  std::vector<RowKey> rows = {{.name = plan.main.name,
                               .paired_with = plan.versus ? plan.versus->name : "",
                               .ranks = ranks}};
  if (plan.versus) {
    rows.push_back({.name = plan.versus->name, .paired_with = plan.main.name, .ranks = ranks});
  }
  return rows;
}

std::vector<RowKey> rows_on_devices(const Plan& plan, std::size_t devices) {
  std::vector<RowKey> rows;
  for (std::size_t device = 0; device < devices; ++device) {
    rows.push_back({.name = name_on_device(plan.main.name, device), .paired_with = ""});
    rows.push_back(rows.back());
    rows.back().beside = plan.main.operation;
  }
  return rows;
}

namespace {

// What tells a host's devices apart: a GPU's UUID, the cores of a process.
bool same_device(const Header& then, const Header& now) {
  return std::ranges::all_of(std::array{"uuid", "core_ids"}, [&](const char* key) {
    return detail_of(then, key, "") == detail_of(now, key, "");
  });
}

bool counts(const Line& line, const Record& record, const Header& now, bool anyway) {
  const Header& then = record.header_of(line);
  return then.program == now.program && line.measurement.usable() &&
         (anyway || (differences(then, now).empty() && same_device(then, now)));
}

}  // namespace

int finished_repetitions(const std::vector<RowKey>& rows, const Record& record, const Header& now,
                         bool anyway) {
  std::map<RowKey, int> finished;
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    if (counts(line, record, now, anyway)) {
      ++finished[{m.name, m.paired_with, m.beside, m.ranks}];
    }
  }
  int least = std::numeric_limits<int>::max();
  for (const RowKey& row : rows) least = std::min(least, finished[row]);
  return least;
}

const Measurement* finished_row(const std::string& name, const Record& record, const Header& now,
                                bool anyway) {
  const auto found = std::ranges::find_if(record.lines, [&](const Line& line) {
    return line.measurement.name == name && counts(line, record, now, anyway);
  });
  return found == record.lines.end() ? nullptr : &found->measurement;
}

}  // namespace trainmeter
