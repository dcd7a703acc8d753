// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The tables of implementations, and the words for layouts and kernels.
#include "kernels/attention.hpp"
#include "kernels/gemm.hpp"
#include "kernels/memory.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {
namespace {

TEST(Backends, HaveDistinctNamesAndTheCpusComeFirst) {
  std::set<std::string> names;
  bool gpu_seen = false;
  for (const GemmBackend& backend : gemm_backends()) {
    EXPECT_TRUE(names.insert(std::string(backend.name)).second) << backend.name;
    EXPECT_FALSE(gpu_seen && backend.device == DeviceKind::cpu);
    gpu_seen = gpu_seen || backend.device == DeviceKind::gpu;
  }
  EXPECT_TRUE(names.contains("openblas"));
  for (const MemoryBackend& backend : memory_backends()) {
    EXPECT_TRUE(names.insert(std::string(backend.name)).second) << backend.name;
  }
  EXPECT_TRUE(names.contains("openmp"));
  EXPECT_TRUE(names.contains("openmp_nt"));
}

// A layer takes the first that can.
TEST(Backends, OfAGpuTheVendorsComeFirst) {
  const auto first_of_gpu = [](auto backends) {
    for (const auto& backend : backends) {
      if (backend.device == DeviceKind::gpu) return backend.name;
    }
    return std::string_view();
  };
  if (first_of_gpu(gemm_backends()).empty()) GTEST_SKIP() << "skipped: no GPU kernels are built";
  EXPECT_EQ(first_of_gpu(gemm_backends()), "cublaslt");
  std::vector<std::string_view> attention;
  for (const AttentionBackend& backend : attention_backends()) attention.push_back(backend.name);
  const bool cudnn = std::ranges::find(attention, "cudnn") != attention.end();
  EXPECT_EQ(attention, cudnn ? (std::vector<std::string_view>{"openmp", "cudnn", "mma"})
                             : (std::vector<std::string_view>{"openmp", "mma"}));
}

TEST(Backends, AReasonMeansUnavailable) {
  for (const GemmBackend& backend : gemm_backends()) {
    if (backend.device != DeviceKind::cpu) continue;
    const GemmProblem problem = {.m = 8, .n = 8, .k = 8, .dtype = DType::fp8_e5m2};
    EXPECT_NE(backend.why_not(problem), "") << backend.name;
    EXPECT_THROW(backend.make(problem, {}), Unavailable) << backend.name;
  }
}

TEST(Names, OfLayoutsAndMemoryKernels) {
  EXPECT_EQ(to_string(GemmLayout::nn), "nn");
  EXPECT_EQ(to_string(GemmLayout::nt), "nt");
  EXPECT_EQ(to_string(GemmLayout::tn), "tn");
  EXPECT_EQ(to_string(MemoryKernel::copy), "copy");
  EXPECT_EQ(to_string(MemoryKernel::read), "read");
  EXPECT_EQ(to_string(MemoryKernel::write), "write");
  EXPECT_EQ(to_string(MemoryKernel::triad), "triad");
}

TEST(Gemm, OutputSizes) {
  EXPECT_EQ(output_size_of(DType::fp64), 8);
  EXPECT_EQ(output_size_of(DType::fp32), 4);
  EXPECT_EQ(output_size_of(DType::tf32), 4);
  EXPECT_EQ(output_size_of(DType::int8), 4);
  EXPECT_EQ(output_size_of(DType::fp16), 2);
  EXPECT_EQ(output_size_of(DType::bf16), 2);
}

}  // namespace
}  // namespace trainmeter
