// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The GPU's operations compose a layer that is right.
#include "bench/layer_check.hpp"
#include "bench/layer_ways.hpp"
#include "kernels/operand_values.hpp"
#include "workload/run.hpp"

#include "../kernels/needs_gpu.hpp"
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace trainmeter {
namespace {

constexpr LayerShare kDense = {.seq_len = 4096};
constexpr LayerShare kExperts = {.kind = GemmGroup::moe, .seq_len = 4096, .ep = 64};

Check checked(const std::string& model, const LayerShare& share, const MakeStep& make) {
  const SmallLayer layer = small_layer(Library(published_data()).model(model), share);
  return check_layer(layer, layer_steps(layer.model, layer.share), DType::bf16, make);
}

MakeStep maker() {
  return layer_maker(read_options(Program::layer, {"layer_bench"}), {.kind = DeviceKind::gpu},
                     DType::bf16);
}

}  // namespace

TEST(LayerCheckGpu, WhatTheGpuComposesIsTheLayer) {
  NEEDS_GPU();
  for (const auto& [model, share] :
       {std::pair{"gpt2-124m", kDense}, {"llama-3-8b", kDense}, {"deepseek-v3", kExperts}}) {
    const Check check = checked(model, share, maker());
    EXPECT_TRUE(check.ok) << model << ": " << check.error << ", " << check.how;
  }
}

TEST(LayerCheckGpu, AWrongTransposeIsFound) {
  NEEDS_GPU();
  const Check check = checked("llama-3-8b", kDense, [make = maker()](LayerStep step) {
    if (step.entry == "attention_output" && step.gemm->pass == Pass::fprop)
      step.gemm->pass = Pass::dgrad;
    return make(step);
  });
  EXPECT_FALSE(check.ok) << check.error;
}

}  // namespace trainmeter
