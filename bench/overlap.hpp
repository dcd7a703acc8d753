// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// An operation and a co-runner, each alone and both at once, as operations whose samples take
// turns.
#pragma once

#include "bench/timer.hpp"
#include "kernels/co_runner.hpp"
#include "kernels/machine.hpp"
#include "kernels/operation.hpp"
#include "record/overlap.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace trainmeter {

// An overlap's rows, without samples (record/overlap.hpp). Those of a collective name it as its own
// benchmark does.
OverlapRows rows_beside(const Measurement& alone, const CoRunnerProblem& co_runner, bool crowded);

// What there is beside an operation: nothing; a co-runner that only holds its SMs; one that works.
enum class Beside { nothing, idle, traffic };

// An operation beside one of these; without an operation, the co-runner alone.
class Arm final : public Operation {
 public:
  // On a CPU, of so many threads; 0 on a GPU.
  Arm(Operation* of, Beside beside, int threads) : of_(of), beside_(beside), threads_(threads) {}

  void run(int set) override {
    if (of_ != nullptr) of_->run(set);
  }
  Check verify() override { return of_ == nullptr ? Check{} : of_->verify(); }
  [[nodiscard]] int sets() const override { return of_ == nullptr ? 1 : of_->sets(); }
  [[nodiscard]] void* stream() const override { return of_ == nullptr ? nullptr : of_->stream(); }
  [[nodiscard]] int launches() const override { return of_ == nullptr ? 0 : of_->launches(); }
  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    return of_ == nullptr ? std::map<std::string, std::string>{} : of_->notes();
  }
  [[nodiscard]] const Operation* of() const { return of_; }
  [[nodiscard]] Beside beside() const { return beside_; }
  [[nodiscard]] int threads() const { return threads_; }

 private:
  Operation* of_;
  Beside beside_;
  int threads_;
};

// Times arms by `inner`, with the co-runner started and stopped around each sample that wants one.
// All outlive it. A sample spans `least_s` or more. The time of the co-runner alone is that of one
// of its runs, the mean over twice as long.
class OverlapTimer final : public TimerBy {
 public:
  OverlapTimer(Timer& inner, CoRunner& co_runner, const CpuInfo& cpu, double least_s)
      : TimerBy(inner), co_runner_(co_runner), cpu_(cpu), least_s_(least_s) {}

  std::vector<double> take(Rotation& rotation, std::int64_t samples, std::int64_t batch) override;
  [[nodiscard]] double resolution_s() const override;

  // The co-runner's times of one run during all samples of `arm` so far.
  [[nodiscard]] const std::vector<double>& co_runner_s(const Arm& arm) {
    return co_runner_s_[&arm];
  }

 private:
  // Where nothing was moved during a sample it is taken again, `times` as long: a run of the
  // co-runner may outlast it, and a thread may not get its core for as long. Throws
  // EnvironmentFailed where that doesn't help.
  Moved beside(bool works, const std::function<void(std::int64_t times)>& sample);

  CoRunner& co_runner_;
  const CpuInfo& cpu_;
  double least_s_;
  std::map<const Operation*, std::vector<double>> co_runner_s_;
};

}  // namespace trainmeter
