// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The two timers of sequences.
#include "bench/sequence_timer.hpp"

#include "kernels/gpu_timer.hpp"

#include <limits>
#include <utility>

namespace trainmeter {
namespace {

class CpuSequenceTimer : public SequenceTimer {
 public:
  explicit CpuSequenceTimer(Clock clock) : clock_(std::move(clock)) {}

  double whole(std::span<Rotation* const> steps) override {
    const double start_s = clock_.now_s();
    for (Rotation* step : steps) step->run();
    return clock_.now_s() - start_s;
  }
  Whole prepared(std::span<Rotation* const> steps) override {
    return [this, steps](const std::function<void(void*)>& look) {
      if (look) look(nullptr);
      const double time_s = whole(steps);
      if (look) look(nullptr);
      return time_s;
    };
  }
  std::optional<double> launched(std::span<Rotation* const> /*steps*/) override {
    return std::nullopt;
  }
  std::vector<double> laps(std::span<Rotation* const> steps) override {
    std::vector<double> times;
    times.reserve(steps.size());
    double before_s = clock_.now_s();
    for (Rotation* step : steps) {
      step->run();
      const double after_s = clock_.now_s();
      times.push_back(after_s - before_s);
      before_s = after_s;
    }
    return times;
  }
  [[nodiscard]] double now_s() const override { return clock_.now_s(); }

 private:
  Clock clock_;
};

class GpuSequenceTimer : public SequenceTimer {
 public:
  double whole(std::span<Rotation* const> steps) override {
    return timer_.time_as_graph(stream_of(steps), 1, all_of(steps), 1);
  }
  Whole prepared(std::span<Rotation* const> steps) override {
    void* const stream = stream_of(steps);
    return [stream, run = timer_.captured(stream, [&] { all_of(steps)(0); })](
               const std::function<void(void*)>& look) {
      return run(look ? std::function<void()>([&] { look(stream); }) : nullptr);
    };
  }
  std::optional<double> launched(std::span<Rotation* const> steps) override {
    constexpr int kNotHeld = std::numeric_limits<int>::max() - 2;
    return timer_.time(stream_of(steps), 1, all_of(steps), kNotHeld).front();
  }
  std::vector<double> laps(std::span<Rotation* const> steps) override {
    return timer_.laps(
        stream_of(steps), static_cast<int>(steps.size()),
        [&](int i) { steps[static_cast<std::size_t>(i)]->run(); }, launches_of(steps));
  }
  [[nodiscard]] double now_s() const override { return clock_.now_s(); }

 private:
  static void* stream_of(std::span<Rotation* const> steps) {
    return steps.front()->operation->stream();
  }
  static std::function<void(int)> all_of(std::span<Rotation* const> steps) {
    return [steps](int) {
      for (Rotation* step : steps) step->run();
    };
  }

  Clock clock_ = steady_clock();
  GpuTimer timer_;
};

}  // namespace

int launches_of(std::span<Rotation* const> steps) {
  int sum = 0;
  for (const Rotation* step : steps) sum += step->operation->launches();
  return sum;
}

std::unique_ptr<SequenceTimer> make_cpu_sequence_timer(Clock clock) {
  return std::make_unique<CpuSequenceTimer>(std::move(clock));
}

std::unique_ptr<SequenceTimer> make_gpu_sequence_timer() {
  return std::make_unique<GpuSequenceTimer>();
}

}  // namespace trainmeter
