// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What of cuDNN's attention can be held without a GPU: how its tensors are described, what is
// refused, and that cuDNN itself, where it is, has an engine for the rest on GPUs that it is only
// told of.
#include "kernels/attention_cudnn_plan.hpp"
#include "kernels/cudnn_library.hpp"
#include "kernels/machine.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <dlfcn.h>
#include <string>

namespace trainmeter {
namespace {

using testing::HasSubstr;
using enum AttentionPass;

AttentionProblem of(AttentionPass pass, std::int64_t queries, std::int64_t keys,
                    std::int64_t head_dim, std::int64_t value_dim, bool causal = true) {
  return {.pass = pass,
          .batch = 2,
          .heads = 8,
          .kv_heads = 2,
          .queries = queries,
          .keys = keys,
          .head_dim = head_dim,
          .value_dim = value_dim,
          .causal = causal};
}

std::string name_of(const AttentionProblem& p, int compute_capability) {
  return fmt::format("{} of {} queries and {} keys, widths {} and {}{}, on {}", to_string(p.pass),
                     p.queries, p.keys, p.head_dim, p.value_dim, p.causal ? ", causal" : "",
                     compute_capability);
}

TEST(CudnnAttention, TensorsAreDescribedAsTheyLie) {
  for (const AttentionPass pass : {forward, backward}) {
    const AttentionProblem p = of(pass, 5, 7, 192, 128);
    std::int64_t last_id = 0;
    for (int i = 0; i < kAttentionTensors; ++i) {
      const auto tensor = static_cast<AttentionTensor>(i);
      const CudnnTensor got = cudnn_tensor(p, tensor);
      std::int64_t elements = 1;
      for (int d = 3; d >= 0; --d) {
        EXPECT_EQ(got.strides[d], elements) << to_string(tensor);
        elements *= got.sizes[d];
      }
      EXPECT_EQ(elements, attention_elements(p, tensor)) << to_string(tensor);
      EXPECT_GT(got.id, last_id) << to_string(tensor);
      last_id = got.id;
    }
    using Sizes = std::array<std::int64_t, 4>;
    EXPECT_EQ(cudnn_tensor(p, AttentionTensor::q).sizes, (Sizes{2, 8, 5, 192}));
    EXPECT_EQ(cudnn_tensor(p, AttentionTensor::d_k).sizes, (Sizes{2, 2, 7, 192}));
    EXPECT_EQ(cudnn_tensor(p, AttentionTensor::v).sizes, (Sizes{2, 2, 7, 128}));
    EXPECT_EQ(cudnn_tensor(p, AttentionTensor::d_o).sizes, (Sizes{2, 8, 5, 128}));
    EXPECT_EQ(cudnn_tensor(p, AttentionTensor::l).sizes, (Sizes{2, 8, 5, 1}));
  }
}

TEST(CudnnAttention, SaysWhatItCannotDo) {
  const auto reason = [](const AttentionProblem& p, int compute_capability) {
    return why_no_cudnn_attention(p, compute_capability);
  };
  for (const int gpu : {80, 90, 100, 120}) {
    for (const AttentionPass pass : {forward, backward}) {
      EXPECT_EQ(reason(of(pass, 4096, 4096, 128, 128), gpu), "");
      EXPECT_THAT(reason(of(pass, 4096, 4096, 36, 64), gpu), HasSubstr("multiples of 8"));
      EXPECT_THAT(reason(of(pass, 4096, 4096, 64, 264), gpu), HasSubstr("value_dim up to"));
    }
    EXPECT_EQ(reason(of(forward, 4096, 4096, 192, 128), gpu), "");
    EXPECT_EQ(reason(of(forward, 4096, 4096, 256, 256), gpu), "");
    EXPECT_EQ(reason(of(forward, 1, 1, 128, 128), gpu), "");
    EXPECT_THAT(reason(of(backward, 1, 1, 128, 128), gpu), HasSubstr("one query and one key"));
  }
  EXPECT_THAT(reason(of(forward, 4096, 4096, 128, 128), 75), HasSubstr("capability 8.0"));
  // Backward: Hopper has the widest; MLA's widths are a case of their own on Blackwell.
  EXPECT_EQ(reason(of(backward, 4096, 4096, 192, 128), 90), "");
  EXPECT_EQ(reason(of(backward, 4096, 4096, 256, 256), 90), "");
  EXPECT_EQ(reason(of(backward, 4096, 4096, 192, 128), 100), "");
  EXPECT_THAT(reason(of(backward, 4096, 4096, 192, 192), 100), HasSubstr("10.x"));
  EXPECT_EQ(reason(of(backward, 4096, 4096, 192, 128), 80),
            "cudnn: backward on compute capability 8.x has head_dim and value_dim up to 128");
  AttentionProblem wide = of(forward, 4096, 4096, 128, 128);
  wide.dtype = DType::fp32;
  EXPECT_THAT(reason(wide, 90), HasSubstr("not fp32"));
}

TEST(CudnnLibrary, ItsVersionIsInTheUsualForm) {
  EXPECT_EQ(library_version(91900), "9.19.0");
  EXPECT_EQ(library_version(91002), "9.10.2");
  const RuntimeLibrary& library = cudnn_library();
  EXPECT_EQ(library.why_not.empty(), library.version >= 91800) << library.why_not;
}

// By ctest in a process of its own, in which nobody has asked for it before.
TEST(CudnnLibrary, ARecordsVersionsLoadItForNobody) {
  if (loaded_cudnn_library() == nullptr) {
    (void)library_versions();
    EXPECT_EQ(::dlopen("libcudnn.so.9", RTLD_NOW | RTLD_NOLOAD), nullptr);
  }
  const RuntimeLibrary& library = cudnn_library();
  EXPECT_EQ(library_versions().contains("cuDNN"), library.handle != nullptr);
}

// What cuDNN is told of a GPU. Sizes of an A100, an H100 and a B200.
std::string device_json(int compute_capability) {
  const bool ampere = compute_capability < 90;
  const int sms = ampere ? 108 : compute_capability < 100 ? 132 : 148;
  return fmt::format(
      R"({{"deviceName":"described","deviceVer":{},"driverVer":13000,"cudaDeviceId":0,"pciDeviceId":0,)"
      R"("multiProcessorCount":{},"warpSize":32,"maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,)"
      R"("maxCtasPerSM":32,"maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],)"
      R"("regsPerBlock":65536,"maxRegistersPerSM":65536,"maxSharedMemoryPerBlock":49152,)"
      R"("maxSharedMemoryPerBlockOptin":{},"reservedSharedMemoryPerBlock":1024,"isTccDriver":0,)"
      R"("supportCoopLaunch":1,"totalGlobalMem":80000000000,"smClockRateKHz":1700000,)"
      R"("memClockRateKHz":2600000,"l2CacheSize":50000000}})",
      10 * compute_capability, sms, ampere ? 166912 : 232448);
}

// cuDNN compiles its kernels, so it loads these before it says that it has one. A toolkit's
// stand-in for the driver will do.
std::string why_no_compiler() {
  for (const char* name : {"libcuda.so.1", TRAINMETER_DRIVER_STUB}) {
    if (::dlopen(name, RTLD_NOW | RTLD_LOCAL) != nullptr) return "";
  }
  return "neither libcuda.so.1 nor a toolkit's stand-in for it";
}

TEST(CudnnAttention, CudnnHasAnEngineForAllThatIsNotRefused) {
  const std::string missing =
      cudnn_library().why_not.empty() ? why_no_compiler() : cudnn_library().why_not;
  if (!missing.empty()) {
    std::printf("skipped: %s\n", missing.c_str());
    GTEST_SKIP() << "skipped: " << missing;
  }
  int taken = 0;
  int refused = 0;
  for (const int gpu : {80, 90, 100}) {
    for (const AttentionPass pass : {forward, backward}) {
      for (const AttentionProblem& p :
           {of(pass, 4096, 4096, 64, 64), of(pass, 4096, 4096, 128, 128),
            of(pass, 4096, 4096, 192, 128), of(pass, 301, 301, 80, 72), of(pass, 5, 260, 48, 40),
            of(pass, 200, 333, 96, 96, false), of(pass, 333, 200, 96, 96, false),
            of(pass, 1024, 1024, 256, 256), of(pass, 1024, 1024, 192, 192),
            of(pass, 1, 4097, 128, 128), of(pass, 1, 1, 128, 128), of(pass, 64, 64, 12, 12)}) {
        const std::string ours = why_no_cudnn_attention(p, gpu);
        const std::string theirs = why_no_cudnn_engine(p, gpu, device_json(gpu));
        EXPECT_EQ(ours.empty(), theirs.empty())
            << name_of(p, gpu) << ": " << ours << "; " << theirs;
        EXPECT_EQ(theirs.find('\n'), std::string::npos) << theirs;
        ++(ours.empty() ? taken : refused);
      }
    }
  }
  EXPECT_GT(taken, 40);
  EXPECT_GT(refused, 5);
}

}  // namespace
}  // namespace trainmeter
