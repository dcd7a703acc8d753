// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Times launches on a GPU stream one by one, with the launch overhead hidden.
#pragma once

#include <functional>
#include <memory>
#include <vector>

namespace trainmeter {

// A kernel that waits for the host holds the stream while launches are queued behind it, an event
// before and after each; then the host lets go and the GPU runs them back to back. So a time holds
// the launch itself and no waiting for the host.
class GpuTimer {
 public:
  GpuTimer();  // Unavailable without a device
  ~GpuTimer();
  GpuTimer(const GpuTimer&) = delete;  // owns events and mapped memory
  GpuTimer& operator=(const GpuTimer&) = delete;

  // So many launches of one run are queued behind the hold. Where one run has more, the stream
  // isn't held, and waiting for the host may show.
  static constexpr int kMostHeld = 510;

  // Calls launch(0) ... launch(runs - 1), each queueing `kernels` launches on `stream`, a
  // cudaStream_t of the current device; seconds of each. std::runtime_error where CUDA reports an
  // error.
  std::vector<double> time(void* stream, int runs, const std::function<void(int)>& launch,
                           int kernels = 1);

  // Once through `steps` calls of `launch` that queue one after the other on `stream`, with an
  // event between them: seconds of each, as it was between its neighbours. All together queue at
  // most `kernels`.
  std::vector<double> laps(void* stream, int steps, const std::function<void(int)>& launch,
                           int kernels);

  // The same launches another way: captured into a CUDA graph, which the GPU runs without the host.
  // Seconds of one run, the median of `repeats` graphs; nothing stands between the runs, so short
  // ones take less than time() says. std::runtime_error where they can't be captured.
  double time_as_graph(void* stream, int runs, const std::function<void(int)>& launch, int repeats);

  // The same in two steps, for what must not run beside anything: `launch` is captured, and the
  // graph brought to the device by a run of its own. Each call then times one run of it, and calls
  // `look` right before and right after, for it to queue on the stream what isn't timed.
  std::function<double(const std::function<void()>& look)> captured(
      void* stream, const std::function<void()>& launch);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainmeter
