// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Every GPU implementation over dtypes, layouts and odd shapes; without a GPU, that each says so
// and nothing else happens.
#include "kernels/collective.hpp"
#include "kernels/gemm.hpp"
#include "kernels/gpu_timer.hpp"
#include "kernels/machine.hpp"
#include "kernels/memory.hpp"
#include "kernels/numa.hpp"
#include "kernels/step_kernel.hpp"
#include "kernels/telemetry.hpp"
#include "kernels/transfer.hpp"

#include "needs_gpu.hpp"
#include <cudaTypedefs.h>
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace trainmeter;

namespace {

const GemmBackend& cublaslt() {
  return *std::ranges::find(gemm_backends(), std::string_view("cublaslt"), &GemmBackend::name);
}

const GemmBackend& hopper() {
  return *std::ranges::find(gemm_backends(), std::string_view("hopper"), &GemmBackend::name);
}

const MemoryBackend& cuda_memory() {
  return *std::ranges::find(memory_backends(), std::string_view("cuda"), &MemoryBackend::name);
}

const StepBackend& cuda_step() {
  return *std::ranges::find(step_backends(), std::string_view("cuda"), &StepBackend::name);
}

struct Shape {
  std::int64_t m, n, k;
};

// Of each GPU, whether this process has a context there.
std::vector<int> contexts() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) return {};
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  EXPECT_EQ(cudaGetDriverEntryPointByVersion("cuDevicePrimaryCtxGetState", &found, 7000,
                                             cudaEnableDefault, &result),
            cudaSuccess);
  if (found == nullptr) return {};
  std::vector<int> out(static_cast<std::size_t>(count));
  unsigned int flags = 0;
  for (int device = 0; device < std::ssize(out); ++device) {
    reinterpret_cast<PFN_cuDevicePrimaryCtxGetState_v7000>(found)(
        device, &flags, &out[static_cast<std::size_t>(device)]);
  }
  return out;
}

}  // namespace

TEST(Gpu, GemmIsRightInEveryTypeLayoutAndShape) {
  NEEDS_GPU();
  for (const DType type : {DType::fp64, DType::fp32, DType::tf32, DType::fp16, DType::bf16}) {
    for (const GemmLayout layout : {GemmLayout::nn, GemmLayout::nt, GemmLayout::tn}) {
      for (const Shape s : {Shape{256, 256, 256}, Shape{8, 24, 40}, Shape{1000, 504, 328},
                            Shape{2048, 1024, 4096}}) {
        const auto gemm = cublaslt().make({s.m, s.n, s.k, type, layout}, {});
        const Check check = gemm->verify();
        EXPECT_TRUE(check.ok) << to_string(type) << " " << to_string(layout) << " " << s.m << "x"
                              << s.n << "x" << s.k << ": error " << check.error << ", bound "
                              << check.bound;
      }
    }
  }
}

// In the tile that timing picks (gpu_gemm_test.cpp takes every one): ragged edges in each
// direction, fewer and more steps than stages.
TEST(Gpu, OurGemmForHopperIsRight) {
  NEEDS_GPU();
  if (const std::string why = hopper().why_not({8, 8, 8, DType::bf16}); !why.empty())
    GTEST_SKIP() << "skipped: " << why;
  for (const GemmLayout layout : {GemmLayout::nn, GemmLayout::nt, GemmLayout::tn}) {
    for (const std::int64_t groups : {1, 3}) {
      for (const Shape s :
           {Shape{8, 8, 8}, Shape{64, 128, 64}, Shape{72, 136, 520}, Shape{1000, 504, 328},
            Shape{4096, 7168, 2048}, Shape{8192, 8192, 8192}}) {
        if (groups > 1 && s.m > 1000) continue;
        const auto gemm = hopper().make({s.m, s.n, s.k, DType::bf16, layout, groups}, {});
        const Check check = gemm->verify();
        EXPECT_TRUE(check.ok) << to_string(layout) << " " << groups << " of " << s.m << "x" << s.n
                              << "x" << s.k << ": error " << check.error << ", bound "
                              << check.bound;
      }
    }
  }
}

// Ours and cuBLASLt's, of either pass, on random numbers; ours in the tile that timing picks.
TEST(Gpu, BlockScaledFp8IsRight) {
  NEEDS_GPU();
  for (const GemmBackend& backend : {hopper(), cublaslt()}) {
    for (const bool accumulate : {false, true}) {
      for (const Shape s : {Shape{8, 16, 16}, Shape{72, 136, 528}, Shape{1000, 504, 336},
                            Shape{4096, 2112, 7168}, Shape{4096, 7168, 2048}}) {
        GemmProblem problem = {.m = s.m, .n = s.n, .k = s.k, .dtype = DType::fp8};
        problem.scaling = Scaling::block128;
        problem.accumulate = accumulate;
        try {
          const Check check = backend.make(problem, {})->verify();
          EXPECT_TRUE(check.ok) << backend.name << (accumulate ? " adding " : " ") << s.m << "x"
                                << s.n << "x" << s.k << ": error " << check.error << ", bound "
                                << check.bound;
        } catch (const Unavailable& why) {
          std::printf("skipped: %s\n", why.what());
        }
      }
    }
  }
}

TEST(Gpu, OurGemmForHopperAddsAndTakesAShareOfTheSms) {
  NEEDS_GPU();
  if (const std::string why = hopper().why_not({8, 8, 8, DType::bf16}); !why.empty())
    GTEST_SKIP() << "skipped: " << why;
  GemmProblem adding = {1000, 504, 328, DType::bf16, GemmLayout::tn};
  adding.accumulate = true;
  GemmProblem share = {1000, 504, 328, DType::bf16, GemmLayout::nt};
  share.sms = 20;
  for (const GemmProblem& problem : {adding, share}) {
    const Check check = hopper().make(problem, {})->verify();
    EXPECT_TRUE(check.ok) << "error " << check.error << ", bound " << check.bound;
  }
}

// Groups that are no multiple of a tile, empty ones, one that is most of all.
TEST(Gpu, MemoryKernelsMoveEveryElement) {
  NEEDS_GPU();
  for (const DType type : {DType::fp64, DType::fp32}) {
    for (const MemoryKernel kernel :
         {MemoryKernel::copy, MemoryKernel::read, MemoryKernel::write, MemoryKernel::triad}) {
      for (const std::int64_t bytes : {4096LL, 4096LL * 333, 64LL << 20}) {
        const Check check = cuda_memory().make({kernel, type, bytes}, {})->verify();
        EXPECT_TRUE(check.ok) << to_string(kernel) << " " << to_string(type) << " " << bytes << ": "
                              << check.error << " of " << check.bound;
      }
    }
  }
}

TEST(Gpu, GroupsAreProductsOfTheirOwn) {
  NEEDS_GPU();
  for (const GemmLayout layout : {GemmLayout::nn, GemmLayout::nt, GemmLayout::tn}) {
    const auto gemm = cublaslt().make(
        {.m = 264, .n = 512, .k = 136, .dtype = DType::bf16, .layout = layout, .groups = 7}, {});
    const Check check = gemm->verify();
    EXPECT_TRUE(check.ok) << to_string(layout) << ": " << check.error;
  }
}

TEST(Gpu, GemmTellsWhichAlgorithmWon) {
  NEEDS_GPU();
  const auto notes = cublaslt().make({1024, 1024, 1024, DType::bf16, GemmLayout::nt}, {})->notes();
  EXPECT_EQ(notes.at("algorithm").rfind("id ", 0), 0U) << notes.at("algorithm");
  EXPECT_GE(std::stoi(notes.at("algorithms_tried")), 1);
  EXPECT_LE(std::stoi(notes.at("algorithms_tried")), 64);
}

TEST(Gpu, CopiesWithoutThreadsMoveEveryByte) {
  NEEDS_GPU();
  for (const char* name : {"copy_engine", "cuda_bulk"}) {
    const auto& backend =
        *std::ranges::find(memory_backends(), std::string_view(name), &MemoryBackend::name);
    for (const std::int64_t bytes : {4096LL, 4096LL * 333, 64LL << 20}) {
      const MemoryProblem problem{MemoryKernel::copy, DType::fp32, bytes};
      if (!backend.why_not(problem).empty()) continue;
      EXPECT_TRUE(backend.make(problem, {})->verify().ok) << name << " " << bytes;
    }
  }
}

TEST(Gpu, TransfersMoveEveryByte) {
  NEEDS_GPU();
  const auto gpu_count = static_cast<int>(gpus().devices.size());
  for (const TransferBackend& backend : transfer_backends()) {
    for (const TransferKind kind :
         {TransferKind::host_to_device, TransferKind::device_to_host, TransferKind::peer_copy}) {
      for (const bool other : {false, true}) {  // pageable; both ways
        const TransferProblem problem{.kind = kind,
                                      .bytes = 4096 * 333,
                                      .pinned = !other,
                                      .node = numa_nodes(cpu_info()).front().id,
                                      .from = 0,
                                      .to = 1,
                                      .both_ways = other};
        if (kind == TransferKind::peer_copy && gpu_count < 2) continue;
        if (!backend.why_not(problem).empty()) continue;
        const auto transfer = backend.make(problem, {.rotate_bytes = 8 << 20});
        const Check check = transfer->verify();
        EXPECT_TRUE(check.ok) << backend.name << " " << to_string(kind) << ": " << check.error
                              << " bytes";
        for (int set = 0; set < transfer->sets(); ++set) transfer->run(set);
        const bool peer = kind == TransferKind::peer_copy;
        EXPECT_EQ(transfer->stream() == nullptr, !peer && other);
        EXPECT_EQ(transfer->launches(), peer ? (other ? 6 : 5) : 2);  // events and waits, too
      }
    }
  }
}

// By ctest in a process of its own, which has no context yet.
TEST(Gpu, OnlyTheGpuThatIsWorkedOnHasAContext) {
  std::vector<int> all = contexts();
  NEEDS_GPU();
  ASSERT_EQ(gpus().devices.size(), all.size());
  EXPECT_EQ(contexts(), all) << "by looking for GPUs";
  EXPECT_GT(gpu_memory_free_bytes(0), 0);
  EXPECT_LE(gpu_memory_free_bytes(0), gpus().devices.front().memory_bytes);
  all.front() = 1;
  EXPECT_EQ(contexts(), all);
}

TEST(Gpu, OperandsRotate) {
  NEEDS_GPU();
  const auto copy =
      cuda_memory().make({MemoryKernel::copy, DType::fp64, 1 << 20}, {.rotate_bytes = 64 << 20});
  EXPECT_GE(copy->sets(), 32);
  for (int set = 0; set < copy->sets(); ++set) copy->run(set);
  EXPECT_TRUE(copy->verify().ok);
}

TEST(Gpu, TimesGrowWithTheWork) {  // ratios within one run only
  NEEDS_GPU();
  const auto one = cuda_memory().make({MemoryKernel::copy, DType::fp64, 256LL << 20}, {});
  const auto four = cuda_memory().make({MemoryKernel::copy, DType::fp64, 1024LL << 20}, {});
  GpuTimer timer;
  auto a = timer.time(one->stream(), 21, [&](int) { one->run(0); });
  auto b = timer.time(four->stream(), 21, [&](int) { four->run(0); });
  std::ranges::sort(a);
  std::ranges::sort(b);
  EXPECT_GT(a[0], 0);
  EXPECT_GT(b[10] / a[10], 2);
  EXPECT_LT(b[10] / a[10], 8);
}

TEST(Gpu, AGraphOfTheSameLaunchesTakesTheSameTime) {
  NEEDS_GPU();
  const auto copy = cuda_memory().make({MemoryKernel::copy, DType::fp64, 256 << 20}, {});
  GpuTimer timer;
  for (int i = 0; i < 50; ++i) copy->run(0);  // warm
  std::vector<double> events = timer.time(copy->stream(), 21, [&](int) { copy->run(0); });
  std::ranges::sort(events);
  const double graph_s = timer.time_as_graph(
      copy->stream(), 20, [&](int) { copy->run(0); }, 5);
  EXPECT_LT(std::abs(graph_s / events[10] - 1), 0.05);
  EXPECT_THROW(timer.time_as_graph(
                   copy->stream(), 1, [](int) { throw std::runtime_error("of the launch"); }, 1),
               std::runtime_error);
  EXPECT_EQ(timer.time(copy->stream(), 3, [&](int) { copy->run(0); }).size(),
            3U);  // it goes on after that
}

// A stream lives as long as its operation; the timer, longer.
TEST(Gpu, TheTimerOutlivesTheStreamsThatItTimed) {
  NEEDS_GPU();
  GpuTimer timer;
  for (int round = 0; round < 2; ++round) {
    const auto copy = cuda_memory().make({MemoryKernel::copy, DType::fp64, 1 << 20}, {});
    EXPECT_EQ(timer.time(copy->stream(), 2, [&](int) { copy->run(0); }).size(), 2U);
  }
  EXPECT_NO_THROW(cuda_memory().make({MemoryKernel::copy, DType::fp64, 1 << 20}, {}));
}

TEST(Gpu, TheTimerHoldsMoreRunsThanItQueues) {
  NEEDS_GPU();
  const auto copy = cuda_memory().make({MemoryKernel::copy, DType::fp64, 1 << 20}, {});
  GpuTimer timer;
  EXPECT_EQ(timer.time(copy->stream(), 1000, [&](int) { copy->run(0); }).size(), 1000U);
  const auto batched = timer.time(
      copy->stream(), 3,
      [&](int) {
        for (int i = 0; i < 2000; ++i) copy->run(0);
      },
      2000);
  EXPECT_EQ(batched.size(), 3U);
}

TEST(Gpu, TelemetryReadsTheSensors) {
  NEEDS_GPU();
  const auto telemetry = gpu_telemetry(gpus().devices.front().uuid);
  const TelemetrySample sample = telemetry->read();
  const DeviceState state = telemetry->state();
  for (const auto& [sensor, why] : telemetry->unreadable()) {
    std::printf("%s: %s\n", sensor.c_str(), why.c_str());
  }
  if (telemetry->unreadable().contains("nvml")) {
    std::puts("skipped: NVML is not there");
    GTEST_SKIP();
  }
  EXPECT_GT(sample.sm_clock_hz.value_or(0), 1e8);
  EXPECT_LT(sample.sm_clock_hz.value_or(0), 5e9);
  EXPECT_GT(sample.power_w.value_or(0), 1);
  EXPECT_LT(sample.power_w.value_or(0), 5000);
  EXPECT_GT(sample.temperature_c.value_or(0), 0);
  EXPECT_LT(sample.temperature_c.value_or(0), 120);
  EXPECT_LE(state.pcie_width.value_or(0), state.pcie_width_max.value_or(0));
  EXPECT_LE(state.pcie_generation.value_or(0), state.pcie_generation_max.value_or(0));
}

TEST(Gpu, CollectivesAreRight) {
  NEEDS_GPU();
  if (gpus().devices.size() < 2) {
    std::puts("skipped: one GPU");
    GTEST_SKIP();
  }
  const auto world = make_gpu_world();
  for (const DType type : {DType::fp32, DType::fp64, DType::fp16, DType::bf16}) {
    for (const std::int64_t size : {4096LL, 16LL << 20}) {
      for (const CollectiveKind what :
           {CollectiveKind::all_reduce, CollectiveKind::all_gather, CollectiveKind::reduce_scatter,
            CollectiveKind::broadcast, CollectiveKind::reduce, CollectiveKind::all_to_all,
            CollectiveKind::send_recv}) {
        const std::int64_t bytes = even_bytes(what, type, size, world->ranks());
        EXPECT_TRUE(world->collective("nccl", {type, bytes, what}, {})->verify().ok)
            << to_string(what) << " " << to_string(type) << " " << bytes;
      }
    }
    const auto counts = distance_weighted(type, 4096, world->ranks());
    EXPECT_TRUE(
        world->collective("nccl", {type, 4096, CollectiveKind::all_to_all_v, false, counts}, {})
            ->verify()
            .ok);
  }
}

TEST(WithoutGpu, EveryPartSaysWhy) {
  if (!gpus().devices.empty()) GTEST_SKIP() << "there is a GPU";
  const std::string why = gpus().why_none;
  EXPECT_EQ(why.rfind("no CUDA device: ", 0), 0U) << why;
  EXPECT_EQ(cublaslt().why_not({64, 64, 64, DType::bf16, GemmLayout::nt}), why);
  EXPECT_THROW(cublaslt().make({64, 64, 64, DType::bf16, GemmLayout::nt}, {}), Unavailable);
  EXPECT_THROW(cuda_memory().make({MemoryKernel::copy, DType::fp64, 4096}, {}), Unavailable);
  EXPECT_THROW(cuda_step().make({.rows = 4, .cols = 8}, {}), Unavailable);
  EXPECT_THROW(gpu_memory_free_bytes(0), Unavailable);
  EXPECT_THROW(make_gpu_world(), Unavailable);
  EXPECT_THROW(make_virtual_world(2), Unavailable);
  ASSERT_EQ(transfer_backends().size(), 2U);
  for (const TransferBackend& backend : transfer_backends()) {
    const TransferProblem problem{.kind = TransferKind::peer_copy, .bytes = 4096, .to = 1};
    EXPECT_EQ(backend.why_not(problem), why) << backend.name;
    EXPECT_THROW(backend.make(problem, {}), Unavailable);
  }
  for (const MemoryBackend& backend : memory_backends()) {
    if (backend.device != DeviceKind::gpu) continue;
    EXPECT_EQ(backend.why_not({MemoryKernel::copy, DType::fp64, 4096}), why) << backend.name;
  }
  EXPECT_THROW(GpuTimer(), Unavailable);
}

TEST(WithoutGpu, ArgumentsAreCheckedFirst) {
  for (const TransferBackend& backend : transfer_backends()) {
    EXPECT_THROW(backend.make({.bytes = 100}, {}), std::invalid_argument);
    EXPECT_THROW(backend.make({.kind = TransferKind::peer_copy, .bytes = 4096}, {}),
                 std::invalid_argument);
  }
  EXPECT_THROW(cublaslt().make({0, 64, 64, DType::bf16, GemmLayout::nt}, {}),
               std::invalid_argument);
  EXPECT_THROW(cuda_memory().make({MemoryKernel::copy, DType::fp64, 100}, {}),
               std::invalid_argument);
  EXPECT_THROW(cuda_step().make({.rows = 0, .cols = 8}, {}), std::invalid_argument);
  EXPECT_NE(cuda_step().why_not({.dtype = DType::fp64, .rows = 4, .cols = 8}), "");
  EXPECT_NE(cublaslt().why_not({64, 64, 64, DType::fp8, GemmLayout::nt}), "");
  EXPECT_NE(cuda_memory().why_not({MemoryKernel::copy, DType::bf16, 4096}), "");
}
