// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The GPU's operations compose a layer that is right.
#include "bench/case_lists.hpp"
#include "bench/layer_check.hpp"
#include "bench/layer_ways.hpp"
#include "workload/run.hpp"

#include "../kernels/needs_gpu.hpp"
#include "spoilt.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

namespace trainmeter {
namespace {

constexpr LayerShare kDense = {.seq_len = 4096};
constexpr LayerShare kExperts = {.kind = GemmGroup::moe, .seq_len = 4096, .ep = 64};

Check checked(const std::string& model, LayerShare share, DType dtype, const MakeStep& make) {
  share.precision = to_string(dtype);
  const SmallLayer layer = small_layer(Library(published_data()).model(model), share);
  return check_layer(layer, layer_steps(layer.model, layer.share), dtype, make);
}

MakeStep maker(DType dtype, const std::string& prefer = "cublaslt") {
  return layer_maker(read_options(Program::layer, {"layer_bench", "--prefer=" + prefer}),
                     {.kind = DeviceKind::gpu}, dtype);
}

}  // namespace

TEST(LayerCheckGpu, WhatTheGpuComposesIsTheLayer) {
  NEEDS_GPU();
  for (const auto& [model, share] : {std::pair{"gpt2-124m", kDense},
                                     {"llama-3-8b", kDense},
                                     {"deepseek-v3", kExperts},
                                     {"qwen3-30b-a3b", kExperts}}) {
    const Check check = checked(model, share, DType::bf16, maker(DType::bf16));
    EXPECT_TRUE(check.ok) << model << ": " << check.error << ", " << check.how;
  }
}

TEST(LayerCheckGpu, WhatTheGpuComposesInFp8IsTheLayer) {
  NEEDS_GPU();
  for (const char* prefer : {"cublaslt", "hopper", "reference"}) {
    for (const auto& [model, share] :
         {std::pair{"gpt2-124m", kDense}, {"llama-3-8b", kDense}, {"deepseek-v3", kExperts}}) {
      try {
        const Check check = checked(model, share, DType::fp8, maker(DType::fp8, prefer));
        EXPECT_TRUE(check.ok) << prefer << ", " << model << ": " << check.error << ", "
                              << check.how;
      } catch (const Unavailable& error) {
        GTEST_SKIP() << "skipped: " << error.what();
      }
    }
  }
}

TEST(LayerCheckGpu, AWrongTransposeIsFound) {
  NEEDS_GPU();
  const Check check =
      checked("llama-3-8b", kDense, DType::bf16, [make = maker(DType::bf16)](LayerStep step) {
        if (step.entry == "attention_output" && step.gemm->pass == Pass::fprop)
          step.gemm->pass = Pass::dgrad;
        return make(step);
      });
  EXPECT_FALSE(check.ok) << check.error;
}

TEST(LayerCheckGpu, AWrongScaleIsFound) {
  NEEDS_GPU();
  const Mistake mistake = {.what = "tokens' scales of the next block",
                           .at =
                               [](const LayerStep& s) {
                                 return s.entry == "attention_output" && s.gemm &&
                                        s.gemm->pass == Pass::wgrad;
                               },
                           .before = changes("scales_a", [](Tensor& scales) {
                             std::ranges::rotate(scales, scales.begin() + std::ssize(scales) / 2);
                           })};
  LayerShare share = kExperts;
  share.precision = "fp8";
  const SmallLayer layer = small_layer(Library(published_data()).model("deepseek-v3"), share);
  try {
    const Check check = with_mistake(layer, DType::fp8, maker(DType::fp8), mistake);
    EXPECT_FALSE(check.ok) << check.error;
  } catch (const Unavailable& error) {
    GTEST_SKIP() << "skipped: " << error.what();
  }
}

// 127 SMs aren't divided by clusters of two: grouped GEMMs are by another backend, which is said;
// nothing runs with the grid for all of them beside a co-runner.
TEST(LayerCasesGpu, ABackendThatDoesNotTakeWhatIsLeftIsPassedOver) {
  NEEDS_GPU();
  const Target target = choose_target("gpu");
  const auto cases = [&](const std::string& co_sms) {
    return layer_cases(
        read_options(Program::layer, {"layer_bench", "--models=deepseek-v3", "--dtype=bf16",
                                      "--prefer=hopper", "--co_sms=" + co_sms}),
        target);
  };
  const auto by_hopper = [](const Ways& ways) {
    return ways.front().operation == "grouped_gemm" && ways.front().backend == "hopper";
  };
  const CaseList even = cases(target.device.sms % 2 == 0 ? "4" : "5");
  ASSERT_FALSE(even.cases.empty());
  if (std::ranges::none_of(even.cases.front().parts, by_hopper)) GTEST_SKIP() << "no Hopper";
  const CaseList odd = cases(target.device.sms % 2 == 0 ? "5" : "4");
  for (const Case& layer : odd.cases) EXPECT_TRUE(std::ranges::none_of(layer.parts, by_hopper));
  EXPECT_TRUE(std::ranges::any_of(odd.left_out, [](const std::string& why) {
    return why.find("leaves (hopper: clusters of 2 blocks") != std::string::npos;
  }));
}

}  // namespace trainmeter
