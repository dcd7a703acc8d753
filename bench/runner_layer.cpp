// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One layer: checked as a whole, its parts prepared on one stream, each verified by itself, then
// all measured together. Or two ways to compose it, whose wholes take turns.
#include "bench/exit_code.hpp"
#include "bench/layer_in_turn.hpp"
#include "bench/layer_measure.hpp"
#include "bench/layer_rows.hpp"
#include "bench/layer_run.hpp"
#include "bench/layer_ways.hpp"
#include "bench/monitor.hpp"
#include "bench/runner.hpp"
#include "bench/sentinel.hpp"
#include "kernels/one_stream.hpp"
#include "record/overlap.hpp"
#include "record/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace trainmeter {
namespace {

// A part of one layer or of both, with the way that was used.
struct Part {
  std::unique_ptr<Operation> operation;
  Measurement row;
  std::optional<Rotation> rotation;
};

// "onednn 10 openblas 2": how many of the layer's GEMMs each backend does.
std::string gemms_by(const std::vector<const Part*>& steps) {
  std::map<std::string, int> count;
  for (const Part* step : steps) {
    if (step->row.operation == "gemm" || step->row.operation == "grouped_gemm")
      ++count[step->row.backend];
  }
  std::string out;
  for (const auto& [backend, times] : count)
    out += fmt::format("{}{} {}", out.empty() ? "" : " ", backend, times);
  return out;
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
  if (!right_as_a_whole(layer, whole)) {
    outcome.rows = {whole};
    return finished(kCheckFailed);
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
    note_check(operations[i]->verify(), true, parts[i]);
    take_check(parts[i], whole);
  }
  if (!whole.verified) {
    outcome.rows = {whole};
    std::ranges::copy_if(parts, std::back_inserter(outcome.rows),
                         [](const Measurement& part) { return !part.verified; });
    return finished(kCheckFailed);
  }

  std::this_thread::sleep_for(std::chrono::duration<double>(rules_.rest_s));
  std::vector<Operation*> measured;
  for (const auto& operation : operations) measured.push_back(operation.get());
  const auto timer = sequence_timer(target_.kind);
  Monitor monitor(*telemetry_, kTelemetryPeriod);
  LayerSamples samples =
      measure_layer(measured, layer.order, *timer, rules_of(plan), stop_, around_);
  if (samples.interrupted) return interrupted();
  const Watched watched = monitor.stop();
  outcome.settled = samples.settled;
  outcome.brief = samples.brief;
  const auto add = [&](Measurement row, std::vector<double> time_s,
                       const std::vector<Round>& phases) {
    row.time_s = std::move(time_s);
    note_layer(samples, watched, phases, row);
    outcome.rows.push_back(std::move(row));
  };
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i].notes.merge(operations[i]->notes());
    Measurement in_place = parts[i];
    in_place.beside = kInLayer;
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

Outcome Runner::run_layers(const Plan& plan) {
  const std::vector<const Case*> layers = {&plan.main, &*plan.versus};
  Outcome outcome;
  for (const Case* layer : layers) outcome.rows.push_back(row_of(*layer));
  outcome.rows[0].paired_with = plan.versus->name;
  outcome.rows[1].paired_with = plan.main.name;
  const auto finished = [&](int code) { return ended(std::move(outcome), code); };
  const auto interrupted = [&] { return ended_by_interrupt(std::move(outcome)); };

  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (stop_()) return interrupted();
    if (right_as_a_whole(*layers[i], outcome.rows[i])) continue;
    outcome.rows = {outcome.rows[i]};  // the other one wasn't measured
    return finished(kCheckFailed);
  }
  std::map<std::string, Part> parts;  // by the name of the preferred way
  try {
    std::optional<OneStream> one;
    if (target_.kind == DeviceKind::gpu) one.emplace();
    for (const Case* layer : layers) {
      for (const std::vector<Case>& ways : layer->parts) {
        if (stop_()) return interrupted();
        Part& part = parts[ways.front().name];
        if (part.operation) continue;
        const Case* used = nullptr;
        part.operation = make_first(ways, operands_, used);
        part.row = row_of(*used);
        part.rotation.emplace(*part.operation);
      }
    }
  } catch (const Unavailable& error) {
    for (Measurement& row : outcome.rows) {
      row.verified = false;
      row.failure = error.what();
    }
    return finished(kUnavailable);
  }
  std::vector<Measurement> wrong;
  for (auto& [name, part] : parts) {
    if (stop_()) return interrupted();
    note_check(part.operation->verify(), true, part.row);
    if (!part.row.verified) wrong.push_back(part.row);
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    for (const std::vector<Case>& ways : layers[i]->parts)
      take_check(parts.at(ways.front().name).row, outcome.rows[i]);
  }
  if (!wrong.empty()) {  // a right layer wasn't measured, so it has nothing to say
    std::erase_if(outcome.rows, [](const Measurement& layer) { return layer.verified; });
    std::ranges::move(wrong, std::back_inserter(outcome.rows));
    return finished(kCheckFailed);
  }

  std::vector<std::unique_ptr<WholeLayer>> wholes;
  std::vector<Operation*> measured;
  std::vector<Measurement*> rows;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    std::vector<const Part*> in_order;
    std::vector<Rotation*> steps;
    for (const std::size_t place : layers[i]->order) {
      Part& part = parts.at(layers[i]->parts[place].front().name);
      in_order.push_back(&part);
      steps.push_back(&*part.rotation);
    }
    outcome.rows[i].notes["gemms_by"] = gemms_by(in_order);
    wholes.push_back(std::make_unique<WholeLayer>(std::move(steps)));
    measured.push_back(wholes.back().get());
    rows.push_back(&outcome.rows[i]);
  }
  const auto timer = sequence_timer(target_.kind);
  WholeTimer whole_timer(*timer, timer_->resolution_s());
  if (!sample(measured, whole_timer, rules_of(plan), nullptr, rows, outcome)) return interrupted();
  std::ranges::for_each(outcome.rows, forget_energy);
  return finished(kFine);
}

}  // namespace trainmeter
