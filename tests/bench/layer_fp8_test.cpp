// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A layer in fp8: what the casts wrote is what the GEMMs read, and mistakes between them are found.
#include "bench/layer_check.hpp"
#include "bench/layer_scaled.hpp"
#include "bench/layer_ways.hpp"
#include "kernels/operand_values.hpp"
#include "workload/run.hpp"

#include "host_fp8_gemm.hpp"
#include "spoilt.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

using testing::HasSubstr;

constexpr const char* kFp8 = "fp8";

MakeStep maker() {
  return [others =
              layer_maker(read_options(Program::layer, {"layer_bench"}), {.kind = DeviceKind::cpu},
                          DType::fp8)](const LayerStep& step) -> std::unique_ptr<Operation> {
    if (!step.gemm || !step.gemm->low_precision) return others(step);
    const GemmProblem problem = gemm_problem(*step.gemm, DType::fp8, DeviceKind::cpu);
    return std::make_unique<HostFp8Gemm>(grouped_problem(problem, step.gemm->pass));
  };
}

SmallLayer small(const std::string& model, GemmGroup kind) {
  return small_layer(Library(published_data()).model(model),
                     {.kind = kind, .seq_len = 4096, .precision = kFp8});
}

// The `count`-th cast of a tensor with so many columns.
auto cast_of(std::int64_t cols, int count = 1) {
  return [=, left = std::make_shared<int>(count)](const LayerStep& step) {
    return step.entry == "fp8_cast" && step.shape.at("cols") == cols && --*left == 0;
  };
}

auto in_pass(const char* entry, Pass pass) {
  return [=](const LayerStep& step) {
    return step.entry == entry && step.gemm && step.gemm->pass == pass;
  };
}

// Rows of `cols` read as columns.
Spoils transposes(const char* operand, std::size_t cols) {
  return changes(operand, [=](Tensor& scales) {
    const Tensor kept = scales;
    const std::size_t rows = kept.size() / cols;
    for (std::size_t i = 0; i < kept.size(); ++i) scales[i] = kept[i % rows * cols + i / rows];
  });
}

Spoils drops_one(const char* operand) {
  return changes(operand, [](Tensor& scales) { scales[scales.size() / 3] = 1; });
}

Spoils shifts(const char* operand, std::int64_t by) {
  return changes(operand,
                 [=](Tensor& scales) { std::ranges::rotate(scales, scales.begin() + by); });
}

// Elements one row further, as if they were of the next token.
Spoils moves_a_row(const char* operand, std::int64_t cols) {
  return [=](Operation& cast) {
    std::vector<std::byte> bytes = operand_bytes(cast, operand);
    std::ranges::rotate(bytes, bytes.begin() + cols);
    set_operand_bytes(cast, operand, bytes);
  };
}

}  // namespace

TEST(LayerCheckFp8, WhatIsComposedIsTheLayer) {
  for (const auto& [model, kind] : {std::pair{"gpt2-124m", GemmGroup::dense},
                                    {"llama-3-8b", GemmGroup::dense},
                                    {"deepseek-v3", GemmGroup::dense},
                                    {"deepseek-v3", GemmGroup::moe},
                                    {"qwen3-30b-a3b", GemmGroup::moe}}) {
    const SmallLayer layer = small(model, kind);
    const Check check =
        check_layer(layer, layer_steps(layer.model, layer.share), DType::fp8, maker());
    EXPECT_TRUE(check.ok) << model << ": " << check.error << ", " << check.how;
    EXPECT_GT(check.error, 0x1p-5) << model << ": was anything cast?";
    EXPECT_LT(check.bound, 0.28) << model;
  }
}

// The small layer's hidden width is 192, in two blocks; of 256 tokens there are two as well.
TEST(LayerCheckFp8, AMistakeIsFound) {
  const SmallLayer layer = small("deepseek-v3", GemmGroup::moe);
  ASSERT_EQ(layer.model.hidden, 192);
  const auto zeros = [](const char* operand) {
    return changes(operand, [](Tensor& values) { std::ranges::fill(values, 0); });
  };
  expect_found(
      layer, DType::fp8, maker(),
      {{.what = "a cast's scales transposed", .at = cast_of(192), .after = transposes("s", 2)},
       {.what = "a turned cast's scales transposed",
        .at = cast_of(192),
        .after = transposes("s_t", 2)},
       {.what = "a gradient's", .at = cast_of(192, 7), .after = transposes("s_t", 2)},
       {.what = "a scale dropped", .at = cast_of(192, 3), .after = drops_one("s")},
       {.what = "one along tokens", .at = cast_of(192), .after = drops_one("s_t")},
       {.what = "a weight's scales transposed",
        .at = in_pass("shared_up", Pass::fprop),
        .before = transposes("scales_b", 4)},
       {.what = "a turned weight's",
        .at = in_pass("shared_up", Pass::dgrad),
        .before = transposes("scales_b", 4)},
       {.what = "one expert's scales for the next one's",
        .at = in_pass("expert_up", Pass::fprop),
        .before = shifts("scales_b", 4)},
       {.what = "tokens' scales of the next block",
        .at = in_pass("attention_output", Pass::wgrad),
        .before = shifts("scales_a", 192)},
       {.what = "the cast of other tokens", .at = cast_of(192, 2), .after = moves_a_row("q", 192)},
       {.what = "another one for the weight's gradient",
        .at = cast_of(192, 2),
        .after = moves_a_row("q_t", 256)},
       {.what = "a cast that did nothing", .at = cast_of(192, 3), .after = zeros("s")},
       {.what = "values that went round the cast",
        .at = cast_of(192, 7),
        .after = changes("s", [](Tensor& scales) { std::ranges::fill(scales, 1); })}});
}

// What cuBLASLt's groups did until November 2026, and what an H200 said then: they kept the scales
// of the tokens that they were made with.
TEST(LayerCheckFp8, ScalesThatGroupsKeptAreFound) {
  const SmallLayer layer = small("deepseek-v3", GemmGroup::moe);
  const MakeStep right = maker();
  const auto keeps = [&](const LayerStep& step) -> std::unique_ptr<Operation> {
    if (!step.gemm || step.gemm->groups == 1 || step.gemm->pass == Pass::wgrad) return right(step);
    const GemmProblem problem = gemm_problem(*step.gemm, DType::fp8, DeviceKind::gpu);
    const GroupedOperands first(grouped_problem(problem, step.gemm->pass), 1, Values::normal);
    const Tensor kept(first.laid.scales_a.begin(), first.laid.scales_a.end());
    return std::make_unique<Spoilt>(
        right(step), changes("scales_a", [kept](Tensor& scales) { scales = kept; }), nullptr);
  };
  const Check check = check_layer(layer, layer_steps(layer.model, layer.share), DType::fp8, keeps);
  EXPECT_NEAR(check.error, 2.3, 0.05) << check.how;
  // What is said then: what made it, and what the mistake can't be behind.
  EXPECT_THAT(check.how, HasSubstr("farthest: d_expert_up, by expert_up wgrad ("));
  EXPECT_THAT(check.how, HasSubstr("; the first beyond: y, by residual_add (case residual_add/"));
}

TEST(LayerCheckFp8, AMissingCastIsNamed) {
  const SmallLayer layer = small("llama-3-8b", GemmGroup::dense);
  LayerSteps steps = layer_steps(layer.model, layer.share);
  const auto cast = std::ranges::find(steps.backward, "fp8_cast", &LayerStep::entry);
  steps.backward.erase(cast);
  const Check check = check_layer(layer, steps, DType::fp8, maker());
  EXPECT_FALSE(check.ok);
  EXPECT_EQ(check.how, "step 1 is ffn_down dgrad, where the layer needs cast_fp8_transpose");
}

TEST(ScaledWeights, ThatAreDrawnKeepTheirValuesTurnedOrNot) {
  const SmallLayer layer = small("deepseek-v3", GemmGroup::moe);
  const LayerInput input = draw_layer_input(layer.model, layer.share, DType::fp8, 1);
  int looked_at = 0;
  for (const GemmWork& g : layer_gemms(layer.model, GemmGroup::moe, layer.share.tokens())) {
    if (g.pass != Pass::fprop || !g.low_precision) continue;
    ++looked_at;
    const Tensor& weight = input.weights.at(g.name);
    const ScaledOperands as_it_lies = scaled_weights(weight, g, false);
    const ScaledOperands turned = scaled_weights(weight, g, true);
    for (std::int64_t group = 0; group < g.groups; ++group) {
      const std::vector<float> values = values_of(as_it_lies[static_cast<std::size_t>(group)]);
      const std::vector<float> back = values_of(turned[static_cast<std::size_t>(group)]);
      for (std::int64_t i = 0; i < g.n * g.k; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const double wanted = weight[static_cast<std::size_t>(group * g.n * g.k) + at];
        ASSERT_NEAR(values[at], wanted, 1e-6 * std::abs(wanted)) << g.name;
        ASSERT_EQ(back[static_cast<std::size_t>(i % g.k * g.n + i / g.k)], values[at]) << g.name;
      }
    }
  }
  EXPECT_EQ(looked_at, 9);
}

TEST(ScaledOperands, AreSplitWhereBlocksEnd) {
  std::vector<float> values(2 * 384);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 97) - 40;
  const ScaledOperand all = scaled_operand(values.data(), 2, 384, ScaleBlock::row);
  const std::vector<float> whole = values_of(all);
  const ScaledOperands columns = split_columns(all, 3);
  ASSERT_EQ(columns.size(), 3U);
  for (std::size_t group = 0; group < 3; ++group) {
    const std::vector<float> part = values_of(columns[group]);
    for (std::size_t i = 0; i < part.size(); ++i)
      EXPECT_EQ(part[i], whole[i / 128 * 384 + group * 128 + i % 128]);
  }
  EXPECT_THROW(split_columns(all, 2), std::invalid_argument);
  const ScaledOperands rows = split_rows(all, 2);
  const std::vector<float> second = values_of(rows[1]);
  EXPECT_TRUE(std::equal(second.begin(), second.end(), whole.begin() + 384));
}

// What stands for the GPU's GEMMs is right by the check that those are verified with.
TEST(HostFp8Gemm, IsRight) {
  for (const bool adds : {false, true}) {
    GroupedGemmProblem problem;
    problem.all = {.m = 96,
                   .n = 144,
                   .k = 304,
                   .dtype = DType::fp8,
                   .layout = GemmLayout::nt,
                   .scaling = Scaling::block128,
                   .accumulate = adds};
    const std::int64_t all = adds ? problem.all.k : problem.all.m;
    for (const std::vector<std::int64_t>& sizes :
         {std::vector{all}, std::vector<std::int64_t>{16, 0, all - 16}}) {
      problem.sizes = sizes;
      const Check check = HostFp8Gemm(problem).verify();
      EXPECT_TRUE(check.ok) << adds << ": " << check.error << ", " << check.how;
    }
  }
}

}  // namespace trainmeter
