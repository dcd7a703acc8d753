// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What was watched, into a row of the record.
#include "bench/monitor.hpp"
#include "record/samples.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace trainmeter {
namespace {

// Samples of the rounds that overlap the span.
std::optional<Mark> throttled(const ThrottleSpan& span, const std::vector<Round>& rounds) {
  std::optional<Mark> out;
  for (const Round& round : rounds) {
    if (round.end_s < span.begin_s || span.end_s < round.start_s) continue;
    if (!out) out = Mark{round.first, round.end - 1, "throttled: " + span.reason};
    out->last = round.end - 1;
  }
  return out;
}

// Seconds that the runs of samples [first, last] took.
double runs_s(const Measurement& row, std::int64_t first, std::int64_t last) {
  const auto begin = row.time_s.begin();
  return std::accumulate(begin + first, begin + last + 1, 0.0) *
         static_cast<double>(row.runs_per_sample);
}

// What follows the last whole stretch belongs to none.
std::vector<Stretch> stretches(const Watched& watched, const std::vector<Round>& rounds,
                               bool counter, const Measurement& row) {
  std::vector<Stretch> out;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    const TelemetrySummary seen = summarise(watched, rounds[begin].start_s, rounds[i].end_s);
    if ((counter ? seen.energy_steps : seen.readings) < kLeastEnergySteps) continue;
    Stretch& one = out.emplace_back();
    one.first = rounds[begin].first;
    one.last = rounds[i].end - 1;
    one.sm_clock_hz = seen.sm_clock_hz;
    if (counter) {
      const double power_w = *seen.energy_j / (seen.end_s - seen.begin_s);
      one.energy_j = power_w * runs_s(row, one.first, one.last);
    }
    begin = i + 1;
  }
  return out;
}

}  // namespace

void note_sampling(const Watched& watched, const std::vector<Round>& rounds, Measurement& row) {
  if (rounds.empty()) return;
  const TelemetrySummary seen = summarise(watched, rounds.front().start_s, rounds.back().end_s);
  for (const ThrottleSpan& span : seen.throttled) {
    if (auto mark = throttled(span, rounds)) row.marks.push_back(std::move(*mark));
  }
  if (seen.energy_j && *seen.energy_j > 0) {
    const double power_w = *seen.energy_j / (seen.end_s - seen.begin_s);
    row.energy_j = power_w * runs_s(row, 0, std::ssize(row.time_s) - 1);
    row.energy_steps = seen.energy_steps;
    row.notes["energy_from"] = seen.energy_from;
  }
  const bool counter = seen.energy_from == "counter";
  if (counter || seen.sm_clock_hz) row.stretches = stretches(watched, rounds, counter, row);
  const int others = std::max(watched.before.other_processes.value_or(0),
                              watched.after.other_processes.value_or(0));
  if (others > 0) row.notes["other_processes"] = fmt::format("{}", others);
  const auto share = [&](const char* what, const std::optional<double>& value) {
    if (value) row.notes[what] = fmt::format("{:.4f}", *value);
  };
  share("others_busy_share", row.ranks == 1 ? seen.others_busy_share : std::nullopt);
  share("stolen_share", seen.stolen_share);
  share("monitor_core_share", seen.monitor_core_share);
  const auto count = [&](const char* what, const std::optional<std::uint64_t>& value) {
    if (value && *value > 0) row.notes[what] = fmt::format("{}", *value);
  };
  count("ecc_corrected", seen.ecc_corrected);
  count("ecc_uncorrected", seen.ecc_uncorrected);
  count("nvlink_errors", seen.nvlink_errors);
  for (const auto& [sensor, how_often] : seen.incomplete) row.notes["lost_" + sensor] = how_often;
}

}  // namespace trainmeter
