// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What was watched, into a row of the record.
#include "bench/monitor.hpp"

#include <fmt/format.h>

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

}  // namespace

void note_sampling(const Watched& watched, const std::vector<Round>& rounds, Measurement& row) {
  if (rounds.empty()) return;
  const TelemetrySummary seen = summarise(watched, rounds.front().start_s, rounds.back().end_s);
  for (const ThrottleSpan& span : seen.throttled) {
    if (auto mark = throttled(span, rounds)) row.marks.push_back(std::move(*mark));
  }
  const double runs_s = std::accumulate(row.time_s.begin(), row.time_s.end(), 0.0) *
                        static_cast<double>(row.runs_per_sample);
  if (seen.energy_j && *seen.energy_j > 0) {
    row.energy_j = *seen.energy_j / (seen.end_s - seen.begin_s) * runs_s;
    row.notes["energy_from"] = seen.energy_from;
  }
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
