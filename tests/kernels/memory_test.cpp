// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The CPU's memory kernels do what their names say, on any number of threads.
#include "kernels/memory.hpp"

#include "kernels/machine.hpp"
#include "kernels/memory_loops.hpp"
#include "kernels/numa.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <omp.h>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

namespace trainmeter {
namespace {

class CpuMemory : public ::testing::TestWithParam<std::tuple<MemoryKernel, DType>> {};

TEST_P(CpuMemory, IsRight) {
  const auto [kernel, type] = GetParam();
  const int threads = omp_get_max_threads();
  for (const MemoryBackend& backend : memory_backends()) {
    if (backend.device != DeviceKind::cpu) continue;
    for (const std::int64_t pages : {1, 3, 2049}) {
      const MemoryProblem problem = {.kernel = kernel, .dtype = type, .array_bytes = pages * 4096};
      if (!backend.why_not(problem).empty()) {
        EXPECT_THROW(backend.make(problem, {}), Unavailable);
        continue;
      }
      for (const int used : {1, 2, 5}) {  // more threads than pages, too
        omp_set_num_threads(used);
        const auto operation = backend.make(problem, {.rotate_bytes = 3 * 4096});
        const Check check = operation->verify();
        EXPECT_TRUE(check.ok) << backend.name << ", " << pages << " pages, " << used
                              << " threads: " << check.error << ", " << check.how;
        for (int set = 0; set < operation->sets(); ++set) operation->run(set);
        EXPECT_TRUE(operation->verify().ok);
      }
    }
  }
  omp_set_num_threads(threads);
}

TEST_P(CpuMemory, IsRightOnSomeOfTheThreadsAndOnANode) {
  const auto [kernel, type] = GetParam();
  const int pool = omp_get_max_threads();
  const CpuInfo cpu = cpu_info();
  omp_set_num_threads(cpu.cores);
  MemoryProblem problem = {.kernel = kernel, .dtype = type, .array_bytes = 7 * 4096};
  for (const MemoryBackend& backend : memory_backends()) {
    if (backend.device != DeviceKind::cpu || !backend.why_not(problem).empty()) continue;
    for (const NumaNode& node : numa_nodes(cpu)) {
      for (const auto& here : {std::optional<int>(), std::optional<int>(node.id)}) {
        for (const int threads : {0, 1, static_cast<int>(node.core_ids.size())}) {
          problem.threads = threads;
          problem.node = here;
          const Check check = backend.make(problem, {.rotate_bytes = 1 << 20})->verify();
          EXPECT_TRUE(check.ok) << backend.name << ", " << threads << " threads: " << check.error;
        }
      }
    }
    problem.node = std::nullopt;
    problem.threads = cpu.cores + 1;
    EXPECT_THROW(backend.make(problem, {}), Unavailable);
    problem.node = 12345;
    problem.threads = 0;
    EXPECT_THROW(backend.make(problem, {}), Unavailable);
    problem.node = std::nullopt;
  }
  omp_set_num_threads(pool);
}

INSTANTIATE_TEST_SUITE_P(
    All, CpuMemory,
    ::testing::Combine(::testing::Values(MemoryKernel::copy, MemoryKernel::read,
                                         MemoryKernel::write, MemoryKernel::triad),
                       ::testing::Values(DType::fp64, DType::fp32)),
    [](const auto& p) {
      return std::string(to_string(std::get<0>(p.param))) + "_" +
             std::string(to_string(std::get<1>(p.param)));
    });

TEST(CpuMemoryRefuses, WhatItCannotDo) {
  for (const MemoryBackend& backend : memory_backends()) {
    if (backend.device != DeviceKind::cpu) continue;
    MemoryProblem problem = {.kernel = MemoryKernel::copy, .array_bytes = 4096};
    problem.dtype = DType::bf16;
    EXPECT_THAT(backend.why_not(problem), ::testing::HasSubstr("not bf16"));
    problem.dtype = DType::fp32;
    for (const std::int64_t bytes : {std::int64_t{0}, std::int64_t{-4096}, std::int64_t{4095}}) {
      problem.array_bytes = bytes;
      EXPECT_THROW(backend.make(problem, {}), std::invalid_argument);
    }
    for (const std::int64_t bytes : {std::int64_t{1} << 50, std::int64_t{1} << 62}) {
      problem.array_bytes = bytes;
      EXPECT_THROW(backend.make(problem, {}), Unavailable);
    }
  }
}

TEST(SumOf, TakesEveryElementOnce) {
  alignas(64) static double wide[2048];
  alignas(64) static float narrow[2048];
  EXPECT_EQ(sum_of(wide, 2048), 0);
  for (int i = 0; i < 2048; ++i) {
    wide[i] = i;
    narrow[i] = static_cast<float>(i);
  }
  EXPECT_EQ(sum_of(wide, 2048), 2047.0 * 1024);
  EXPECT_EQ(sum_of(narrow, 2048), 2047.0 * 1024);
}

}  // namespace
}  // namespace trainmeter
