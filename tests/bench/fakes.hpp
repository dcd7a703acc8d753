// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// An operation that moves a fake clock instead of working, so that the loop's decisions can be
// tested to the last sample; telemetry that was recorded, played back.
#pragma once

#include "bench/timer.hpp"
#include "kernels/operation.hpp"
#include "kernels/telemetry.hpp"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

namespace trainmeter {

struct FakeTime {
  double now_s = 0;
  Clock clock(double resolution_s) {
    return {.now_s = [this] { return now_s; }, .resolution_s = resolution_s};
  }
};

class FakeOperation : public Operation {
 public:
  // `cost_s(i)` is what run number i takes.
  FakeOperation(FakeTime& time, std::function<double(std::int64_t)> cost_s, int sets = 1)
      : time_(time), cost_s_(std::move(cost_s)), sets_(sets) {}

  void run(int set) override {
    time_.now_s += cost_s_(static_cast<std::int64_t>(ran.size()));
    ran.push_back(set);
    if (on_run) on_run();
  }
  Check verify() override { return check; }
  [[nodiscard]] int sets() const override { return sets_; }
  [[nodiscard]] std::map<std::string, std::string> notes() const override { return noted; }

  std::map<std::string, std::string> noted;
  std::vector<int> ran;  // the operand set of each run
  Check check{.ok = true, .error = 0, .bound = 1, .how = "fake"};
  std::function<void()> on_run;

 private:
  FakeTime& time_;
  std::function<double(std::int64_t)> cost_s_;
  int sets_;
};

// Plays `samples` and `states` in order, then the last ones again; `failures` (sensor and reason)
// are named from the first reading on.
class RecordedTelemetry : public TelemetrySource {
 public:
  explicit RecordedTelemetry(std::vector<TelemetrySample> samples,
                             std::vector<DeviceState> states = {{}},
                             std::map<std::string, std::string> failures = {})
      : samples_(std::move(samples)), states_(std::move(states)), failures_(std::move(failures)) {}

  TelemetrySample read() override {
    for (const auto& [sensor, why] : failures_) cannot_read(sensor, why);
    return samples_[std::min(read_++, samples_.size() - 1)];
  }
  DeviceState state() override { return states_[std::min(states_read_++, states_.size() - 1)]; }

 private:
  std::vector<TelemetrySample> samples_;
  std::vector<DeviceState> states_;
  std::map<std::string, std::string> failures_;
  std::size_t read_ = 0, states_read_ = 0;
};

inline bool never() {
  return false;
}

}  // namespace trainmeter
