// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/counters.hpp"

#include "bench/expected.hpp"
#include "bench/layer_rows.hpp"
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/overlap.hpp"
#include "record/samples.hpp"
#include "record/statistics.hpp"
#include "record/wire_bytes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace trainmeter {
namespace {

// Times over times: what fewer SMs cost, what the traffic on the others adds, and what the
// traffic loses; and of a pair how much faster the first one is, alone and beside the traffic.
void show_interference(benchmark::State& state, const Outcome& outcome) {
  Record record;
  for (const Measurement& row : outcome.rows) record.lines.push_back({.measurement = row});
  const std::vector<Interference> found = interferences(record);
  if (!found.empty()) {
    const Interference& one = found.front();
    state.counters["by_sms"] = one.sms.median;
    state.counters["by_traffic"] = one.traffic.median;
    state.counters["co_GB/s"] =
        rate(one.co_together->bytes, median_time(*one.co_together).median) / 1e9;
    state.counters["co_by_traffic"] = one.co_traffic.median;
  }
  for (const InterferencePair& pair : interference_pairs(found)) {
    const std::string& backend = pair.other->alone->backend;
    state.counters["speed_vs_" + backend] = pair.alone.median;
    if (pair.alone.interval) state.counters["speed_ci95_pct"] = pair.alone.half_width() * 100;
    state.counters["beside_speed_vs_" + backend] = pair.together.median;
    if (pair.together.interval)
      state.counters["beside_speed_ci95_pct"] = pair.together.half_width() * 100;
  }
}

// What the busiest rank has on its links, where the algorithm is known, or between what it lies
// where NCCL chose; and what was expected.
void show_links(benchmark::State& state, const Measurement& row, double median_s) {
  if (row.ranks < 2 || row.shape.contains("virtual_ranks")) return;
  const auto wire = [&](const char* name, double factor) {
    if (factor > 0) state.counters[name] = rate(row.bytes, median_s) * factor / 1e9;
  };
  const std::string algorithm = wire_algorithm(row.operation, row.notes);
  if (!algorithm.empty()) {
    wire("wire_GB/s", wire_factor(row.operation, algorithm, row.ranks));
  } else if (row.backend == "nccl") {
    const WireRange range = nccl_wire_range(row.operation, row.ranks);
    wire("wire_least_GB/s", range.least);
    wire("wire_most_GB/s", range.most);
  }
  if (const auto found = row.notes.find(kExpectedNote); found != row.notes.end()) {
    state.counters["expected_bus_GB/s"] = std::stod(found->second) / 1e9;
  }
}

// How the single iterations of a collective lie, and who was the slowest; nothing where samples
// are means of several.
void show_iterations(benchmark::State& state, const Measurement& row) {
  if (row.runs_per_sample == 1) {
    state.counters["p50_s"] = quantile(row.time_s, 0.50);
    state.counters["p95_s"] = quantile(row.time_s, 0.95);
    state.counters["p99_s"] = quantile(row.time_s, 0.99);
  }
  const auto slowest = row.notes.find("slowest_rank");
  if (slowest != row.notes.end()) state.counters["slowest_rank"] = std::stod(slowest->second);
}

// Which GEMMs of a model's step a case is.
std::string label_of(const Measurement& row) {
  const auto in_step = row.notes.find("in_step");
  if (in_step == row.notes.end()) return {};
  const auto tokens = row.notes.find("tokens_of_experts");
  return tokens == row.notes.end()
             ? in_step->second
             : fmt::format("{}; tokens of experts: {}", in_step->second, tokens->second);
}

}  // namespace

void show_counters(benchmark::State& state, const Outcome& outcome, const Measurement& row) {
  const MedianEstimate time = median_time(row);
  const double median_s = time.median;
  while (state.KeepRunning()) state.SetIterationTime(median_s);
  if (const std::string label = label_of(row); !label.empty()) state.SetLabel(label);
  if (row.flops > 0) {
    state.counters["TFLOP/s"] = rate(row.flops, median_s) / 1e12;
  } else {
    state.counters["GB/s"] = rate(row.bytes, median_s) / 1e9;
  }
  if (std::ranges::find(collective_names(), row.operation) != collective_names().end()) {
    state.counters["bus_GB/s"] =
        rate(row.bytes, median_s) * bus_factor(row.operation, row.ranks) / 1e9;
    show_links(state, row, median_s);
    show_iterations(state, row);
  }
  if (const auto worth = work_per_joule(row)) {
    state.counters[row.flops > 0 ? "FLOP/J" : "B/J"] = *worth;
  }
  if (const auto worth = flops_per_cycle(row)) state.counters["FLOP/cycle/SM"] = *worth;
  if (const auto found = row.notes.find(kGraphNote); found != row.notes.end()) {
    state.counters["graph_vs_events"] = std::stod(found->second);
  }
  for (const char* name : kLayerNotes) {
    const auto found = row.notes.find(name);
    if (found != row.notes.end()) state.counters[name] = std::stod(found->second);
  }
  state.counters["samples"] = static_cast<double>(row.time_s.size());
  if (time.interval) state.counters["ci95_pct"] = time.half_width() * 100;
  if (!row.marks.empty()) {
    state.counters["left_out"] = static_cast<double>(counted_samples(row).left_out);
  }
  state.counters["spread"] = median_absolute_deviation(row.time_s) / median_s;
  state.counters["runs_per_sample"] = static_cast<double>(outcome.runs_per_sample);
  if (row.shape.contains(kCoSms)) show_interference(state, outcome);
  if (!row.paired_with.empty() && !row.shape.contains(kCoSms)) {
    const Measurement& other = outcome.rows[1];
    const MedianEstimate speed = paired_ratio(other, row);  // its time over ours
    const std::string name =
        other.backend != row.backend ? other.backend : other.name.substr(row.name.size() + 1);
    state.counters["speed_vs_" + name] = speed.median;
    if (speed.interval) state.counters["speed_ci95_pct"] = speed.half_width() * 100;
  }
}

}  // namespace trainmeter
