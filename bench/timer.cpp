// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The two timers.
#include "bench/timer.hpp"

#include "kernels/gpu_timer.hpp"
#include "record/error.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace trainmeter {
namespace {

// Every sample becomes the slowest rank's; which it was. After all, so that the agreeing isn't
// between two samples.
std::vector<int> take_slowest(World& world, std::vector<double>& times) {
  std::vector<int> slowest;
  for (double& time : times) {
    const std::vector<double> all = world.each(time);
    const auto most = std::ranges::max_element(all);
    time = *most;
    slowest.push_back(static_cast<int>(most - all.begin()));
  }
  return slowest;
}

class CpuTimer : public Timer {
 public:
  CpuTimer(Clock clock, World* world) : clock_(std::move(clock)), world_(world) {}

  std::vector<double> take(Rotation& rotation, std::int64_t samples, std::int64_t batch) override {
    std::vector<double> times;
    times.reserve(static_cast<std::size_t>(samples));
    for (std::int64_t sample = 0; sample < samples; ++sample) {
      if (world_ != nullptr) world_->barrier();
      const double start = clock_.now_s();
      for (std::int64_t run = 0; run < batch; ++run) rotation.run();
      const double elapsed_s = clock_.now_s() - start;
      if (!(elapsed_s >= 0)) {
        throw EnvironmentFailed("the clock stepped back while a sample was taken");
      }
      times.push_back(elapsed_s / static_cast<double>(batch));
    }
    if (world_ != nullptr) slowest_ = take_slowest(*world_, times);
    return times;
  }
  [[nodiscard]] const std::vector<int>& slowest_ranks() const override { return slowest_; }
  [[nodiscard]] double resolution_s() const override { return clock_.resolution_s; }
  [[nodiscard]] double now_s() const override { return clock_.now_s(); }

 private:
  std::vector<int> slowest_;
  Clock clock_;
  World* world_;
};

class GpuSampler : public Timer {
 public:
  explicit GpuSampler(World* world) : world_(world) {}

  std::vector<double> take(Rotation& rotation, std::int64_t samples, std::int64_t batch) override {
    void* const stream = rotation.operation->stream();
    // What keeps the host busy (pageable transfers) would wait for the stream that is held for it.
    if (stream == nullptr) return host_->take(rotation, samples, batch);
    if (world_ != nullptr) return take_together(stream, rotation, samples, batch);
    const auto launch = [&](int) {
      for (std::int64_t run = 0; run < batch; ++run) rotation.run();
    };
    std::vector<double> times =
        timer_.time(stream, static_cast<int>(samples), launch,
                    static_cast<int>(rotation.operation->launches() * batch));
    for (double& time : times) time /= static_cast<double>(batch);
    return times;
  }
  [[nodiscard]] std::int64_t most_batched(const Operation& operation) const override {
    if (operation.stream() == nullptr) return host_->most_batched(operation);
    // What stands before and after a sample is held together with it: an alignment, two looks.
    constexpr int kInOneHold = 3;
    constexpr int kOfEach = (GpuTimer::kMostHeld + 2) / kInOneHold - 2;
    return std::max(1, kOfEach / std::max(1, operation.launches()));
  }
  double take_between(Rotation& rotation, std::int64_t batch,
                      const std::function<void(void*)>& look) override {
    void* const stream = rotation.operation->stream();
    if (stream == nullptr) return host_->take_between(rotation, batch, look);
    // Three launches in a row, of which the middle one counts.
    const auto launch = [&](int number) {
      if (number != 1) return look(stream);
      for (std::int64_t run = 0; run < batch; ++run) rotation.run();
    };
    return timer_.time(stream, 3, launch,
                       static_cast<int>(rotation.operation->launches() * batch))[1] /
           static_cast<double>(batch);
  }
  [[nodiscard]] const std::vector<int>& slowest_ranks() const override { return slowest_; }
  std::optional<double> time_as_graph(Rotation& rotation, std::int64_t runs) override {
    void* const stream = rotation.operation->stream();
    if (stream == nullptr) return std::nullopt;
    constexpr int kRepeats = 5;
    try {
      return timer_.time_as_graph(
          stream, static_cast<int>(runs), [&](int) { rotation.run(); }, kRepeats);
    } catch (const std::runtime_error&) {
      return std::nullopt;
    }
  }
  // CUDA's documentation of cudaEventElapsedTime: "a resolution of around 0.5 microseconds".
  [[nodiscard]] double resolution_s() const override { return 0.5e-6; }
  [[nodiscard]] double now_s() const override {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

 private:
  // Two launches a sample: what brings the ranks' streams together, and what counts.
  std::vector<double> take_together(void* stream, Rotation& rotation, std::int64_t samples,
                                    std::int64_t batch) {
    const auto launch = [&](int number) {
      if (number == 0) return world_->align(stream);
      for (std::int64_t run = 0; run < batch; ++run) rotation.run();
    };
    const auto kernels = static_cast<int>(rotation.operation->launches() * batch);
    std::vector<double> times;
    for (std::int64_t sample = 0; sample < samples; ++sample) {
      world_->barrier();
      times.push_back(timer_.time(stream, 2, launch, kernels)[1] / static_cast<double>(batch));
    }
    slowest_ = take_slowest(*world_, times);
    return times;
  }

  World* world_;
  std::vector<int> slowest_;
  std::unique_ptr<Timer> host_ = make_cpu_timer(steady_clock(), nullptr);
  GpuTimer timer_;
};

}  // namespace

double Timer::take_between(Rotation& rotation, std::int64_t batch,
                           const std::function<void(void*)>& look) {
  look(nullptr);
  const double time_s = take(rotation, 1, batch).front();
  look(nullptr);
  return time_s;
}

Rotation::Rotation(Operation& rotated) : operation(&rotated), sets(rotated.sets()) {
  // The golden section keeps also the sets of many successive runs apart.
  step = std::max(1, static_cast<int>(0.618 * sets));
  while (std::gcd(step, sets) != 1) ++step;
}

Clock steady_clock() {
  const auto origin = std::chrono::steady_clock::now();
  Clock clock;
  clock.now_s = [origin] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - origin).count();
  };
  double smallest = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 1000; ++i) {
    const double first = clock.now_s();
    double second = first;
    while (!(second > first)) second = clock.now_s();
    smallest = std::min(smallest, second - first);
  }
  clock.resolution_s = smallest;
  return clock;
}

std::unique_ptr<Timer> make_cpu_timer(Clock clock, World* world) {
  return std::make_unique<CpuTimer>(std::move(clock), world);
}

std::unique_ptr<Timer> make_gpu_timer(World* world) {
  return std::make_unique<GpuSampler>(world);
}

}  // namespace trainmeter
