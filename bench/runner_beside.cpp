// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One case beside a co-runner: on all SMs alone; on those that are left while the co-runner holds
// the others idle; on the same while it works; the co-runner alone; and, where the case could be
// told of the SMs that are left but often isn't, with the grid for all of them. Sample by sample in
// turn.
#include "bench/exit_code.hpp"
#include "bench/overlap.hpp"
#include "bench/runner.hpp"
#include "record/error.hpp"
#include "record/names.hpp"
#include "record/overlap.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

namespace trainmeter {
namespace {

constexpr double kCheckingLimit = 120;  // seconds: a result is checked on the host meanwhile
// Least span of a sample: what surrounds it (two looks; on a CPU, threads that get going) is little
// beside it.
constexpr double kLeastOfGpu = 0.5e-3;
constexpr double kLeastOfCpu = 5e-3;

std::unique_ptr<CoRunner> make_co_runner(DeviceKind kind, const CoRunnerProblem& problem) {
  return kind == DeviceKind::gpu ? make_gpu_co_runner(problem) : make_cpu_co_runner(problem);
}

}  // namespace

double OverlapTimer::resolution_s() const {
  return std::max(inner_.resolution_s(), least_s_ / 100);  // of which a sample spans a hundred
}

Moved OverlapTimer::beside(bool works, const std::function<void()>& sample) {
  constexpr int kTries = 10;  // a thread may not get its core for as long as a sample
  for (int i = 0; i < kTries; ++i) {
    co_runner_.start(works);
    sample();
    const Moved moved = co_runner_.stop();
    if (!works || moved.bytes > 0) return moved;
  }
  throw EnvironmentFailed("a co-runner moved nothing beside ten samples: others hold its cores");
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
      times.push_back(run_s(beside(true, [&] {
        co_runner_.look(nullptr);
        std::this_thread::sleep_for(std::chrono::duration<double>(2 * least_s_));
        co_runner_.look(nullptr);
      })));
      continue;
    }
    double time_s = 0;
    const Moved moved = beside(works, [&] {
      time_s =
          inner_.take_between(rotation, batch, [this](void* stream) { co_runner_.look(stream); });
    });
    times.push_back(time_s);
    if (works) co_runner_s_[&arm].push_back(run_s(moved));
  }
  return times;
}

Outcome Runner::run_beside(const Plan& plan) {
  const Case& main = plan.main;
  const Overlap& overlap = *main.overlap;
  const bool cpu = target_.kind == DeviceKind::cpu;
  const int all = static_cast<int>(target_.device.sms);
  const int rest = all - overlap.beside.sms;
  const CpuInfo cpu_facts = cpu ? cpu_info() : CpuInfo{};
  Outcome outcome;
  OverlapRows rows = overlap_rows(row_of(main), std::string(to_string(overlap.beside.kind)),
                                  overlap.beside.sms, overlap.make_rest && !cpu);
  const auto finished = [&](int code, std::vector<Measurement*> which) {
    for (Measurement* row : which) {
      row->at = utc_now();
      outcome.rows.push_back(std::move(*row));
    }
    outcome.code = code;
    return std::move(outcome);
  };

  std::unique_ptr<Operation> whole, share;
  std::unique_ptr<CoRunner> co_runner;
  const auto use = [&](int threads) {
    if (cpu) pin_threads(cpu_facts, threads);
  };
  try {
    const OperandOptions operands = main.operands.value_or(operands_);
    use(all);
    whole = main.make(operands);
    use(rest);
    if (overlap.make_rest) share = overlap.make_rest(operands);
    co_runner = make_co_runner(target_.kind, overlap.beside);
  } catch (...) {
    const Failure failure = failure_in_flight();
    use(all);
    if (failure.code != kUnavailable) throw;
    rows.alone.failure = failure.text;
    return finished(kUnavailable, {&rows.alone});
  }
  Operation& left = share ? *share : *whole;
  Arm alone(whole.get(), Beside::nothing, cpu ? all : 0);
  Arm held(&left, Beside::idle, cpu ? rest : 0);
  Arm together(&left, Beside::traffic, cpu ? rest : 0);
  Arm co_alone(nullptr, Beside::traffic, 0);
  Arm crowded(whole.get(), Beside::traffic, 0);

  // The result beside the traffic, and the traffic beside it.
  use(all);
  note_check(whole->verify(), true, rows.alone);
  use(rest);
  Rotation first(left);
  timer_->take(first, 1, 1);  // a kernel that is loaded beside a co-runner may wait for its end
  co_runner->start(true, kCheckingLimit);
  try {
    note_check(left.verify(), true, rows.together);
  } catch (...) {
    (void)co_runner->stop();
    throw;
  }
  (void)co_runner->stop();
  note_check(co_runner->check(), true, rows.co_together);
  std::vector<Measurement*> wrong;
  for (Measurement* row : {&rows.alone, &rows.together, &rows.co_together})
    if (!row->verified) wrong.push_back(row);
  if (!wrong.empty()) {
    use(all);
    return finished(kCheckFailed, wrong);
  }
  for (const auto& [from, to] :
       {std::pair{&rows.together, &rows.held}, std::pair{&rows.co_together, &rows.co_alone},
        std::pair{&rows.alone, rows.crowded ? &*rows.crowded : nullptr}}) {
    if (to == nullptr) continue;
    to->verified = true;
    to->error = from->error;
    to->error_bound = from->error_bound;
    to->check = from->check;
  }

  std::vector<Operation*> arms = {&alone, &held, &together, &co_alone};
  std::vector<Measurement*> measured = {&rows.alone, &rows.held, &rows.together, &rows.co_alone};
  if (rows.crowded) {
    arms.push_back(&crowded);
    measured.push_back(&*rows.crowded);
  }
  OverlapTimer timer(*timer_, *co_runner, cpu_facts, cpu ? kLeastOfCpu : kLeastOfGpu);
  const bool done = sample(arms, timer, rules_of(plan), nullptr, measured, outcome);
  use(all);
  if (!done) {
    outcome.interrupted = true;
    return outcome;
  }
  // Of the co-runner beside it, the last ones: what came before them was warm-up.
  const std::vector<double>& beside_s = timer.co_runner_s(together);
  const auto count = static_cast<std::ptrdiff_t>(rows.together.time_s.size());
  rows.co_together.time_s.assign(beside_s.end() - count, beside_s.end());
  rows.co_together.stopped = rows.together.stopped;
  for (Measurement* row : {&rows.co_alone, &rows.co_together}) {
    row->bytes = co_runner->bytes_of_run();
    row->runs_per_sample = 1;  // the mean over the time that it was looked at
  }
  measured.push_back(&rows.co_together);
  for (Measurement* row : measured) {  // whose energy it was can't be told
    row->energy_j.reset();
    row->stretches.clear();
  }
  return finished(kFine, measured);
}

}  // namespace trainmeter
