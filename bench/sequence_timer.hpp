// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Times several operations that run one after the other, as a layer's do: all together, and each
// between its neighbours.
#pragma once

#include "bench/timer.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace trainmeter {

// On a GPU all operations share a stream (kernels/one_stream.hpp).
class SequenceTimer {
 public:
  SequenceTimer() = default;
  virtual ~SequenceTimer() = default;
  SequenceTimer(const SequenceTimer&) = delete;  // may own device events
  SequenceTimer& operator=(const SequenceTimer&) = delete;

  // Seconds of all steps, once through, with nothing between them: on a GPU a CUDA graph.
  virtual double whole(std::span<Rotation* const> steps) = 0;
  // The same in two steps: all that must not be done beside a co-runner, now; then, once, the run,
  // with `look` (or none) called right before and right after it, in the order of its stream (null
  // on a CPU), and not timed.
  using Whole = std::function<double(const std::function<void(void*)>& look)>;
  virtual Whole prepared(std::span<Rotation* const> steps) = 0;
  // The same launched one by one by the host, which the GPU may have to wait for. None on a CPU.
  virtual std::optional<double> launched(std::span<Rotation* const> steps) = 0;
  // Seconds of each step, with a time stamp between them.
  virtual std::vector<double> laps(std::span<Rotation* const> steps) = 0;
  [[nodiscard]] virtual double now_s() const = 0;  // the wall clock
};

// What all steps queue, once through (Operation::launches): a timer that holds a GPU's stream back
// counts it.
int launches_of(std::span<Rotation* const> steps);

std::unique_ptr<SequenceTimer> make_cpu_sequence_timer(Clock clock);
std::unique_ptr<SequenceTimer> make_gpu_sequence_timer();  // Unavailable without a GPU

}  // namespace trainmeter
