// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One layer: checked as a whole, its parts prepared on one stream, each verified by itself, then
// all measured together.
#include "bench/exit_code.hpp"
#include "bench/layer_measure.hpp"
#include "bench/layer_rows.hpp"
#include "bench/layer_ways.hpp"
#include "bench/monitor.hpp"
#include "bench/runner.hpp"
#include "bench/sentinel.hpp"
#include "kernels/one_stream.hpp"
#include "record/names.hpp"
#include "record/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

namespace trainmeter {
namespace {

// What was watched during `phases` alone.
Watched during(const Watched& watched, const std::vector<Round>& phases) {
  Watched out = watched;
  std::erase_if(out.samples, [&](const TelemetrySample& sample) {
    return std::ranges::none_of(phases, [&](const Round& phase) {
      return phase.start_s <= sample.at_s && sample.at_s <= phase.end_s;
    });
  });
  return out;
}

// The check that is closest to its bound speaks for a layer.
void take_check(const Check& check, Measurement& layer) {
  if (check.ok && layer.error_bound != 0 &&
      !(check.error * layer.error_bound > layer.error * check.bound)) {
    return;
  }
  layer.error = check.error;
  layer.error_bound = check.bound;
}

}  // namespace

Outcome Runner::run_layer(const Plan& plan) {
  const Case& layer = plan.main;
  Outcome outcome;
  const auto finished = [&](int code) { return ended(std::move(outcome), code); };
  const auto interrupted = [&] { return ended_by_interrupt(std::move(outcome)); };

  std::vector<std::unique_ptr<Operation>> operations;
  std::vector<Measurement> parts;
  Measurement whole = row_of(layer);
  whole.verified = true;
  whole.check = "each part by itself";
  try {
    const Check check = layer.check_whole();
    if (!check.ok) {
      note_check(check, true, whole);
      outcome.rows = {whole};
      return finished(kCheckFailed);
    }
    take_check(check, whole);
    whole.check += ", and " + check.how;
  } catch (const Unavailable& error) {
    whole.notes["whole_unchecked"] = error.what();
  }
  try {
    std::optional<OneStream> one;
    if (target_.kind == DeviceKind::gpu) one.emplace();
    for (const std::vector<Case>& ways : layer.parts) {
      if (stop_()) return interrupted();
      const Case* used = nullptr;
      operations.push_back(make_first(ways, operands_, used));
      parts.push_back(row_of(*used));
    }
  } catch (const Unavailable& error) {
    whole.verified = false;
    whole.failure = error.what();
    outcome.rows = {whole};
    return finished(kUnavailable);
  }

  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (stop_()) return interrupted();
    const Check check = operations[i]->verify();
    note_check(check, true, parts[i]);
    take_check(check, whole);
    if (check.ok) continue;
    whole.verified = false;
    outcome.rows.push_back(parts[i]);
  }
  if (!whole.verified) return finished(kCheckFailed);

  std::this_thread::sleep_for(std::chrono::duration<double>(rules_.rest_s));
  std::vector<Operation*> measured;
  for (const auto& operation : operations) measured.push_back(operation.get());
  const auto timer = target_.kind == DeviceKind::gpu ? make_gpu_sequence_timer()
                                                     : make_cpu_sequence_timer(steady_clock());
  Monitor monitor(*telemetry_, kTelemetryPeriod);
  LayerSamples samples =
      measure_layer(measured, layer.order, *timer, rules_of(plan), stop_, around_);
  if (samples.interrupted) return interrupted();
  const Watched watched = monitor.stop();
  outcome.settled = samples.settled;
  const auto add = [&](Measurement row, std::vector<double> time_s,
                       const std::vector<Round>& phases) {
    row.time_s = std::move(time_s);
    row.stopped = samples.stopped;
    row.probes = samples.probes;
    row.marks = changed_states(row.probes, std::ssize(row.time_s));
    note_telemetry(during(watched, phases), row);
    note_sampling(watched, phases, row);
    row.energy_j.reset();  // whose it was can't be told
    row.energy_steps = 0;
    row.stretches.clear();
    outcome.rows.push_back(std::move(row));
  };
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i].notes.merge(operations[i]->notes());
    Measurement in_place = parts[i];
    in_place.beside = "layer";
    in_place.runs_per_sample = std::ranges::count(layer.order, i);
    parts[i].runs_per_sample = kAloneRuns;
    add(std::move(in_place), std::move(samples.in_place_s[i]), samples.in_layer);
    add(std::move(parts[i]), std::move(samples.alone_s[i]), samples.alone);
  }
  if (!samples.launched_s.empty()) {
    whole.notes["launched_vs_layer"] =
        fmt::format("{:.4f}", median(samples.launched_s) / median(samples.whole_s));
  }
  add(std::move(whole), std::move(samples.whole_s), samples.in_layer);
  note_ratios(outcome.rows);
  outcome.shown = outcome.rows.size() - 1;
  return finished(kFine);
}

}  // namespace trainmeter
