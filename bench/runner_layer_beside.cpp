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

// One such run. False from a step: the outcome is known, and says why it ended.
class Runner::LayerBeside {
 public:
  LayerBeside(Runner& runner, const Plan& plan)
      : runner_(runner),
        plan_(plan),
        layer_(plan.main),
        problem_(layer_.overlap->beside),
        co_runner_(to_string(problem_.kind)),
        whole_(runner.row_of(layer_)) {}

  Outcome run() {
    if (prepare() && verify()) {
      pace();
      if (measure()) {
        for (std::size_t arm = 0; arm < arms_.size(); ++arm) add_rows_of(arm);
        add_layer_rows();
        add_co_runner_rows();
        end(kFine);
      }
    }
    return std::move(outcome_);
  }

 private:
  bool end(int code) {
    outcome_ = ended(std::move(outcome_), code);
    return false;
  }
  bool end_by_interrupt() {
    outcome_ = ended_by_interrupt(std::move(outcome_));
    return false;
  }

  bool prepare() {
    if (!right_as_a_whole(layer_, whole_)) {
      outcome_.rows = {whole_};
      return end(kCheckFailed);
    }
    try {
      beside_.emplace(runner_.target_.kind, problem_);
      std::optional<OneStream> one;
      if (runner_.target_.kind == DeviceKind::gpu) one.emplace();
      for (const std::vector<Case>& ways : layer_.parts) {
        if (runner_.stop_()) return end_by_interrupt();
        add_part(ways);
      }
    } catch (const Unavailable& error) {
      if (beside_) beside_->use_all();
      whole_.verified = false;
      whole_.failure = error.what();
      outcome_.rows = {whole_};
      return end(kUnavailable);
    }
    timer_ = sequence_timer(runner_.target_.kind);
    return true;
  }

  void add_part(const std::vector<Case>& ways) {
    const Case* used = nullptr;
    Part& part = parts_.emplace_back();
    part.whole = make_first(ways, runner_.operands_, used);
    part.all = runner_.row_of(*used);
    part.all.name += layer_.name.substr(layer_.name.rfind("/" + co_runner_ + "/"));
    part.all.shape[kCoSms] = problem_.sms;
    if (const auto rate = layer_.shape.find(kCoRate); rate != layer_.shape.end())
      part.all.shape.insert(*rate);
    part.all.notes[kOfLayer] = layer_.name;
    part.rest = part.all;
    if (!used->overlap) return;
    beside_->use_rest();
    part.share = used->overlap->make_rest(used->operands.value_or(runner_.operands_));
    beside_->use_all();
  }

  bool verify() {
    for (Part& part : parts_) {
      if (runner_.stop_()) return end_by_interrupt();
      note_check(part.whole->verify(), true, part.all);
      // A kernel that is loaded beside a co-runner may wait for its end.
      Rotation first(part.left());
      Rotation* const once[] = {&first};
      (void)timer_->laps(once);
      beside_->during(true, [&] { note_check(part.left().verify(), true, part.rest); });
      if (moved_.ok) moved_ = beside_->check();
      for (const Measurement* row : {&part.all, &part.rest}) {
        take_check(*row, whole_);
        if (!row->verified) outcome_.rows.push_back(*row);
      }
    }
    if (!whole_.verified) outcome_.rows.insert(outcome_.rows.begin(), whole_);
    Measurement mover = overlap_rows(whole_, co_runner_, problem_.sms, false).co_alone;
    note_check(moved_, true, mover);
    if (!moved_.ok) outcome_.rows.push_back(mover);
    return outcome_.rows.empty() || end(kCheckFailed);
  }

  void pace() {
    if (!(layer_.overlap->bytes_a_run > 0)) return;
    std::vector<Rotation> rotations;
    rotations.reserve(parts_.size());
    for (Part& part : parts_) rotations.emplace_back(part.left());
    std::vector<Rotation*> steps;
    for (const std::size_t part : layer_.order) steps.push_back(&rotations[part]);
    beside_->pace(layer_.overlap->bytes_a_run, steps, *timer_);
    whole_.notes["co_layer_bytes"] = fmt::format("{:.0f}", layer_.overlap->bytes_a_run);
    whole_.notes["co_paced_bytes_per_s"] = fmt::format("{:.0f}", beside_->bytes_per_s());
  }

  void make_arms() {
    for (Part& part : parts_) {
      arms_[kAll].parts.push_back(part.whole.get());
      for (const Arms arm : {kHeld, kTogether}) arms_[arm].parts.push_back(&part.left());
    }
    arms_[kHeld].begin = [this] { beside_->begin(false); };
    arms_[kHeld].end = [this] { return beside_->end(), true; };
    arms_[kTogether].begin = [this] { beside_->begin(true); };
    arms_[kTogether].look = [this](void* stream) { beside_->look(stream); };
    arms_[kTogether].end = [this] {
      const auto run_s = beside_->end();
      if (run_s) co_together_s_.push_back(*run_s);
      return run_s.has_value();
    };
  }

  bool measure() {
    make_arms();
    std::this_thread::sleep_for(std::chrono::duration<double>(runner_.rules_.rest_s));
    Monitor monitor(*runner_.telemetry_, kTelemetryPeriod);
    samples_ = measure_layers(arms_, layer_.order, *timer_, runner_.rules_of(plan_), runner_.stop_,
                              runner_.around_, [this] { co_alone_s_.push_back(beside_->alone()); });
    if (samples_.front().interrupted) return end_by_interrupt();
    watched_ = monitor.stop();
    outcome_.settled = samples_.front().settled;
    outcome_.brief = samples_.front().brief;
    of_layer_ = overlap_rows(whole_, co_runner_, problem_.sms, false);
    return true;
  }

  Measurement& layer_row(std::size_t arm) {
    return arm == kAll ? of_layer_.alone : arm == kHeld ? of_layer_.held : of_layer_.together;
  }

  // Its parts', and what the layer's own row says of them.
  void add_rows_of(std::size_t arm) {
    LayerSamples& taken = samples_[arm];
    Measurement& layer = layer_row(arm);
    std::vector<Measurement> rows;
    const auto add = [&](Measurement row, std::vector<double> time_s,
                         const std::vector<Round>& phases) {
      row.time_s = std::move(time_s);
      note_layer(taken, watched_, phases, row);
      rows.push_back(std::move(row));
    };
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      auto [in_place, alone] = rows_of_part(parts_[i], arm, co_runner_, problem_.sms);
      for (Measurement* row : {&in_place, &alone}) row->notes.merge(arms_[arm].parts[i]->notes());
      in_place.runs_per_sample = std::ranges::count(layer_.order, i);
      alone.runs_per_sample = kAloneRuns;
      add(std::move(in_place), std::move(taken.in_place_s[i]), taken.in_layer);
      add(std::move(alone), std::move(taken.alone_s[i]), taken.alone);
    }
    if (!taken.launched_s.empty()) {
      layer.notes["launched_vs_layer"] =
          fmt::format("{:.4f}", median(taken.launched_s) / median(taken.whole_s));
    }
    add(std::move(layer), std::move(taken.whole_s), taken.in_layer);
    note_ratios(rows);
    layer = std::move(rows.back());
    rows.pop_back();
    std::ranges::move(rows, std::back_inserter(outcome_.rows));
  }

  void add_layer_rows() {
    outcome_.shown = outcome_.rows.size();
    for (std::size_t arm = 0; arm < arms_.size(); ++arm)
      outcome_.rows.push_back(std::move(layer_row(arm)));
  }

  void add_co_runner_rows() {
    // Of the co-runner beside it, the last ones: what came before them was warm-up.
    const auto count = static_cast<std::ptrdiff_t>(co_alone_s_.size());
    of_layer_.co_alone.time_s = std::move(co_alone_s_);
    of_layer_.co_together.time_s.assign(co_together_s_.end() - count, co_together_s_.end());
    for (Measurement* row : {&of_layer_.co_alone, &of_layer_.co_together}) {
      note_check(moved_, true, *row);
      row->notes = {{"co_moves", layer_.notes.at("co_moves")}};
      for (const char* note : {"co_layer_bytes", "co_paced_bytes_per_s"})
        if (const auto found = whole_.notes.find(note); found != whole_.notes.end())
          row->notes.insert(*found);
      row->bytes = beside_->co_runner().bytes_of_run();
      row->stopped = samples_.front().stopped;
      row->probes = samples_.front().probes;
      row->marks = outcome_.rows[outcome_.shown].marks;
      outcome_.rows.push_back(std::move(*row));
    }
  }

  Runner& runner_;
  const Plan& plan_;
  const Case& layer_;
  const CoRunnerProblem& problem_;
  std::string co_runner_;  // as rows name it
  Outcome outcome_;
  Measurement whole_;
  std::vector<Part> parts_;
  // Destroyed before the operations: their memory isn't given back beside a co-runner.
  std::optional<Surroundings> beside_;
  std::unique_ptr<SequenceTimer> timer_;
  Check moved_{.ok = true};  // by the co-runner
  std::array<LayerArm, 3> arms_;
  std::vector<double> co_alone_s_, co_together_s_;
  std::vector<LayerSamples> samples_;  // by arm
  Watched watched_;
  OverlapRows of_layer_;
};

Outcome Runner::run_layer_beside(const Plan& plan) {
  return LayerBeside(*this, plan).run();
}

}  // namespace trainmeter
