// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Prepare, verify, measure: in that order, and never a time of a wrong result.
#include "bench/runner.hpp"

#include "bench/exit_code.hpp"
#include "bench/monitor.hpp"
#include "bench/sentinel.hpp"
#include "kernels/sm_share.hpp"
#include "record/names.hpp"
#include "record/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>
#include <utility>

namespace trainmeter {
namespace {

// Who kept the others waiting most often, where the ranks' times differ.
void note_slowest(const std::map<int, std::int64_t>& slowest, const std::vector<std::string>& hosts,
                  Measurement& row) {
  const auto most = std::ranges::max_element(
      slowest, [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == slowest.end()) return;
  row.notes["slowest_rank"] = std::to_string(most->first);
  row.notes["slowest_rank_host"] = hosts.at(static_cast<std::size_t>(most->first));
  row.notes["slowest_rank_share"] = fmt::format(
      "{:.2f}", static_cast<double>(most->second) / static_cast<double>(row.time_s.size()));
}

// Both ways of timing a GPU beside each other, in the notes.
void check_by_graph(Operation& operation, Timer& timer, Measurement& row) {
  constexpr double kSpan = 5e-3;  // seconds of a graph, of 4 to 200 runs
  constexpr double kLongest = 50e-3;
  const double median_s = median(row.time_s);
  if (!(median_s < kLongest)) return;
  Rotation rotation(operation);
  const auto runs = std::llround(std::clamp(kSpan / median_s, 4.0, 200.0));
  if (const auto graph_s = timer.time_as_graph(rotation, runs)) {
    row.notes[kGraphNote] = fmt::format("{:.4f}", *graph_s / median_s);
  }
}

}  // namespace

void note_check(const Check& check, bool ok_everywhere, Measurement& row) {
  row.verified = check.ok && ok_everywhere;
  row.error = check.error;
  row.error_bound = check.bound;
  row.check = check.how;
  if (!check.ok) {
    row.failure = fmt::format("wrong result: error {:.3g}, allowed {:.3g} ({})", check.error,
                              check.bound, check.how);
    if (check.wrong > 0) row.failure += fmt::format(", {} elements are wrong", check.wrong);
  } else if (!ok_everywhere) {
    row.failure = "wrong result on another rank";
  }
}

void copy_check(const Measurement& from, Measurement& to) {
  to.verified = from.verified;
  to.error = from.error;
  to.error_bound = from.error_bound;
  to.check = from.check;
}

void forget_energy(Measurement& row) {
  row.energy_j.reset();
  row.energy_steps = 0;
  row.stretches.clear();
}

bool at_odds_with_graph(const Measurement& row) {
  constexpr double kLongEnough = 100e-6;  // below, an event's own time shows
  constexpr double kMost = 0.03;
  const auto found = row.notes.find(kGraphNote);
  if (found == row.notes.end() || !(median(row.time_s) >= kLongEnough)) return false;
  return !(std::abs(std::stod(found->second) - 1) < kMost);
}

Runner::Runner(RunnerSetup setup)
    : target_(std::move(setup.target)),
      rules_(setup.rules),
      operands_(setup.operands),
      timer_(std::move(setup.timer)),
      world_(setup.world),
      stop_(std::move(setup.stop)),
      around_(std::move(setup.around)),
      devices_(std::move(setup.devices)),
      telemetry_(target_.kind == DeviceKind::gpu ? gpu_telemetry(target_.device.details.at("uuid"))
                                                 : cpu_telemetry(cpu_info())) {}

bool Runner::all(bool mine) const {
  return world_ == nullptr ? mine : world_->all(mine);
}

Measurement Runner::row_of(const Case& what) const {
  Measurement row;
  row.name = what.name;
  row.operation = what.operation;
  row.dtype = what.dtype;
  row.backend = what.backend;
  row.shape = what.shape;
  row.layout = what.layout;
  row.scaling = what.scaling;
  row.notes = what.notes;
  row.flops = what.flops;
  row.bytes = what.bytes;
  row.ranks = world_ == nullptr || !devices_.empty() ? 1 : world_->group().ranks();
  row.sms = what.cores > 0 ? what.cores : target_.device.sms;
  return row;
}

Outcome Runner::run(const Plan& plan) {
  if (!plan.main.parts.empty()) {
    return plan.versus         ? run_layers(plan)
           : plan.main.overlap ? run_layer_beside(plan)
                               : run_layer(plan);
  }
  if (world_ == nullptr || world_->ranks() == 1) return run_in_step(plan);
  try {
    return run_in_step(plan);
  } catch (...) {
    const int rank = world_->rank();
    const std::string who =
        devices_.empty()
            ? fmt::format("rank {}", rank)
            : fmt::format("device {} ({})", rank, devices_[static_cast<std::size_t>(rank)]);
    throw OutOfStep(fmt::format("{}: {}: {}", who, plan.main.name, failure_in_flight().text));
  }
}

Outcome ended(Outcome outcome, int code) {
  for (Measurement& row : outcome.rows) row.at = utc_now();
  outcome.code = code;
  return outcome;
}

Outcome ended_by_interrupt(Outcome outcome) {
  outcome.rows.clear();
  outcome.interrupted = true;
  return outcome;
}

Outcome Runner::run_in_step(const Plan& plan) {
  if (plan.main.overlap) return run_beside(plan);
  Outcome outcome;
  std::vector<const Case*> cases = {&plan.main};
  if (plan.versus) cases.push_back(&*plan.versus);
  for (const Case* one : cases) outcome.rows.push_back(row_of(*one));
  if (plan.versus) {
    outcome.rows[0].paired_with = plan.versus->name;
    outcome.rows[1].paired_with = plan.main.name;
  }
  if (!devices_.empty()) outcome.rows = {on_this_device(outcome.rows.front())};
  const auto finished = [&](int code) { return ended(std::move(outcome), code); };
  const auto interrupted = [&] { return ended_by_interrupt(std::move(outcome)); };

  std::vector<std::unique_ptr<Operation>> operations;
  std::string why;
  try {
    for (const Case* one : cases)
      operations.push_back(one->make(one->operands.value_or(operands_)));
  } catch (...) {
    const Failure failure = failure_in_flight();
    if (failure.code != kUnavailable) throw;
    why = failure.text;
  }
  if (!all(why.empty())) {
    if (why.empty() && devices_.empty()) why = "another rank could not prepare it";
    for (Measurement& row : outcome.rows) row.failure = why;
    if (!devices_.empty()) outcome.rows = failed_on_devices(outcome.rows.front());
    return finished(kUnavailable);
  }

  bool right = true;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (!all(!stop_())) return interrupted();
    if (!rules_.check) {
      // Untimed all the same: NCCL connects in a first run, which mustn't find its stream held.
      operations[i]->run(0);
      outcome.rows[i].check = "not checked";
      continue;
    }
    const Check check = operations[i]->verify();
    if (i == 0) outcome.wrong = check.wrong;
    const bool ok_everywhere = all(check.ok);
    note_check(check, ok_everywhere || !devices_.empty(), outcome.rows[i]);
    right = right && ok_everywhere;
  }
  if (!right) {  // the right one of a pair wasn't measured, so it has nothing to say
    if (!devices_.empty()) outcome.rows = failed_on_devices(outcome.rows.front());
    std::erase_if(outcome.rows, [](const Measurement& row) { return row.verified; });
    return finished(kCheckFailed);
  }

  if (!devices_.empty()) return run_together(plan, *operations.front(), std::move(outcome));
  std::vector<Operation*> measured;
  std::vector<Measurement*> rows;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    measured.push_back(operations[i].get());
    rows.push_back(&outcome.rows[i]);
  }
  if (!sample(measured, *timer_, rules_of(plan), world_, rows, outcome)) return interrupted();
  if (outcome.rows.size() > 1) std::ranges::for_each(outcome.rows, forget_energy);
  return finished(kFine);
}

Rules Runner::rules_of(const Plan& plan) {
  Rules rules = plan.rules.value_or(rules_);
  rules.warmup_s = std::max(rules.warmup_s, rules.first_warmup_s);
  rules.max_warmup_s = std::max(rules.max_warmup_s, 2 * rules.warmup_s);
  rules_.first_warmup_s = 0;
  return rules;
}

bool Runner::sample(const std::vector<Operation*>& operations, Timer& timer, const Rules& rules,
                    World* world, const std::vector<Measurement*>& rows, Outcome& outcome) {
  std::this_thread::sleep_for(std::chrono::duration<double>(rules.rest_s));
  Monitor monitor(*telemetry_, kTelemetryPeriod);
  Measured measured = measure(operations, timer, rules, world, stop_, around_);
  if (measured.interrupted) return false;
  const Watched watched = monitor.stop();
  outcome.settled = outcome.settled && measured.settled;
  outcome.brief = outcome.brief || measured.brief;
  outcome.runs_per_sample = measured.of.front().runs_per_sample;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    Measurement& row = *rows[i];
    row.time_s = std::move(measured.of[i].time_s);
    row.runs_per_sample = measured.of[i].runs_per_sample;
    row.stopped = measured.stopped;
    row.notes.merge(operations[i]->notes());
    if (const auto own = row.notes.find(kSmsNote); own != row.notes.end())
      row.sms = std::stoll(own->second);
    if (world != nullptr && devices_.empty())
      note_slowest(measured.of[i].slowest, world->hosts(), row);
    row.probes = measured.probes;
    row.marks = changed_states(row.probes, static_cast<std::int64_t>(row.time_s.size()));
    note_telemetry(watched, row);
    note_sampling(watched, measured.rounds, row);
    if (world == nullptr && !around_.before_run) check_by_graph(*operations[i], timer, row);
  }
  return true;
}

}  // namespace trainmeter
