// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Two ways to compose a layer, as operations whose samples take turns: one run is the layer once
// through, timed as bench/sequence_timer.hpp does.
#pragma once

#include "bench/sequence_timer.hpp"
#include "bench/timer.hpp"
#include "kernels/operation.hpp"

#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

namespace trainmeter {

class WholeLayer final : public Operation {
 public:
  // In order; they outlive it, and two layers may share some.
  explicit WholeLayer(std::vector<Rotation*> steps) : steps_(std::move(steps)) {}

  void run(int /*set*/) override {
    for (Rotation* step : steps_) step->run();
  }
  // Its steps are checked each by itself, before.
  Check verify() override { throw std::logic_error("a whole layer has no result of its own"); }
  [[nodiscard]] int sets() const override { return 1; }  // its steps' rotate
  [[nodiscard]] void* stream() const override { return steps_.front()->operation->stream(); }
  [[nodiscard]] const std::vector<Rotation*>& steps() const { return steps_; }

 private:
  std::vector<Rotation*> steps_;
};

// Of WholeLayers alone.
class WholeTimer final : public Timer {
 public:
  explicit WholeTimer(SequenceTimer& inner, double resolution_s)
      : inner_(inner), resolution_s_(resolution_s) {}

  std::vector<double> take(Rotation& rotation, std::int64_t samples, std::int64_t batch) override;
  [[nodiscard]] const std::vector<int>& slowest_ranks() const override { return none_; }
  [[nodiscard]] double resolution_s() const override { return resolution_s_; }
  [[nodiscard]] double now_s() const override { return inner_.now_s(); }

 private:
  SequenceTimer& inner_;
  double resolution_s_;
  std::vector<int> none_;
};

}  // namespace trainmeter
