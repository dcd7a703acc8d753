// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a build without CUDA says where a GPU is asked for.
#include "kernels/cache_flush.hpp"
#include "kernels/co_runner.hpp"
#include "kernels/collective.hpp"
#include "kernels/gpu_timer.hpp"
#include "kernels/machine.hpp"
#include "kernels/one_stream.hpp"
#include "kernels/operand_values.hpp"

namespace trainmeter {

Gpus gpus() {
  return {.devices = {}, .why_none = "built without CUDA"};
}

std::int64_t gpu_memory_free_bytes(int /*device*/) {
  throw Unavailable("built without CUDA");
}

std::function<void()> gpu_cache_flusher(std::int64_t /*bytes*/) {
  throw Unavailable("built without CUDA");
}

std::unique_ptr<World> make_nccl_world(const Split& /*split*/, const Leave& /*leave*/,
                                       const Interrupt& /*interrupt*/) {
  throw Unavailable("built without CUDA");
}

std::unique_ptr<World> make_gpu_world(const Split& /*split*/, int /*gpus*/) {
  throw Unavailable("built without CUDA");
}

std::unique_ptr<World> make_virtual_world(int /*ranks*/) {
  throw Unavailable("built without CUDA");
}

void copy_with_gpu(void* /*to*/, const void* /*from*/, std::int64_t /*bytes*/) {
  throw Unavailable("built without CUDA");
}

OneStream::OneStream() {
  throw Unavailable("built without CUDA");
}

OneStream::~OneStream() = default;

bool OneStream::lives() {
  return false;
}

std::unique_ptr<CoRunner> make_gpu_co_runner(const CoRunnerProblem& /*problem*/) {
  throw Unavailable("built without CUDA");
}

std::unique_ptr<CoRunner> make_gpus_all_reduce_co_runner(const CoRunnerProblem& /*problem*/) {
  throw Unavailable("built without CUDA");
}

struct GpuTimer::State {};

GpuTimer::GpuTimer() {
  throw Unavailable("built without CUDA");
}

GpuTimer::~GpuTimer() = default;

std::vector<double> GpuTimer::time(void* /*stream*/, int /*runs*/,
                                   const std::function<void(int)>& /*launch*/, int /*kernels*/) {
  throw Unavailable("built without CUDA");
}

std::vector<double> GpuTimer::laps(void* /*stream*/, int /*steps*/,
                                   const std::function<void(int)>& /*launch*/, int /*kernels*/) {
  throw Unavailable("built without CUDA");
}

double GpuTimer::time_as_graph(void* /*stream*/, int /*runs*/,
                               const std::function<void(int)>& /*launch*/, int /*repeats*/) {
  throw Unavailable("built without CUDA");
}

std::function<double(const std::function<void()>&)> GpuTimer::captured(
    void* /*stream*/, const std::function<void()>& /*launch*/) {
  throw Unavailable("built without CUDA");
}

}  // namespace trainmeter
