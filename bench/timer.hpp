// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Takes samples of an operation: with a clock of this machine on a CPU, with events on a GPU.
#pragma once

#include "kernels/collective.hpp"
#include "kernels/operation.hpp"

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

struct Clock {
  std::function<double()> now_s;
  double resolution_s = 0;  // the smallest step seen
};
Clock steady_clock();  // measures its own resolution

// An operation and the run that comes next: runs rotate over the operand sets, each once a round.
// Neighbours in memory don't follow each other: small sets in order are a stream, which hardware
// prefetchers would bring into the caches ahead of the runs.
struct Rotation {
  explicit Rotation(Operation& rotated);
  void run() {
    operation->run(next);
    next = next < sets - step ? next + step : next - (sets - step);
  }

  Operation* operation;
  int sets;
  int step;  // has no divisor in common with `sets`
  int next = 0;
};

class Timer {
 public:
  Timer() = default;
  virtual ~Timer() = default;
  Timer(const Timer&) = delete;  // may own device events
  Timer& operator=(const Timer&) = delete;

  // `samples` times in seconds per run; each sample is `batch` runs, divided by their number.
  virtual std::vector<double> take(Rotation& rotation, std::int64_t samples,
                                   std::int64_t batch) = 0;
  // Runs of a sample at most where it is made longer than its clock needs: a GPU's stream is held
  // back for so many, and of more the host's launching would show.
  [[nodiscard]] virtual std::int64_t most_batched(const Operation& /*operation*/) const {
    return std::numeric_limits<std::int64_t>::max();
  }
  // One sample with `look` called right before and right after its runs, in the order of their
  // stream (null on a CPU), and not timed.
  virtual double take_between(Rotation& rotation, std::int64_t batch,
                              const std::function<void(void*)>& look);
  // Of the last take(), the rank that was slowest in each sample; none where it can't be told.
  [[nodiscard]] virtual const std::vector<int>& slowest_ranks() const = 0;
  // One run's seconds among `runs` of a CUDA graph, with nothing between them: another way to time
  // a GPU, to check take() by. None where there is none, or where the runs can't be captured.
  virtual std::optional<double> time_as_graph(Rotation& /*rotation*/, std::int64_t /*runs*/) {
    return std::nullopt;
  }
  [[nodiscard]] virtual double resolution_s() const = 0;
  [[nodiscard]] virtual double now_s() const = 0;  // the wall clock
};

// Times by `inner`, which outlives it; whoever derives from it says what is different.
class TimerBy : public Timer {
 public:
  explicit TimerBy(Timer& inner) : inner_(inner) {}

  std::vector<double> take(Rotation& rotation, std::int64_t samples, std::int64_t batch) override {
    return inner_.take(rotation, samples, batch);
  }
  [[nodiscard]] std::int64_t most_batched(const Operation& operation) const override {
    return inner_.most_batched(operation);
  }
  [[nodiscard]] const std::vector<int>& slowest_ranks() const override {
    return inner_.slowest_ranks();
  }
  [[nodiscard]] double resolution_s() const override { return inner_.resolution_s(); }
  [[nodiscard]] double now_s() const override { return inner_.now_s(); }

 protected:
  Timer& inner_;
};

// With a world of several processes, each sample starts behind a barrier (on GPUs: in their
// streams) and is the slowest rank's time.
std::unique_ptr<Timer> make_cpu_timer(Clock clock, World* world);
// Unavailable without CUDA, at the first sample.
std::unique_ptr<Timer> make_gpu_timer(World* world = nullptr);

}  // namespace trainmeter
