// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The CPU's operations compose a layer that is right, and each of many mistakes is found.
#include "bench/layer_check.hpp"

#include "bench/case_lists.hpp"
#include "bench/layer_ways.hpp"
#include "workload/run.hpp"

#include "spoilt.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

using testing::HasSubstr;

constexpr LayerShare kDense = {.seq_len = 4096};
constexpr LayerShare kExperts = {.kind = GemmGroup::moe, .seq_len = 4096, .ep = 64};

MakeStep maker(DType dtype = DType::fp32, const std::string& prefer = "") {
  std::vector<std::string> words = {"layer_bench"};
  if (!prefer.empty()) words.push_back("--prefer=" + prefer);
  return layer_maker(read_options(Program::layer, words), {.kind = DeviceKind::cpu}, dtype);
}

SmallLayer small(const std::string& model, const LayerShare& share = kDense) {
  return small_layer(Library(published_data()).model(model), share);
}

// The first step of an entry and an operation.
auto first(const char* entry, const char* operation) {
  return [=](const LayerStep& step) { return step.entry == entry && step.operation == operation; };
}

void expect_found(const SmallLayer& layer, const std::vector<Mistake>& mistakes) {
  expect_found(layer, DType::fp32, maker(), mistakes);
}

}  // namespace

TEST(LayerCheck, WhatTheCpuComposesIsTheLayer) {
  const std::vector<std::pair<std::string, LayerShare>> layers = {{"gpt2-124m", kDense},
                                                                  {"llama-3-8b", kDense},
                                                                  {"deepseek-v3", kDense},
                                                                  {"deepseek-v3", kExperts},
                                                                  {"qwen3-30b-a3b", kExperts}};
  for (const auto& [model, share] : layers) {
    const SmallLayer layer = small(model, share);
    for (const DType dtype : {DType::fp32, DType::bf16}) {
      try {
        const Check check =
            check_layer(layer, layer_steps(layer.model, layer.share), dtype, maker(dtype));
        EXPECT_TRUE(check.ok) << model << ": " << check.error << ", " << check.how;
        EXPECT_GT(check.error, 0) << model;
      } catch (const Unavailable& error) {  // bf16 on a processor without it
        EXPECT_THAT(error.what(), HasSubstr("bf16"));
        EXPECT_EQ(dtype, DType::bf16) << error.what();
      }
    }
  }
  const SmallLayer layer = small("gpt2-124m");
  EXPECT_TRUE(check_layer(layer, layer_steps(layer.model, layer.share), DType::fp32,
                          maker(DType::fp32, "openblas"))
                  .ok);
}

TEST(LayerCheck, AMistakeInADenseLayerIsFound) {
  const auto nan = [](Tensor& values) { values[77] = std::numeric_limits<double>::quiet_NaN(); };
  expect_found(
      small("llama-3-8b"),
      {{.what = "a wrong transpose",
        .at = first("attention_output", "gemm"),
        .prepared = [](LayerStep& step) { step.gemm->pass = Pass::dgrad; }},
       {.what = "no residual",
        .at = first("residual_and_norm", "residual_add"),
        .after = copies("b", "y")},
       {.what = "only the residual",
        .at = first("residual_and_norm", "residual_add"),
        .after = copies("a", "y")},
       {.what = "heads that aren't turned",
        .at = first("rotary", "rope"),
        .after = copies("x", "y")},
       {.what = "gradients that aren't turned back",
        .at = first("rotary", "rope_backward"),
        .after = copies("dy", "dx")},
       {.what = "two sequences as one",
        .at = first("core", "attention_forward"),
        .prepared =
            [](LayerStep& step) {
              step.shape["batch"] = 1;
              step.shape["queries"] = step.shape["seq_len"] = 64;
            }},
       {.what = "one element of a gradient",
        .at = first("core", "attention_backward"),
        .after = changes("d_k", [](Tensor& d_k) { d_k[1000] += 1; })},
       {.what = "a norm's gradient of one row only",
        .at = first("residual_and_norm", "rmsnorm_backward"),
        .after = changes("dw", [](Tensor& dw) { dw.assign(dw.size(), 0.1); })},
       {.what = "1 % too much",
        .at = first("activation", "swiglu_backward"),
        .after = changes("dx",
                         [](Tensor& dx) {
                           for (double& d : dx) d *= 1.01;
                         })},
       {.what = "one value that is none", .at = first("qkv", "gemm"), .after = changes("c", nan)}});
}

TEST(LayerCheck, AMistakeInAGptsLayerIsFound) {
  expect_found(
      small("gpt2-124m"),
      {{.what = "a norm without its biases",
        .at = first("residual_and_norm", "layernorm"),
        .before = changes("b", [](Tensor& b) { std::ranges::fill(b, 0); })},
       {.what = "its gradient passed by it",
        .at = first("residual_and_norm", "layernorm_backward"),
        .after = copies("dy", "dx")},
       {.what = "a bias's gradient of one row only",
        .at = first("residual_and_norm", "layernorm_backward"),
        .after = changes("db", [](Tensor& db) { db.assign(db.size(), 0.1); })},
       {.what = "no activation", .at = first("activation", "gelu"), .after = copies("x", "y")},
       {.what = "an activation's gradient passed by it",
        .at = first("activation", "gelu_backward"),
        .after = copies("dy", "dx")}});
}

TEST(LayerCheck, AMistakeInALayerOfExpertsIsFound) {
  expect_found(
      small("deepseek-v3", kExperts),
      {{.what = "no shared expert", .at = first(kSum, "residual_add"), .after = copies("a", "y")},
       {.what = "no norm within attention",
        .at = first("latent_norm", "rmsnorm"),
        .after = copies("x", "y")},
       {.what = "its gradient passed by it",
        .at = first("latent_norm", "rmsnorm_backward"),
        .after = copies("dy", "dx")},
       {.what = "experts that count alike",
        .at = first("expert_permute", "unpermute"),
        .before = changes("w", [](Tensor& w) { std::ranges::fill(w, 0.5); })},
       {.what = "the weight of the token's other expert",
        .at = first("expert_permute", "unpermute_backward"),
        .before = changes("w", [](Tensor& w) { std::swap(w[6], w[7]); })},
       {.what = "one gate's gradient",
        .at = first("expert_permute", "unpermute_backward"),
        .after = changes("dw", [](Tensor& dw) { dw[5] *= 1.01; })},
       {.what = "gates of one another's experts",
        .at = first("router", "topk_sigmoid"),
        .after = changes("w", [](Tensor& w) { std::ranges::reverse(w); })},
       {.what = "a choice that the logits aren't asked for",
        .at = first("router", "topk_sigmoid"),
        .before = changes("x", [](Tensor& x) { std::ranges::reverse(x); })},
       {.what = "gates that teach the router nothing",
        .at = first("router", "topk_sigmoid_backward"),
        .after = changes("dx", [](Tensor& dx) { std::ranges::fill(dx, 0); })},
       {.what = "a bias that decides alone",
        .at = first("router", "topk_sigmoid"),
        .before = changes("bias",
                          [](Tensor& bias) {
                            for (double& b : bias) b *= 1e5;
                          })},
       {.what = "gates without their scale",
        .at = first("router", "topk_sigmoid"),
        .after = changes("w",
                         [](Tensor& w) {
                           for (double& one : w) one /= 2.5;
                         })},
       {.what = "a gradient as softmax's, of gates",
        .at = first("router", "topk_sigmoid_backward"),
        .before = changes("affinity",
                          [](Tensor& a) {
                            for (std::size_t i = 0; i < a.size(); i += 2) {
                              const double sum = a[i] + a[i + 1];
                              a[i] /= sum;
                              a[i + 1] /= sum;
                            }
                          })},
       {.what = "copies at other experts",
        .at = first("expert_permute", "permute"),
        .after = changes("y", [](Tensor& y) { std::ranges::rotate(y, y.begin() + 192); })},
       {.what = "weights of one expert's neighbour",
        .at = first("expert_down", "gemm"),
        .prepared = [](LayerStep& step) { step.gemm->pass = Pass::dgrad; }},
       {.what = "a rotated key that isn't",
        .at = first("rotary", "rope"),
        .after = copies("x", "y")},
       {.what = "another router",
        .at = first("router", "gemm"),
        .after = changes("c", [](Tensor& c) { c[3] += 0.1; })}});
}

TEST(LayerCheck, AMistakeInARouterBySoftmaxIsFound) {
  expect_found(small("qwen3-30b-a3b", kExperts),
               {{.what = "gates of one another's experts",
                 .at = first("router", "topk_softmax"),
                 .after = changes("w", [](Tensor& w) { std::ranges::reverse(w); })},
                {.what = "a choice that the logits aren't asked for",
                 .at = first("router", "topk_softmax"),
                 .before = changes("x", [](Tensor& x) { std::ranges::reverse(x); })},
                {.what = "gates that teach the router nothing",
                 .at = first("router", "topk_softmax_backward"),
                 .after = changes("dx", [](Tensor& dx) { std::ranges::fill(dx, 0); })}});
}

TEST(LayerCheck, StepsThatArentTheLayersAreNamed) {
  const SmallLayer layer = small("gpt2-124m");
  const LayerSteps right = layer_steps(layer.model, layer.share);
  const auto said = [&](const LayerSteps& steps) {
    const Check check = check_layer(layer, steps, DType::fp32, maker());
    EXPECT_FALSE(check.ok);
    return check.how;
  };
  LayerSteps no_residual = right;
  no_residual.forward.erase(no_residual.forward.begin() + 4);
  EXPECT_EQ(said(no_residual), "step 5 is layernorm, where the layer needs residual_add");
  LayerSteps one_more = right;
  one_more.forward.push_back(right.forward.back());
  EXPECT_EQ(said(one_more), "step 11 is residual_add, where the layer has ended");
  LayerSteps cut = right;
  cut.backward.resize(2);
  EXPECT_EQ(said(cut), "no step is left for gelu_backward");
  LayerSteps swapped = right;
  std::swap(swapped.backward[0], swapped.backward[1]);
  EXPECT_EQ(said(swapped), "step 1 is ffn_down wgrad, where the layer needs ffn_down dgrad");
}

TEST(LayerCheck, ASmallLayerHasTheStepsOfTheLarge) {
  const Library library(published_data());
  const auto names = [](const std::vector<LayerStep>& steps) {
    std::vector<std::string> out;
    for (const LayerStep& step : steps) {
      out.push_back(step.entry + " " + step.operation);
      if (step.gemm) out.back() += std::string(to_string(step.gemm->pass));
    }
    return out;
  };
  for (const std::string& id : library.ids("models")) {
    const Model model = library.model(id);
    const LayerShare share = model.moe ? kExperts : kDense;
    const SmallLayer layer = small_layer(model, share);
    const LayerSteps few = layer_steps(layer.model, layer.share);
    LayerShare whole = share;
    whole.ep = 1;
    const LayerSteps many = layer_steps(model, whole);
    EXPECT_EQ(names(few.forward), names(many.forward)) << id;
    EXPECT_EQ(names(few.backward), names(many.backward)) << id;
    EXPECT_LE(layer.share.tokens() * layer.model.hidden, 1 << 14);
  }
}

}  // namespace trainmeter
