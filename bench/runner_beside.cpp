// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One case beside a co-runner: on all SMs alone; on those that are left while the co-runner holds
// the others idle; on the same while it works; the co-runner alone; and, where the case could be
// told of the SMs that are left but often isn't, with the grid for all of them. Sample by sample in
// turn; with --versus all of it for both cases.
#include "bench/exit_code.hpp"
#include "bench/or_else_ended.hpp"
#include "bench/overlap.hpp"
#include "bench/runner.hpp"
#include "bench/until_it_moves.hpp"
#include "kernels/collective_layout.hpp"
#include "kernels/one_stream.hpp"
#include "record/error.hpp"
#include "record/median_estimate.hpp"
#include "record/names.hpp"
#include "record/overlap.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace trainmeter {
namespace {

constexpr double kCheckingLimit = 120;  // seconds: a result is checked on the host meanwhile
// Least span of a sample: what surrounds it (two looks; on a CPU, threads that get going) is little
// beside it.
constexpr double kLeastOfGpu = 0.5e-3;
constexpr double kLeastOfCpu = 5e-3;
constexpr double kLeastOfCollective = 20e-3;  // several of its runs, of which whole ones count

std::unique_ptr<CoRunner> make_co_runner(DeviceKind kind, const CoRunnerProblem& problem) {
  return kind == DeviceKind::gpu ? make_gpu_co_runner(problem) : make_cpu_co_runner(problem);
}

// One of the cases beside the co-runner: what is prepared for it, its rows, and which arm takes the
// times of which row.
struct Side {
  struct ArmOfRow {
    ArmOfRow(Operation* operation, Beside beside, int threads, Measurement& of)
        : arm(operation, beside, threads), row(&of) {}
    Arm arm;
    Measurement* row;
  };

  Side(const Case& one, const Measurement& row, bool may_crowd)
      : of(&one),
        rows(rows_beside(row, one.overlap->beside, one.overlap->make_rest && may_crowd)) {}

  Operation& left() { return share ? *share : *whole; }

  // Each row that isn't checked by itself has the check of one with the same result.
  void checks_for_all() {
    copy_check(rows.together, rows.held);
    copy_check(rows.co_together, rows.co_alone);
    if (rows.crowded) copy_check(rows.alone, *rows.crowded);
  }

  // On a CPU, of so many threads; 0 on a GPU.
  void add_arms(int all, int rest) {
    arms.emplace_back(whole.get(), Beside::nothing, all, rows.alone);
    arms.emplace_back(&left(), Beside::idle, rest, rows.held);
    together = &arms.emplace_back(&left(), Beside::traffic, rest, rows.together).arm;
    arms.emplace_back(nullptr, Beside::traffic, 0, rows.co_alone);
    if (rows.crowded) arms.emplace_back(whole.get(), Beside::traffic, 0, *rows.crowded);
  }

  const Case* of;
  OverlapRows rows;
  std::unique_ptr<Operation> whole, share;
  std::deque<ArmOfRow> arms;  // in the order of their turns
  Arm* together = nullptr;    // of them
};

}  // namespace

OverlapRows rows_beside(const Measurement& alone, const CoRunnerProblem& co_runner, bool crowded) {
  OverlapRows out =
      overlap_rows(alone, std::string(to_string(co_runner.kind)), co_runner.sms, crowded);
  if (!is_collective(co_runner.kind)) return out;
  for (Measurement* row : {&out.co_alone, &out.co_together}) {
    row->operation = to_string(CollectiveKind::all_reduce);
    row->ranks = co_runner.ranks;
  }
  return out;
}

double OverlapTimer::resolution_s() const {
  return std::max(inner_.resolution_s(), least_s_ / 100);  // of which a sample spans a hundred
}

Moved OverlapTimer::beside(bool works, const std::function<void(std::int64_t times)>& sample) {
  constexpr int kMostDoublings = 5;
  return *until_it_moves([&](int number) -> std::optional<Moved> {
    co_runner_.start(works);
    or_else_ended([&] { sample(std::int64_t{1} << std::min(number, kMostDoublings)); },
                  [this] { (void)co_runner_.stop(); });
    const Moved moved = co_runner_.stop();
    if (works && !(moved.bytes > 0)) return std::nullopt;
    return moved;
  });
}

std::vector<double> OverlapTimer::take(Rotation& rotation, std::int64_t samples,
                                       std::int64_t batch) {
  const auto& arm = dynamic_cast<const Arm&>(*rotation.operation);
  if (arm.threads() > 0) pin_threads(cpu_, arm.threads());
  if (arm.beside() == Beside::nothing) return inner_.take(rotation, samples, batch);
  const auto run_s = [this](const Moved& moved) {
    return moved.seconds * co_runner_.bytes_of_run() / moved.bytes;
  };
  const bool works = arm.beside() == Beside::traffic;
  std::vector<double> times;
  for (std::int64_t i = 0; i < samples; ++i) {
    if (arm.of() == nullptr) {
      times.push_back(run_s(beside(true, [&](std::int64_t as_long) {
        const auto length_s = static_cast<double>(2 * as_long) * least_s_;
        co_runner_.look(nullptr);
        std::this_thread::sleep_for(std::chrono::duration<double>(length_s));
        co_runner_.look(nullptr);
      })));
      continue;
    }
    double time_s = 0;
    const Moved moved = beside(works, [&](std::int64_t as_long) {
      time_s = inner_.take_between(rotation, batch * as_long,
                                   [this](void* stream) { co_runner_.look(stream); });
    });
    times.push_back(time_s);
    if (works) co_runner_s_[&arm].push_back(run_s(moved));
  }
  return times;
}

// One such run. False from a step: the outcome is known, and says why it ended.
class Runner::CaseBeside {
 public:
  CaseBeside(Runner& runner, const Plan& plan)
      : runner_(runner),
        plan_(plan),
        problem_(plan.main.overlap->beside),
        cpu_(runner.target_.kind == DeviceKind::cpu),
        all_(static_cast<int>(runner.target_.device.sms)),
        rest_(all_ - problem_.sms),
        facts_(cpu_ ? cpu_info() : CpuInfo{}) {
    sides_.emplace_back(plan.main, runner.row_of(plan.main), !cpu_);
    if (!plan.versus) return;
    sides_.emplace_back(*plan.versus, runner.row_of(*plan.versus), !cpu_);
    sides_[0].rows.alone.paired_with = plan.versus->name;
    sides_[1].rows.alone.paired_with = plan.main.name;
  }

  Outcome run() {
    if (prepare() && verify() && measure()) {
      std::vector<Measurement*> rows;
      for (Side& side : sides_) add_rows_of(side, rows);
      for (Measurement* row : rows) forget_energy(*row);
      end(kFine, rows);
    }
    return std::move(outcome_);
  }

 private:
  void use(int threads) {
    if (cpu_) pin_threads(facts_, threads);
  }

  bool end(int code, const std::vector<Measurement*>& rows) {
    for (Measurement* row : rows) outcome_.rows.push_back(std::move(*row));
    outcome_ = ended(std::move(outcome_), code);
    return false;
  }

  bool prepare() {
    try {
      // A share of the SMs is then a grid, not a green context: which SMs are left is the
      // co-runner's to say. Its own streams are others.
      std::optional<OneStream> one;
      if (!cpu_) one.emplace();
      for (Side& side : sides_) {
        const OperandOptions operands = side.of->operands.value_or(runner_.operands_);
        use(all_);
        side.whole = side.of->make(operands);
        use(rest_);
        if (side.of->overlap->make_rest) side.share = side.of->overlap->make_rest(operands);
      }
      one.reset();
      co_runner_ = make_co_runner(runner_.target_.kind, problem_);
      return true;
    } catch (...) {
      const Failure failure = failure_in_flight();
      use(all_);
      if (failure.code != kUnavailable) throw;
      std::vector<Measurement*> failed;
      for (Side& side : sides_) {
        side.rows.alone.failure = failure.text;
        failed.push_back(&side.rows.alone);
      }
      return end(kUnavailable, failed);
    }
  }

  // The result beside the traffic, and the traffic beside it.
  bool verify() {
    std::vector<Measurement*> wrong;
    for (Side& side : sides_) {
      use(all_);
      note_check(side.whole->verify(), true, side.rows.alone);
      use(rest_);
      Rotation first(side.left());
      // A kernel that is loaded beside a co-runner may wait for its end.
      runner_.timer_->take(first, 1, 1);
      co_runner_->start(true, kCheckingLimit);
      or_else_ended([&] { note_check(side.left().verify(), true, side.rows.together); },
                    [&] { (void)co_runner_->stop(); });
      (void)co_runner_->stop();
      note_check(co_runner_->check(), true, side.rows.co_together);
      side.checks_for_all();
      for (Measurement* row : {&side.rows.alone, &side.rows.together, &side.rows.co_together})
        if (!row->verified) wrong.push_back(row);
    }
    if (wrong.empty()) return true;
    use(all_);
    return end(kCheckFailed, wrong);
  }

  bool measure() {
    std::vector<Operation*> arms;
    std::vector<Measurement*> rows;
    for (Side& side : sides_) {
      side.add_arms(cpu_ ? all_ : 0, cpu_ ? rest_ : 0);
      for (Side::ArmOfRow& of : side.arms) {
        arms.push_back(&of.arm);
        rows.push_back(of.row);
      }
    }
    const double least_s = is_collective(problem_.kind) ? kLeastOfCollective
                           : cpu_                       ? kLeastOfCpu
                                                        : kLeastOfGpu;
    timer_.emplace(*runner_.timer_, *co_runner_, facts_, least_s);
    Rules rules = runner_.rules_of(plan_);
    if (plan_.versus)  // as many as an interval of their ratio wants
      rules.min_samples = std::max(rules.min_samples, std::int64_t{kLeastSamplesForInterval});
    outcome_.interrupted = !runner_.sample(arms, *timer_, rules, nullptr, rows, outcome_);
    use(all_);
    return !outcome_.interrupted;
  }

  // The arms' rows, then that of the co-runner beside its case.
  void add_rows_of(Side& side, std::vector<Measurement*>& rows) {
    // Of the co-runner beside it, the last ones: what came before them was warm-up.
    const std::vector<double>& beside_s = timer_->co_runner_s(*side.together);
    OverlapRows& of = side.rows;
    const auto count = static_cast<std::ptrdiff_t>(of.together.time_s.size());
    of.co_together.time_s.assign(beside_s.end() - count, beside_s.end());
    of.co_together.stopped = of.together.stopped;
    for (Measurement* row : {&of.co_alone, &of.co_together}) {
      row->bytes = co_runner_->bytes_of_run();
      row->backend = co_runner_->backend();
      row->dtype = co_runner_->dtype();
      if (is_collective(problem_.kind)) row->shape["bytes"] = static_cast<std::int64_t>(row->bytes);
      for (const auto& [key, text] : co_runner_->notes()) row->notes[key] = text;
      row->runs_per_sample = 1;  // the mean over the time that it was looked at
    }
    for (const Side::ArmOfRow& arm : side.arms) rows.push_back(arm.row);
    rows.push_back(&of.co_together);
  }

  Runner& runner_;
  const Plan& plan_;
  const CoRunnerProblem& problem_;
  bool cpu_;
  int all_, rest_;  // SMs or cores: of the device, and those that the co-runner leaves
  CpuInfo facts_;
  Outcome outcome_;
  std::deque<Side> sides_;
  // Destroyed before the operations: their memory isn't given back beside a co-runner.
  std::unique_ptr<CoRunner> co_runner_;
  std::optional<OverlapTimer> timer_;
};

Outcome Runner::run_beside(const Plan& plan) {
  return CaseBeside(*this, plan).run();
}

}  // namespace trainmeter
