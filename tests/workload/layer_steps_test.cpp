// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A layer's steps are its work list, put in order: nothing twice, nothing missing.
#include "workload/layer_steps.hpp"

#include "record/error.hpp"

#include "small_models.hpp"
#include <gmock/gmock.h>

#include <map>
#include <tuple>

using namespace trainmeter;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

const LayerShare kTwoSequencesOf16 = {.sequences = 2, .seq_len = 16};

std::vector<std::string> names(const std::vector<LayerStep>& steps) {
  std::vector<std::string> out;
  for (const LayerStep& step : steps) {
    out.push_back(step.gemm ? step.entry + ":" + std::string(to_string(step.gemm->pass))
                            : step.operation);
  }
  return out;
}

// Least bytes of the memory-bound steps that do `entry`, in bf16.
double bytes(const std::vector<LayerStep>& steps, const std::string& entry) {
  double sum = 0;
  for (const LayerStep& step : steps) {
    if (step.entry == entry && !step.gemm) sum += step_kernel_bytes(step.operation, step.shape, 2);
  }
  return sum;
}

void expect_the_work_list(const Model& model, const LayerShare& share) {
  Layout layout;
  layout.microbatch_sequences = share.sequences;
  layout.seq_len = share.seq_len;
  layout.ep = share.ep;
  const LayerWork work =
      layer_work(model, share.kind == GemmGroup::moe ? LayerKind::moe : LayerKind::dense, layout,
                 {.precision = share.precision});
  const LayerSteps steps = layer_steps(model, share);
  using Key = std::tuple<std::string, Pass, std::int64_t, std::int64_t, std::int64_t, std::int64_t>;
  const auto key = [](const GemmWork& g) { return Key{g.name, g.pass, g.m, g.n, g.k, g.groups}; };
  std::map<Key, int> listed;
  for (const GemmWork& g : work.gemms) ++listed[key(g)];
  for (const auto& [half, backward] : {std::pair{&steps.forward, false}, {&steps.backward, true}}) {
    for (const LayerStep& step : *half) {
      if (!step.gemm) continue;
      --listed[key(*step.gemm)];
      EXPECT_EQ(step.gemm->pass != Pass::fprop, backward) << step.entry;
    }
  }
  for (const auto& [which, missing] : listed) EXPECT_EQ(missing, 0) << std::get<0>(which);
  for (const Traffic& t : work.traffic) {
    if (std::ranges::find(steps.left_out, t.name) != steps.left_out.end()) continue;
    const double ours = bytes(t.half == Half::forward ? steps.forward : steps.backward, t.name);
    const double listed_bytes = traffic(work, t.name, t.half);
    // In one kernel what the list takes to be several, each in the activations' type.
    if (t.name == "router") {
      EXPECT_LT(ours, listed_bytes) << model.id;
      EXPECT_GT(ours, 0.2 * listed_bytes) << model.id;
      continue;
    }
    // At least the list's, which takes neighbours to be fused and leaves tables out.
    EXPECT_GE(ours, 0.999 * listed_bytes) << model.id << " " << t.name;
    EXPECT_LE(ours, 1.55 * listed_bytes) << model.id << " " << t.name;
  }
}

}  // namespace

TEST(LayerSteps, AreTheWorkListOfEveryPublishedModel) {
  const Library library(published_data());
  for (const std::string& id : library.ids("models")) {
    const Model model = library.model(id);
    for (const char* precision : {"bf16", "fp8"}) {
      LayerShare share = {.seq_len = 4096, .precision = precision};
      if (dense_layers(model) > 0) expect_the_work_list(model, share);
      share.kind = GemmGroup::moe;
      share.ep = 2;
      if (model.moe) expect_the_work_list(model, share);
    }
  }
}

TEST(LayerSteps, ADenseBlockInOrder) {
  const LayerSteps steps = layer_steps(small_llama(), kTwoSequencesOf16);
  EXPECT_THAT(names(steps.forward),
              ElementsAre("rmsnorm", "qkv:fprop", "rope", "attention_forward",
                          "attention_output:fprop", "residual_add", "rmsnorm", "ffn_up:fprop",
                          "swiglu", "ffn_down:fprop", "residual_add"));
  EXPECT_THAT(
      names(steps.backward),
      ElementsAre("ffn_down:dgrad", "ffn_down:wgrad", "swiglu_backward", "ffn_up:dgrad",
                  "ffn_up:wgrad", "rmsnorm_backward", "residual_add", "attention_output:dgrad",
                  "attention_output:wgrad", "attention_backward", "rope_backward", "qkv:dgrad",
                  "qkv:wgrad", "rmsnorm_backward", "residual_add"));
  EXPECT_THAT(steps.left_out, IsEmpty());
  const std::map<std::string, std::int64_t> core = {
      {"batch", 2},    {"heads", 8},    {"kv_heads", 2},  {"queries", 16},
      {"seq_len", 16}, {"head_dim", 8}, {"value_dim", 8}, {"causal", 1}};
  EXPECT_EQ(steps.forward[3].shape, core);
}

TEST(LayerSteps, AGptsBlockHasLayerNormAndGelu) {
  const LayerSteps steps = layer_steps(small_gpt(), kTwoSequencesOf16);
  EXPECT_THAT(names(steps.forward),
              ElementsAre("layernorm", "qkv:fprop", "attention_forward", "attention_output:fprop",
                          "residual_add", "layernorm", "ffn_up:fprop", "gelu", "ffn_down:fprop",
                          "residual_add"));
  EXPECT_THAT(names(steps.backward),
              ElementsAre("ffn_down:dgrad", "ffn_down:wgrad", "gelu_backward", "ffn_up:dgrad",
                          "ffn_up:wgrad", "layernorm_backward", "residual_add",
                          "attention_output:dgrad", "attention_output:wgrad", "attention_backward",
                          "qkv:dgrad", "qkv:wgrad", "layernorm_backward", "residual_add"));
  EXPECT_THAT(steps.left_out, IsEmpty());
}

TEST(LayerSteps, LatentAttentionHasNormsBetweenItsProjections) {
  const LayerSteps steps = layer_steps(small_mla(), kTwoSequencesOf16);
  const auto forward = names(steps.forward);
  EXPECT_THAT(std::vector(forward.begin(), forward.begin() + 8),
              ElementsAre("rmsnorm", "q_a:fprop", "rmsnorm", "kv_a:fprop", "rmsnorm", "q_b:fprop",
                          "kv_b:fprop", "rope"));
  const auto backward = names(steps.backward);
  EXPECT_THAT(
      std::vector(backward.end() - 14, backward.end()),
      ElementsAre("rope_backward", "kv_b:dgrad", "kv_b:wgrad", "rmsnorm_backward", "kv_a:dgrad",
                  "kv_a:wgrad", "q_b:dgrad", "q_b:wgrad", "rmsnorm_backward", "q_a:dgrad",
                  "q_a:wgrad", "residual_add", "rmsnorm_backward", "residual_add"));
  const std::map<std::string, std::int64_t> queries = {{"rows", 32}, {"cols", 24}};
  EXPECT_EQ(steps.forward[2].shape, queries);
  EXPECT_EQ(steps.forward[4].shape.at("cols"), 16);
  EXPECT_EQ((steps.backward.end() - 11)->shape.at("cols"), 16);
  EXPECT_EQ((steps.backward.end() - 6)->shape, queries);
}

TEST(LayerSteps, WhatNoKernelDoesIsNamed) {
  Model squared = small_gpt();
  squared.ffn_kind = FfnKind::relu2;
  EXPECT_THAT(layer_steps(squared, kTwoSequencesOf16).left_out, ElementsAre("activation"));
  const LayerShare share = {.kind = GemmGroup::moe, .sequences = 2, .seq_len = 16, .ep = 4};
  EXPECT_THAT(layer_steps(small_mla(), share).left_out, ElementsAre("ep_dispatch", "ep_combine"));
}

TEST(LayerSteps, DeepSeeksBlockOnOneOf64GpusInFp8) {
  const LayerSteps steps =
      layer_steps(published("deepseek-v3"),
                  {.kind = GemmGroup::moe, .seq_len = 4096, .ep = 64, .precision = "fp8"});
  EXPECT_EQ(steps.forward.size(), 33U);
  const auto first = names(steps.forward);
  EXPECT_EQ(std::ranges::count(first, "cast_fp8_transpose"), 9);
  EXPECT_EQ(std::ranges::count(names(steps.backward), "cast_fp8_transpose"), 9);
  const auto up = std::ranges::find(steps.forward, "expert_up", &LayerStep::entry);
  EXPECT_EQ(up->gemm->groups, 4);
  EXPECT_EQ(up->gemm->m, 8192);
  // What reaches its experts is as much as it sends away: 8 copies of its 4,096 tokens.
  EXPECT_EQ((up - 1)->shape.at("rows"), 32768);
  EXPECT_FALSE(std::ranges::find(steps.forward, "router", &LayerStep::entry)->gemm->low_precision);
}

TEST(LayerSteps, ARouterChoosesAsItsModelDoes) {
  const auto routers = [](const std::string& id) {
    const LayerSteps steps = layer_steps(published(id), {.kind = GemmGroup::moe, .seq_len = 4096});
    std::vector<LayerStep> out;
    for (const auto* half : {&steps.forward, &steps.backward})
      std::ranges::copy_if(*half, std::back_inserter(out), [](const LayerStep& step) {
        return step.entry == "router" && !step.gemm;
      });
    return out;
  };
  using Sizes = std::map<std::string, std::int64_t>;
  for (const char* id : {"deepseek-v3", "deepseek-r1"}) {
    const auto steps = routers(id);
    EXPECT_THAT(names(steps), ElementsAre("topk_sigmoid", "topk_sigmoid_backward")) << id;
    const Sizes backward = {{"rows", 4096}, {"experts", 256}, {"top_k", 8}};
    Sizes forward = backward;
    forward.insert({{"groups", 8}, {"group_limit", 4}});
    EXPECT_EQ(steps[0].shape, forward) << id;
    EXPECT_EQ(steps[1].shape, backward) << id;
  }
  for (const char* id : {"deepseek-v2", "qwen3-30b-a3b", "gpt-oss-120b"})
    EXPECT_THAT(names(routers(id)), ElementsAre("topk_softmax", "topk_softmax_backward")) << id;
}

TEST(LayerSteps, GroupsOfExpertsFitTheModel) {
  Model m = published("deepseek-v3");
  const auto fitted = [&](std::int64_t experts, std::int64_t top_k, std::int64_t limit) {
    m.moe->experts = experts;
    m.moe->experts_per_token = top_k;
    m.moe->group_limit = limit;
    const SigmoidRouting found = sigmoid_routing(m).value();
    return std::pair{found.groups, found.group_limit};
  };
  EXPECT_EQ(fitted(256, 8, 4), std::pair(std::int64_t{8}, std::int64_t{4}));
  EXPECT_EQ(fitted(12, 2, 3), std::pair(std::int64_t{4}, std::int64_t{3}));
  EXPECT_EQ(fitted(9, 2, 3), std::pair(std::int64_t{1}, std::int64_t{1}));
  EXPECT_EQ(fitted(16, 9, 4), std::pair(std::int64_t{8}, std::int64_t{5}));  // of two experts each
  m.mtp_depth = 0;
  EXPECT_FALSE(sigmoid_routing(m));
  EXPECT_FALSE(sigmoid_routing(published("llama-3-8b")));
}

// DeepSeek-V3 over 64 GPUs, 4,096 tokens of 7,168: each goes to 4 of 8 nodes at most, and there to
// 8 experts, 7 of 8 of them on another GPU; and as many come from elsewhere.
TEST(LayerSteps, ExchangesOfExpertsAreLimitedToNodesAndInFp8WithScales) {
  const Model model = published("deepseek-v3");
  LayerShare share{.kind = GemmGroup::moe, .seq_len = 4096, .ep = 64, .precision = "fp8"};
  const double copies = 2 * 4096. * 7168 * (4 + 8) * 7 / 8;
  for (const bool backward : {false, true}) {
    const std::vector<Exchange> found = layer_exchanges(model, share, backward);
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].name, "ep_dispatch");
    EXPECT_DOUBLE_EQ(found[0].bytes, copies * (1 + 4. / 128));
    EXPECT_EQ(found[1].name, "ep_combine");
    EXPECT_DOUBLE_EQ(found[1].bytes, copies * 2);
  }
  share.precision = "bf16";
  EXPECT_DOUBLE_EQ(layer_exchanges(model, share, false)[0].bytes, copies * 2);
  share.ep = 1;
  EXPECT_THAT(layer_exchanges(model, share, false), IsEmpty());
  EXPECT_THAT(layer_exchanges(small_llama(), {.seq_len = 16}, false), IsEmpty());
}

TEST(LayerSteps, OtherKindsAreRefused) {
  EXPECT_THROW(layer_steps(small_llama(), {.kind = GemmGroup::head}), std::invalid_argument);
  EXPECT_THROW(layer_steps(small_mla(), {.kind = GemmGroup::moe, .ep = 3}), BadInput);
}
