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

// One of the cases beside the co-runner: what is prepared for it, its arms and their rows.
struct Side {
  Side(const Case& one, const Measurement& row, bool may_crowd)
      : of(&one),
        rows(rows_beside(row, one.overlap->beside, one.overlap->make_rest && may_crowd)) {}

  Operation& left() { return share ? *share : *whole; }
  Arm& together() { return arms[2]; }

  // Each row that isn't checked by itself has the check of one with the same result.
  void checks_for_all() {
    for (const auto& [from, to] :
         {std::pair{&rows.together, &rows.held}, std::pair{&rows.co_together, &rows.co_alone},
          std::pair{&rows.alone, rows.crowded ? &*rows.crowded : nullptr}}) {
      if (to != nullptr) copy_check(*from, *to);
    }
  }

  // On a CPU, of so many threads; 0 on a GPU.
  void add_arms(int all, int rest) {
    arms.emplace_back(whole.get(), Beside::nothing, all);
    arms.emplace_back(&left(), Beside::idle, rest);
    arms.emplace_back(&left(), Beside::traffic, rest);
    arms.emplace_back(nullptr, Beside::traffic, 0);
    if (rows.crowded) arms.emplace_back(whole.get(), Beside::traffic, 0);
  }
  std::vector<Measurement*> measured() {  // in the arms' order
    std::vector<Measurement*> out = {&rows.alone, &rows.held, &rows.together, &rows.co_alone};
    if (rows.crowded) out.push_back(&*rows.crowded);
    return out;
  }

  const Case* of;
  OverlapRows rows;
  std::unique_ptr<Operation> whole, share;
  std::deque<Arm> arms;
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

Outcome Runner::run_beside(const Plan& plan) {
  const CoRunnerProblem& problem = plan.main.overlap->beside;
  const bool cpu = target_.kind == DeviceKind::cpu;
  const int all = static_cast<int>(target_.device.sms);
  const int rest = all - problem.sms;
  const CpuInfo cpu_facts = cpu ? cpu_info() : CpuInfo{};
  const auto use = [&](int threads) {
    if (cpu) pin_threads(cpu_facts, threads);
  };
  Outcome outcome;
  const auto finished = [&](int code, const std::vector<Measurement*>& which) {
    for (Measurement* row : which) {
      row->at = utc_now();
      outcome.rows.push_back(std::move(*row));
    }
    outcome.code = code;
    return std::move(outcome);
  };
  std::deque<Side> sides;
  sides.emplace_back(plan.main, row_of(plan.main), !cpu);
  if (plan.versus) {
    sides.emplace_back(*plan.versus, row_of(*plan.versus), !cpu);
    sides[0].rows.alone.paired_with = plan.versus->name;
    sides[1].rows.alone.paired_with = plan.main.name;
  }

  std::unique_ptr<CoRunner> co_runner;
  try {
    // A share of the SMs is then a grid, not a green context: which SMs are left is the co-runner's
    // to say. Its own streams are others.
    std::optional<OneStream> one;
    if (!cpu) one.emplace();
    for (Side& side : sides) {
      const OperandOptions operands = side.of->operands.value_or(operands_);
      use(all);
      side.whole = side.of->make(operands);
      use(rest);
      if (side.of->overlap->make_rest) side.share = side.of->overlap->make_rest(operands);
    }
    one.reset();
    co_runner = make_co_runner(target_.kind, problem);
  } catch (...) {
    const Failure failure = failure_in_flight();
    use(all);
    if (failure.code != kUnavailable) throw;
    std::vector<Measurement*> failed;
    for (Side& side : sides) {
      side.rows.alone.failure = failure.text;
      failed.push_back(&side.rows.alone);
    }
    return finished(kUnavailable, failed);
  }

  // The result beside the traffic, and the traffic beside it.
  std::vector<Measurement*> wrong;
  for (Side& side : sides) {
    use(all);
    note_check(side.whole->verify(), true, side.rows.alone);
    use(rest);
    Rotation first(side.left());
    timer_->take(first, 1, 1);  // a kernel that is loaded beside a co-runner may wait for its end
    co_runner->start(true, kCheckingLimit);
    or_else_ended([&] { note_check(side.left().verify(), true, side.rows.together); },
                  [&] { (void)co_runner->stop(); });
    (void)co_runner->stop();
    note_check(co_runner->check(), true, side.rows.co_together);
    side.checks_for_all();
    for (Measurement* row : {&side.rows.alone, &side.rows.together, &side.rows.co_together})
      if (!row->verified) wrong.push_back(row);
  }
  if (!wrong.empty()) {
    use(all);
    return finished(kCheckFailed, wrong);
  }

  std::vector<Operation*> arms;
  std::vector<Measurement*> measured;
  for (Side& side : sides) {
    side.add_arms(cpu ? all : 0, cpu ? rest : 0);
    for (Arm& arm : side.arms) arms.push_back(&arm);
    const std::vector<Measurement*> rows = side.measured();
    measured.insert(measured.end(), rows.begin(), rows.end());
  }
  const double least_s = is_collective(problem.kind) ? kLeastOfCollective
                         : cpu                       ? kLeastOfCpu
                                                     : kLeastOfGpu;
  OverlapTimer timer(*timer_, *co_runner, cpu_facts, least_s);
  Rules rules = rules_of(plan);
  if (plan.versus)  // as many as an interval of their ratio wants
    rules.min_samples = std::max(rules.min_samples, std::int64_t{kLeastSamplesForInterval});
  const bool done = sample(arms, timer, rules, nullptr, measured, outcome);
  use(all);
  if (!done) {
    outcome.interrupted = true;
    return outcome;
  }
  std::vector<Measurement*> rows;
  for (Side& side : sides) {
    // Of the co-runner beside it, the last ones: what came before them was warm-up.
    const std::vector<double>& beside_s = timer.co_runner_s(side.together());
    OverlapRows& of = side.rows;
    const auto count = static_cast<std::ptrdiff_t>(of.together.time_s.size());
    of.co_together.time_s.assign(beside_s.end() - count, beside_s.end());
    of.co_together.stopped = of.together.stopped;
    for (Measurement* row : {&of.co_alone, &of.co_together}) {
      row->bytes = co_runner->bytes_of_run();
      row->backend = co_runner->backend();
      row->dtype = co_runner->dtype();
      if (is_collective(problem.kind)) row->shape["bytes"] = static_cast<std::int64_t>(row->bytes);
      for (const auto& [key, text] : co_runner->notes()) row->notes[key] = text;
      row->runs_per_sample = 1;  // the mean over the time that it was looked at
    }
    for (Measurement* row : side.measured()) rows.push_back(row);
    rows.push_back(&of.co_together);
  }
  for (Measurement* row : rows) forget_energy(*row);
  return finished(kFine, rows);
}

}  // namespace trainmeter
