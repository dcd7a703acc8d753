// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One layer beside a co-runner that moves what its experts' all-to-alls would: on all SMs; on those
// that are left while the co-runner holds the others idle; on the same while it works; and the
// co-runner alone. The layer, its parts in place and the same alone, in turn.
#include "bench/exit_code.hpp"
#include "bench/layer_measure.hpp"
#include "bench/layer_rows.hpp"
#include "bench/layer_run.hpp"
#include "bench/layer_ways.hpp"
#include "bench/or_else_ended.hpp"
#include "bench/runner.hpp"
#include "bench/until_it_moves.hpp"
#include "kernels/machine.hpp"
#include "kernels/one_stream.hpp"
#include "record/error.hpp"
#include "record/overlap.hpp"
#include "record/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace trainmeter {
namespace {

constexpr double kLimit = 120;         // seconds that a co-runner runs at most: a check, or a turn
constexpr double kLookedAt = 10e-3;    // seconds of the co-runner alone
constexpr std::int64_t kPaceRuns = 3;  // of the layer, to set the co-runner's pace by

struct Part {
  [[nodiscard]] Operation& left() const { return share ? *share : *whole; }

  std::unique_ptr<Operation> whole,
      share;              // for all SMs; for those left, where that is another one
  Measurement all, rest;  // their rows
};

// The layer on what is left, with or without traffic beside it.
class Surroundings {
 public:
  Surroundings(DeviceKind kind, const CoRunnerProblem& problem)
      : cpu_(kind == DeviceKind::cpu), problem_(problem), facts_(cpu_ ? cpu_info() : CpuInfo{}) {
    make();
  }

  // On a CPU, this many threads less than there are cores; nothing on a GPU.
  void use_all() const { use(facts_.cores); }
  void use_rest() const { use(facts_.cores - problem_.sms); }

  void begin(bool works) {
    use_rest();
    co_runner_->start(works, kLimit);
  }
  // Seconds of one run of the co-runner; none where it moved nothing.
  std::optional<double> end() {
    const Moved moved = co_runner_->stop();
    use_all();
    if (!(moved.bytes > 0)) return std::nullopt;
    return moved.seconds * co_runner_->bytes_of_run() / moved.bytes;
  }
  template <class Body>
  void during(bool works, Body body) {
    begin(works);
    or_else_ended(body, [this] { (void)end(); });
    (void)end();
  }
  void look(void* stream) { co_runner_->look(stream); }

  double alone() {
    return *until_it_moves([this](int) {
      co_runner_->start(true, kLimit);
      const auto looked_at = [this] {
        look(nullptr);
        std::this_thread::sleep_for(std::chrono::duration<double>(kLookedAt));
        look(nullptr);
      };
      or_else_ended(looked_at, [this] { (void)end(); });
      return end();
    });
  }

  // From here on so many bytes while `steps` run once beside it: its pace is theirs beside the idle
  // one, then theirs beside it at that pace.
  void pace(double bytes, std::span<Rotation* const> steps, SequenceTimer& timer) {
    for (const bool works : {false, true}) {
      std::vector<double> times;
      for (std::int64_t i = 0; i < kPaceRuns; ++i) {
        const SequenceTimer::Whole whole = timer.prepared(steps);
        during(works, [&] { times.push_back(whole(nullptr)); });
      }
      problem_.bytes_per_s = bytes / median(times);
      make();
    }
  }

  [[nodiscard]] double bytes_per_s() const { return problem_.bytes_per_s; }
  [[nodiscard]] const CoRunner& co_runner() const { return *co_runner_; }
  Check check() { return co_runner_->check(); }

 private:
  void make() {
    co_runner_.reset();
    co_runner_ = cpu_ ? make_cpu_co_runner(problem_) : make_gpu_co_runner(problem_);
  }
  void use(int threads) const {
    if (cpu_) pin_threads(facts_, threads);
  }

  bool cpu_;
  CoRunnerProblem problem_;
  CpuInfo facts_;
  std::unique_ptr<CoRunner> co_runner_;
};

enum Arms { kAll, kHeld, kTogether };

// A part's rows of one arm: in place, and alone.
std::pair<Measurement, Measurement> rows_of_part(const Part& part, std::size_t arm,
                                                 const std::string& co_runner,
                                                 std::int64_t co_sms) {
  const OverlapRows rows = overlap_rows(part.all, co_runner, co_sms, false);
  Measurement alone = arm == kAll ? rows.alone : arm == kHeld ? rows.held : rows.together;
  if (arm != kAll) {
    copy_check(part.rest, alone);
    alone.notes = part.rest.notes;
  }
  Measurement in_place = alone;
  in_place.beside = arm == kAll ? kInLayer : in_layer_beside(alone.beside);
  return {in_place, alone};
}

}  // namespace

Outcome Runner::run_layer_beside(const Plan& plan) {
  const Case& layer = plan.main;
  const CoRunnerProblem& problem = layer.overlap->beside;
  const std::string co_runner(to_string(problem.kind));
  Outcome outcome;
  const auto finished = [&](int code) { return ended(std::move(outcome), code); };
  const auto interrupted = [&] { return ended_by_interrupt(std::move(outcome)); };
  Measurement whole = row_of(layer);
  if (!right_as_a_whole(layer, whole)) {
    outcome.rows = {whole};
    return finished(kCheckFailed);
  }

  // Destroyed before the operations: their memory isn't given back beside a co-runner.
  std::vector<Part> parts;
  std::optional<Surroundings> beside;
  try {
    beside.emplace(target_.kind, problem);
    std::optional<OneStream> one;
    if (target_.kind == DeviceKind::gpu) one.emplace();
    const std::string of_all = layer.name.substr(layer.name.rfind("/" + co_runner + "/"));
    for (const std::vector<Case>& ways : layer.parts) {
      if (stop_()) return interrupted();
      const Case* used = nullptr;
      Part& part = parts.emplace_back();
      part.whole = make_first(ways, operands_, used);
      part.all = row_of(*used);
      part.all.name += of_all;
      part.all.shape[kCoSms] = problem.sms;
      if (const auto rate = layer.shape.find(kCoRate); rate != layer.shape.end())
        part.all.shape.insert(*rate);
      part.all.notes[kOfLayer] = layer.name;
      part.rest = part.all;
      if (!used->overlap) continue;
      beside->use_rest();
      part.share = used->overlap->make_rest(used->operands.value_or(operands_));
      beside->use_all();
    }
  } catch (const Unavailable& error) {
    if (beside) beside->use_all();
    whole.verified = false;
    whole.failure = error.what();
    outcome.rows = {whole};
    return finished(kUnavailable);
  }

  const auto timer = sequence_timer(target_.kind);
  Check moved{.ok = true};
  for (Part& part : parts) {
    if (stop_()) return interrupted();
    note_check(part.whole->verify(), true, part.all);
    // A kernel that is loaded beside a co-runner may wait for its end.
    Rotation first(part.left());
    Rotation* const once[] = {&first};
    (void)timer->laps(once);
    beside->during(true, [&] { note_check(part.left().verify(), true, part.rest); });
    if (moved.ok) moved = beside->check();
    for (const Measurement* row : {&part.all, &part.rest}) {
      take_check({.ok = row->verified, .error = row->error, .bound = row->error_bound}, whole);
      if (row->verified) continue;
      whole.verified = false;
      outcome.rows.push_back(*row);
    }
  }
  Measurement mover = overlap_rows(whole, co_runner, problem.sms, false).co_alone;
  note_check(moved, true, mover);
  if (!moved.ok) outcome.rows.push_back(mover);
  if (!outcome.rows.empty()) return finished(kCheckFailed);

  std::vector<Rotation> rotations;
  rotations.reserve(parts.size());
  for (Part& part : parts) rotations.emplace_back(part.left());
  std::vector<Rotation*> steps;
  for (const std::size_t part : layer.order) steps.push_back(&rotations[part]);
  if (layer.overlap->bytes_a_run > 0) {
    beside->pace(layer.overlap->bytes_a_run, steps, *timer);
    whole.notes["co_layer_bytes"] = fmt::format("{:.0f}", layer.overlap->bytes_a_run);
    whole.notes["co_paced_bytes_per_s"] = fmt::format("{:.0f}", beside->bytes_per_s());
  }

  std::array<LayerArm, 3> arms;
  for (Part& part : parts) {
    arms[kAll].parts.push_back(part.whole.get());
    for (const Arms arm : {kHeld, kTogether}) arms[arm].parts.push_back(&part.left());
  }
  std::vector<double> co_alone_s;
  std::vector<double> co_together_s;
  arms[kHeld].begin = [&] { beside->begin(false); };
  arms[kHeld].end = [&] { return beside->end(), true; };
  arms[kTogether].begin = [&] { beside->begin(true); };
  arms[kTogether].look = [&](void* stream) { beside->look(stream); };
  arms[kTogether].end = [&] {
    const auto run_s = beside->end();
    if (run_s) co_together_s.push_back(*run_s);
    return run_s.has_value();
  };
  std::this_thread::sleep_for(std::chrono::duration<double>(rules_.rest_s));
  Monitor monitor(*telemetry_, kTelemetryPeriod);
  std::vector<LayerSamples> samples =
      measure_layers(arms, layer.order, *timer, rules_of(plan), stop_, around_,
                     [&] { co_alone_s.push_back(beside->alone()); });
  if (samples.front().interrupted) return interrupted();
  const Watched watched = monitor.stop();
  outcome.settled = samples.front().settled;

  OverlapRows of_layer = overlap_rows(whole, co_runner, problem.sms, false);
  const std::array layers = {&of_layer.alone, &of_layer.held, &of_layer.together};
  for (std::size_t arm = 0; arm < arms.size(); ++arm) {
    LayerSamples& taken = samples[arm];
    std::vector<Measurement> rows;
    const auto add = [&](Measurement row, std::vector<double> time_s,
                         const std::vector<Round>& phases) {
      row.time_s = std::move(time_s);
      note_layer(taken, watched, phases, row);
      rows.push_back(std::move(row));
    };
    for (std::size_t i = 0; i < parts.size(); ++i) {
      auto [in_place, alone] = rows_of_part(parts[i], arm, co_runner, problem.sms);
      for (Measurement* row : {&in_place, &alone}) row->notes.merge(arms[arm].parts[i]->notes());
      in_place.runs_per_sample = std::ranges::count(layer.order, i);
      alone.runs_per_sample = kAloneRuns;
      add(std::move(in_place), std::move(taken.in_place_s[i]), taken.in_layer);
      add(std::move(alone), std::move(taken.alone_s[i]), taken.alone);
    }
    if (!taken.launched_s.empty()) {
      layers[arm]->notes["launched_vs_layer"] =
          fmt::format("{:.4f}", median(taken.launched_s) / median(taken.whole_s));
    }
    add(std::move(*layers[arm]), std::move(taken.whole_s), taken.in_layer);
    note_ratios(rows);
    *layers[arm] = std::move(rows.back());
    rows.pop_back();
    std::ranges::move(rows, std::back_inserter(outcome.rows));
  }
  outcome.shown = outcome.rows.size();
  for (Measurement* row : layers) outcome.rows.push_back(std::move(*row));
  // Of the co-runner beside it, the last ones: what came before them was warm-up.
  const auto count = static_cast<std::ptrdiff_t>(co_alone_s.size());
  of_layer.co_alone.time_s = std::move(co_alone_s);
  of_layer.co_together.time_s.assign(co_together_s.end() - count, co_together_s.end());
  for (Measurement* row : {&of_layer.co_alone, &of_layer.co_together}) {
    note_check(moved, true, *row);
    row->notes = {{"co_moves", layer.notes.at("co_moves")}};
    for (const char* note : {"co_layer_bytes", "co_paced_bytes_per_s"})
      if (const auto found = whole.notes.find(note); found != whole.notes.end())
        row->notes.insert(*found);
    row->bytes = beside->co_runner().bytes_of_run();
    row->stopped = samples.front().stopped;
    row->probes = samples.front().probes;
    row->marks = outcome.rows[outcome.shown].marks;
    outcome.rows.push_back(std::move(*row));
  }
  return finished(kFine);
}

}  // namespace trainmeter
