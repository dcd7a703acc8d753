// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The timer's holding kernel and its events.
#include "kernels/cuda_support.hpp"
#include "kernels/gpu_timer.hpp"

#include <algorithm>
#include <memory>

namespace trainmeter {
namespace {

// Events and launches queued behind one hold. The driver's queue takes about a thousand; a launch
// that blocks while the stream is held would wait for us while we wait for it, so we stay well
// below.
constexpr int kQueued = GpuTimer::kMostHeld + 2;  // the run's two events
constexpr int kMostRuns = 128;

// Spins until the host sets *go, or for 10 s, so that a host that died cannot hang the GPU.
__global__ void hold(const volatile int* go) {
  const long long limit_ns = 10'000'000'000LL;
  long long start = 0;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
  while (*go == 0) {
    long long now = 0;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
    if (now - start > limit_ns) return;
    __nanosleep(100);
  }
}

}  // namespace

struct GpuTimer::State {
  void let_go() const { *static_cast<volatile int*>(go) = 1; }

  int* go = nullptr;              // in pinned host memory that the GPU reads
  std::vector<CudaEvent> events;  // two a launch
};

GpuTimer::GpuTimer() : state_(std::make_unique<State>()) {
  if (const std::string reason = why_no_gpu(); !reason.empty()) throw Unavailable(reason);
  cuda_check(cudaHostAlloc(reinterpret_cast<void**>(&state_->go), sizeof(int), cudaHostAllocMapped),
             "cudaHostAlloc");
  for (int i = 0; i < 2 * kMostRuns; ++i) state_->events.emplace_back(true);
}

// The streams that it timed may be gone by now: only its own is freed. No kernel holds any more,
// since whoever queued one has let it go and waited.
GpuTimer::~GpuTimer() {
  (void)cudaFreeHost(state_->go);
}

std::vector<double> GpuTimer::time(void* stream, int runs, const std::function<void(int)>& launch,
                                   int kernels) {
  const auto queue = static_cast<cudaStream_t>(stream);
  std::vector<double> times;
  times.reserve(static_cast<std::size_t>(std::max(runs, 0)));
  volatile int* const go = state_->go;
  // A run of very many launches hides its own overhead, and can't be held.
  const bool held = kernels <= kMostHeld;
  const int together = held ? std::min(kMostRuns, kQueued / (kernels + 2)) : 1;
  for (int first = 0; first < runs; first += together) {
    const int count = std::min(together, runs - first);
    *go = held ? 0 : 1;
    hold<<<1, 1, 0, queue>>>(state_->go);
    cuda_check(cudaGetLastError(), "holding kernel");
    try {
      for (int i = 0; i < count; ++i) {
        const auto at = static_cast<std::size_t>(2 * i);
        cuda_check(cudaEventRecord(state_->events[at].get(), queue), "cudaEventRecord");
        launch(first + i);
        cuda_check(cudaEventRecord(state_->events[at + 1].get(), queue), "cudaEventRecord");
      }
    } catch (...) {
      *go = 1;
      (void)cudaStreamSynchronize(queue);
      throw;
    }
    *go = 1;
    cuda_check(cudaStreamSynchronize(queue), "timed launches");
    for (int i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(2 * i);
      float milliseconds = 0;
      cuda_check(cudaEventElapsedTime(&milliseconds, state_->events[at].get(),
                                      state_->events[at + 1].get()),
                 "cudaEventElapsedTime");
      times.push_back(static_cast<double>(milliseconds) * 1e-3);
    }
  }
  return times;
}

std::vector<double> GpuTimer::laps(void* stream, int steps, const std::function<void(int)>& launch,
                                   int kernels) {
  const auto queue = static_cast<cudaStream_t>(stream);
  std::vector<CudaEvent>& events = state_->events;
  while (std::ssize(events) < steps + 1) events.emplace_back(true);
  const auto record = [&](int event) {
    cuda_check(cudaEventRecord(events[static_cast<std::size_t>(event)].get(), queue),
               "cudaEventRecord");
  };
  *static_cast<volatile int*>(state_->go) = 0;
  // More than fit behind a hold run ahead of the host, or wait for it.
  if (kernels + steps + 2 > kQueued) state_->let_go();
  hold<<<1, 1, 0, queue>>>(state_->go);
  cuda_check(cudaGetLastError(), "holding kernel");
  try {
    record(0);
    for (int i = 0; i < steps; ++i) {
      launch(i);
      record(i + 1);
    }
  } catch (...) {
    state_->let_go();
    (void)cudaStreamSynchronize(queue);
    throw;
  }
  state_->let_go();
  cuda_check(cudaStreamSynchronize(queue), "timed launches");
  std::vector<double> times;
  for (std::size_t i = 0; i < static_cast<std::size_t>(steps); ++i) {
    float milliseconds = 0;
    cuda_check(cudaEventElapsedTime(&milliseconds, events[i].get(), events[i + 1].get()),
               "cudaEventElapsedTime");
    times.push_back(static_cast<double>(milliseconds) * 1e-3);
  }
  return times;
}

namespace {

// What a stream was told to do, as a graph that can be launched.
class Graph {
 public:
  Graph(cudaStream_t stream, const std::function<void()>& launch) {
    cuda_check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
    try {
      launch();
    } catch (...) {
      (void)cudaStreamEndCapture(stream, &graph_);
      free();
      throw;
    }
    try {
      cuda_check(cudaStreamEndCapture(stream, &graph_), "capture");
      cuda_check(cudaGraphInstantiate(&ready_, graph_, 0), "cudaGraphInstantiate");
    } catch (...) {
      free();
      throw;
    }
  }
  ~Graph() { free(); }
  Graph(const Graph&) = delete;  // owns both
  Graph& operator=(const Graph&) = delete;

  void launch(cudaStream_t stream) const {
    cuda_check(cudaGraphLaunch(ready_, stream), "cudaGraphLaunch");
  }

 private:
  void free() {
    if (ready_ != nullptr) (void)cudaGraphExecDestroy(ready_);
    if (graph_ != nullptr) (void)cudaGraphDestroy(graph_);
    (void)cudaGetLastError();  // of a capture that failed
  }

  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t ready_ = nullptr;
};

}  // namespace

std::function<double(const std::function<void()>& look)> GpuTimer::captured(
    void* stream, const std::function<void()>& launch) {
  const auto queue = static_cast<cudaStream_t>(stream);
  const auto graph = std::make_shared<Graph>(queue, launch);
  graph->launch(queue);  // the first one is brought to the device
  cuda_check(cudaStreamSynchronize(queue), "CUDA graph");
  return [this, queue, graph](const std::function<void()>& look) {
    *static_cast<volatile int*>(state_->go) = 0;
    hold<<<1, 1, 0, queue>>>(state_->go);
    cuda_check(cudaGetLastError(), "holding kernel");
    try {
      if (look) look();
      cuda_check(cudaEventRecord(state_->events[0].get(), queue), "cudaEventRecord");
      graph->launch(queue);
      cuda_check(cudaEventRecord(state_->events[1].get(), queue), "cudaEventRecord");
      if (look) look();
    } catch (...) {
      state_->let_go();
      (void)cudaStreamSynchronize(queue);
      throw;
    }
    state_->let_go();
    cuda_check(cudaStreamSynchronize(queue), "CUDA graph");
    float milliseconds = 0;
    cuda_check(
        cudaEventElapsedTime(&milliseconds, state_->events[0].get(), state_->events[1].get()),
        "cudaEventElapsedTime");
    return static_cast<double>(milliseconds) * 1e-3;
  };
}

double GpuTimer::time_as_graph(void* stream, int runs, const std::function<void(int)>& launch,
                               int repeats) {
  const auto one = captured(stream, [&] {
    for (int i = 0; i < runs; ++i) launch(i);
  });
  std::vector<double> times;
  for (int repeat = 0; repeat < repeats; ++repeat) times.push_back(one({}) / runs);
  std::ranges::nth_element(times, times.begin() + repeats / 2);
  return times[static_cast<std::size_t>(repeats / 2)];
}

}  // namespace trainmeter
