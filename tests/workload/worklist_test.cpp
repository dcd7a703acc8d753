// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The work list of a layer: hand counts for small models.
#include "workload/worklist.hpp"

#include "record/error.hpp"
#include "record/formulas.hpp"

#include "small_models.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

using namespace trainmeter;

TEST(WorkList, CountsTheBytesOfTheMeasuredKernelsWithoutTheirTables) {
  const Layout layout = two_sequences_of_16();
  const LayerWork dense = layer_work(small_llama(), LayerKind::dense, layout, {});
  EXPECT_DOUBLE_EQ(traffic(dense, "activation", Half::forward),
                   step_kernel_bytes("swiglu", {{"rows", 32}, {"cols", 96}}, 2));
  const double angles = 4 * 32 * 8;
  EXPECT_DOUBLE_EQ(traffic(dense, "rotary", Half::forward) + angles,
                   step_kernel_bytes("rope", {{"rows", 32}, {"heads", 8 + 2}, {"head_dim", 8}}, 2));
  const LayerWork moe = layer_work(small_moe(), LayerKind::moe, layout, {});
  const double places = 4 * 32 * 2;
  EXPECT_DOUBLE_EQ(traffic(moe, "expert_permute", Half::forward) / 2 + places,  // there and back
                   step_kernel_bytes("permute", {{"rows", 32}, {"cols", 64}, {"top_k", 2}}, 2));
}

TEST(LayerWork, ExpertsOfAModelThatHasNoneAreRefused) {
  EXPECT_THROW(layer_work(small_llama(), LayerKind::moe, two_sequences_of_16(), {}), BadInput);
}

TEST(LayerWork, ADenseLayerOfGroupedQueriesAndAGate) {
  const Model m = small_llama();
  Layout l = two_sequences_of_16();
  l.tp = 2;
  l.sp = true;
  const LayerWork w = layer_work(m, LayerKind::dense, l, {});
  EXPECT_EQ(w.gemms.size(), 4U * 3);
  EXPECT_EQ(shape(w, "qkv"), (Shape{32, (4 + 2 * 1) * 8, 64, 1}));
  EXPECT_EQ(shape(w, "qkv", Pass::dgrad), (Shape{32, 64, 48, 1}));
  EXPECT_EQ(shape(w, "qkv", Pass::wgrad), (Shape{48, 64, 32, 1}));
  EXPECT_EQ(shape(w, "attention_output"), (Shape{32, 64, 32, 1}));
  EXPECT_EQ(shape(w, "ffn_up"), (Shape{32, 96, 64, 1}));  // gate and up
  EXPECT_EQ(shape(w, "ffn_down"), (Shape{32, 64, 48, 1}));

  EXPECT_DOUBLE_EQ(w.core.forward_flops, 2.0 * 32 * 8 * 4 * (8 + 8));  // 8 keys a token, 4 heads
  EXPECT_DOUBLE_EQ(w.core.backward_flops, 2.5 * w.core.forward_flops);
  EXPECT_EQ(w.core.seq_len, 16);
  EXPECT_EQ(w.core.head_dim, 8);

  EXPECT_DOUBLE_EQ(traffic(w, "residual_and_norm", Half::forward), 8.0 * 64 * 16 * 2);
  EXPECT_DOUBLE_EQ(traffic(w, "rotary", Half::forward), 2.0 * (4 + 1) * 8 * 32 * 2);
  EXPECT_DOUBLE_EQ(traffic(w, "rotary", Half::backward), 2.0 * (4 + 1) * 8 * 32 * 2);
  EXPECT_DOUBLE_EQ(traffic(w, "activation", Half::forward), 3.0 * 48 * 32 * 2);
  EXPECT_DOUBLE_EQ(traffic(w, "activation", Half::backward), 5.0 * 48 * 32 * 2);
  EXPECT_EQ(w.traffic.size(), 6U);
}

TEST(LayerWork, AGptLayer) {
  const LayerWork w = layer_work(small_gpt(), LayerKind::dense, two_sequences_of_16(), {});
  EXPECT_EQ(shape(w, "qkv"), (Shape{32, 3 * 64, 64, 1}));
  EXPECT_EQ(shape(w, "ffn_up"), (Shape{32, 96, 64, 1}));  // up alone
  EXPECT_EQ(shape(w, "ffn_down"), (Shape{32, 64, 96, 1}));
  EXPECT_DOUBLE_EQ(traffic(w, "activation", Half::forward), 2.0 * 96 * 32 * 2);
  EXPECT_DOUBLE_EQ(traffic(w, "activation", Half::backward), 3.0 * 96 * 32 * 2);
  EXPECT_DOUBLE_EQ(traffic(w, "rotary", Half::forward), 0);  // learned positions
  EXPECT_TRUE(w.collectives.empty());
}

TEST(LayerWork, EmbeddingAndHead) {
  const Model m = small_llama();
  const Layout l = two_sequences_of_16();
  const LayerWork in = layer_work(m, LayerKind::embedding, l, {});
  EXPECT_TRUE(in.gemms.empty());
  EXPECT_EQ(in.core.forward_flops, 0);
  EXPECT_DOUBLE_EQ(traffic(in, "embedding", Half::forward), 2.0 * 64 * 32 * 2);
  EXPECT_DOUBLE_EQ(traffic(in, "embedding", Half::backward), 2.0 * 64 * 32 * 2);
  const LayerWork out = layer_work(m, LayerKind::head, l, {});
  EXPECT_EQ(out.gemms.size(), 3U);
  EXPECT_EQ(shape(out, "lm_head"), (Shape{32, 100, 64, 1}));
  EXPECT_EQ(out.core.forward_flops, 0);
  EXPECT_DOUBLE_EQ(traffic(out, "loss", Half::forward), 1.5 * 100 * 32 * 2);
  EXPECT_DOUBLE_EQ(traffic(out, "final_norm", Half::forward), 2.0 * 64 * 32 * 2);
  EXPECT_DOUBLE_EQ(traffic(out, "final_norm", Half::backward), 3.0 * 64 * 32 * 2);
}

TEST(LayerWork, ALayerOfExperts) {
  const Model m = small_moe();
  Layout l = two_sequences_of_16();
  l.dp = l.ep = 4;
  const LayerWork w = layer_work(m, LayerKind::moe, l, {});
  EXPECT_EQ(shape(w, "router"), (Shape{32, 8, 64, 1}));
  EXPECT_EQ(shape(w, "shared_up"), (Shape{32, 64, 64, 1}));
  EXPECT_EQ(shape(w, "shared_down"), (Shape{32, 64, 32, 1}));
  // 4 GPUs send 32 tokens to 2 of 8 experts each: 32 an expert, 2 of them here.
  EXPECT_EQ(shape(w, "expert_up"), (Shape{32, 64, 64, 2}));
  EXPECT_EQ(shape(w, "expert_up", Pass::wgrad), (Shape{64, 64, 32, 2}));
  EXPECT_EQ(shape(w, "expert_down"), (Shape{32, 64, 32, 2}));
  EXPECT_DOUBLE_EQ(traffic(w, "activation", Half::forward), 3.0 * 32 * 32 * 2 * (1 + 2));
  EXPECT_DOUBLE_EQ(traffic(w, "expert_permute", Half::forward), 2.0 * (2 + 1) * 64 * 32 * 2);
  EXPECT_DOUBLE_EQ(traffic(w, "router", Half::backward), 4.0 * 8 * 32 * 2);
  for (const Half half : {Half::forward, Half::backward}) {
    for (const char* name : {"ep_dispatch", "ep_combine"}) {
      const Collective& c = only(w, name, half);
      EXPECT_DOUBLE_EQ(c.payload_bytes, 32.0 * 2 * 64 * 2);
      EXPECT_EQ(c.ranks, 4);
      EXPECT_EQ(c.ranks_on_node, 4);
      EXPECT_DOUBLE_EQ(c.node_bytes, c.payload_bytes * 3 / 4);
      EXPECT_EQ(c.network_bytes, 0);
      EXPECT_FALSE(c.hidden);
    }
  }
}

TEST(LayerWork, TensorParallelRanksShareTheTokensOfExperts) {
  Layout l = two_sequences_of_16();
  l.tp = 2;
  l.sp = true;
  l.dp = 2;
  l.ep = 4;
  const LayerWork w = layer_work(small_moe(), LayerKind::moe, l, {});
  EXPECT_EQ(shape(w, "router").m, 16);
  EXPECT_EQ(shape(w, "expert_up"), (Shape{16, 64, 64, 2}));
  EXPECT_EQ(shape(w, "shared_up"), (Shape{32, 32, 64, 1}));
  EXPECT_DOUBLE_EQ(only(w, "ep_dispatch", Half::forward).payload_bytes, 16.0 * 2 * 64 * 2);
}

// Mixtral's experts on one node: each rank has an eighth of every expert, and all their tokens.
TEST(LayerWork, RanksThatShareAnExpertsWidthHaveTheTokensOfAll) {
  Model m = published("llama-2-7b");
  m.moe = Moe{.experts = 8,
              .experts_per_token = 2,
              .shared_experts = 0,
              .expert_ffn = 14336,
              .dense_layers = 0,
              .group_limit = {}};
  Layout l;
  l.tp = l.etp = 8;
  l.sp = true;
  l.seq_len = 4096;
  const LayerWork w = layer_work(m, LayerKind::moe, l, {});
  EXPECT_EQ(shape(w, "expert_up"), (Shape{1024, 2 * 1792, 4096, 8}));
  EXPECT_EQ(shape(w, "expert_down"), (Shape{1024, 4096, 1792, 8}));
  EXPECT_EQ(shape(w, "expert_up", Pass::wgrad), (Shape{2 * 1792, 4096, 1024, 8}));
  for (const Half half : {Half::forward, Half::backward}) {
    for (const auto& [name, operation] : {std::pair{"etp_all_gather", "allgather"},
                                          std::pair{"etp_reduce_scatter", "reducescatter"}}) {
      const Collective& c = only(w, name, half, Group::etp);
      EXPECT_EQ(c.operation, operation);
      EXPECT_DOUBLE_EQ(c.payload_bytes, 4096.0 * 2 * 4096 * 2);  // two experts a token, bf16
      EXPECT_EQ(c.ranks, 8);
      EXPECT_DOUBLE_EQ(c.node_bytes, c.payload_bytes * 7 / 8);
      EXPECT_EQ(c.network_bytes, 0);
    }
  }
  for (const Collective& c : w.collectives) EXPECT_NE(c.operation, "alltoall");  // ep is 1
}

TEST(LayerWork, DispatchIsAmongThoseWithTheSamePartOfAnExpert) {
  Layout l = two_sequences_of_16();
  l.tp = l.etp = 2;
  l.dp = l.ep = 4;
  const LayerWork w = layer_work(small_moe(), LayerKind::moe, l, {.gpus_per_node = 4});
  const Collective& dispatch = only(w, "ep_dispatch", Half::forward);
  EXPECT_DOUBLE_EQ(dispatch.payload_bytes, 16.0 * 2 * 64 * 2);
  EXPECT_EQ(dispatch.ranks, 4);
  EXPECT_EQ(dispatch.ranks_on_node, 2);  // 2 GPUs apart
  EXPECT_DOUBLE_EQ(only(w, "etp_all_gather", Half::forward).payload_bytes,
                   2 * dispatch.payload_bytes);
  EXPECT_EQ(shape(w, "expert_up"), (Shape{32, 2 * 16, 64, 2}));
}

TEST(LayerWork, TokensThatDoNotDivideOverExpertsKeepTheirWork) {
  Model m = small_moe();
  m.moe->experts = 7;
  Layout l = two_sequences_of_16();
  const LayerWork w = layer_work(m, LayerKind::moe, l, {});
  EXPECT_EQ(shape(w, "expert_up"), (Shape{9, 64, 64, 7}));  // 64 / 7
  double flops = 0;
  for (const GemmWork& g : w.gemms) {
    if (g.name == "expert_up") flops += g.count * real(g.groups) * gemm_flops(g.m, g.n, g.k);
  }
  EXPECT_DOUBLE_EQ(flops, 3 * 2.0 * 64 * 64 * 64);
}

TEST(LayerWork, LatentAttention) {
  const Model m = small_mla();
  Layout l = two_sequences_of_16();
  l.tp = 2;
  const LayerWork w = layer_work(m, LayerKind::dense, l, {});
  EXPECT_EQ(shape(w, "q_a"), (Shape{16, 24, 64, 1}));  // kept whole, tokens divided
  EXPECT_EQ(shape(w, "kv_a"), (Shape{16, 16 + 4, 64, 1}));
  EXPECT_EQ(shape(w, "q_b"), (Shape{32, 4 * (8 + 4), 24, 1}));
  EXPECT_EQ(shape(w, "kv_b"), (Shape{32, 4 * (8 + 8), 16, 1}));
  EXPECT_EQ(shape(w, "attention_output"), (Shape{32, 64, 4 * 8, 1}));
  EXPECT_DOUBLE_EQ(w.core.forward_flops, 2.0 * 32 * 8 * 4 * (12 + 8));
  EXPECT_EQ(w.core.head_dim, 12);
}

TEST(LayerWork, AnMtpDepthIsAProjectionALayerAndTheHead) {
  const Model m = small_mla();
  Layout l = two_sequences_of_16();
  const LayerWork mtp = layer_work(m, LayerKind::mtp, l, {});
  const LayerWork moe = layer_work(m, LayerKind::moe, l, {});
  const LayerWork head = layer_work(m, LayerKind::head, l, {});
  EXPECT_EQ(shape(mtp, "mtp_projection"), (Shape{32, 64, 128, 1}));
  EXPECT_DOUBLE_EQ(gemm_work(mtp), gemm_work(moe) + gemm_work(head) + 3 * gemm_flops(32, 64, 128));
  EXPECT_DOUBLE_EQ(mtp.core.forward_flops, moe.core.forward_flops);
  l.tp = 2;
  EXPECT_EQ(shape(layer_work(m, LayerKind::mtp, l, {}), "mtp_projection"), (Shape{32, 32, 128, 1}));
}

TEST(LayerWork, FewerHeadsOfKeysThanRanksAreCopied) {
  const Model m = small_llama();  // 2 of them
  Layout l = two_sequences_of_16();
  l.tp = 4;
  EXPECT_EQ(shape(layer_work(m, LayerKind::dense, l, {}), "qkv"),
            (Shape{32, (2 + 2 * 1) * 8, 64, 1}));
}

TEST(LayerWork, TheCoreIsDividedByContextAndTensorParallelism) {
  const Model m = small_llama();
  Layout l = two_sequences_of_16();
  const double whole = layer_work(m, LayerKind::dense, l, {}).core.forward_flops;
  for (const auto& [tp, cp] : {std::pair{2, 1}, {1, 2}, {2, 4}}) {
    l.tp = tp;
    l.cp = cp;
    const Core core = layer_work(m, LayerKind::dense, l, {}).core;
    EXPECT_DOUBLE_EQ(core.forward_flops * tp * cp, whole);
    EXPECT_EQ(core.seq_len, 16);  // every token still meets the whole sequence before it
  }
}

TEST(LayerWork, NonsenseIsRefused) {
  Layout l = two_sequences_of_16();
  l.tp = 3;
  EXPECT_THROW((void)layer_work(small_llama(), LayerKind::dense, l, {}), BadInput);
  l.tp = 1;
  l.ep = 3;
  EXPECT_THROW((void)layer_work(small_moe(), LayerKind::moe, l, {}), BadInput);
  l.ep = 1;
  l.etp = 3;
  EXPECT_THROW((void)layer_work(small_moe(), LayerKind::moe, l, {}), BadInput);
}

TEST(Replicas, CountTensorAndContextParallelRanks) {
  Layout l;
  l.tp = 4;
  l.cp = 2;
  l.dp = 8;
  EXPECT_EQ(replicas(l, false), 16);
  EXPECT_EQ(replicas_on_node(l, false, 8), 2);  // 4 GPUs apart
  l.ep = 16;
  l.etp = 2;
  EXPECT_EQ(replicas(l, true), 2);
  EXPECT_EQ(replicas_on_node(l, true, 8), 1);
  EXPECT_EQ(replicas_on_node(l, true, 72), 2);  // 32 apart, in a node of 72
}

TEST(StageContents, OneStageHoldsEverything) {
  const std::vector<StageContent> one = stage_contents(small_mla(), Layout{});
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].dense, 1);
  EXPECT_EQ(one[0].moe, 3);
  EXPECT_EQ(one[0].mtp, 1);
  EXPECT_TRUE(one[0].embedding && one[0].head);
}

TEST(StageWeights, TiedTablesAreHeldOnceOnOneStage) {
  const Model m = small_gpt();
  const StageContent both{.dense = 4, .embedding = true, .head = true};
  EXPECT_DOUBLE_EQ(stage_weights(m, Layout{}, both).common, parameters(m));
  const double first = stage_weights(m, Layout{}, {.dense = 2, .embedding = true}).common;
  const double last = stage_weights(m, Layout{}, {.dense = 2, .head = true}).common;
  EXPECT_DOUBLE_EQ(first + last, parameters(m) + 100 * 64);  // Megatron-LM has a copy on each end
}

// Bytes of memory-bound kernels of a whole model for one token: docs/flops.md.
TEST(Traffic, OfAWholeModelByHand) {
  const auto token = [](const Model& m) {
    std::map<std::string, double> by;
    const auto add = [&](LayerKind kind, std::int64_t times) {
      if (times < 1) return;
      for (const Traffic& t : layer_work(m, kind, Layout{}, {}).traffic)
        by[t.name] += real(times) * t.bytes;
    };
    add(LayerKind::embedding, 1);
    add(LayerKind::dense, dense_layers(m));
    add(LayerKind::moe, moe_layers(m));
    add(LayerKind::head, 1);
    return by;
  };
  auto by = token(published("gpt2-124m"));
  EXPECT_DOUBLE_EQ(by.at("embedding"), 2.0 * 4 * 768);
  EXPECT_DOUBLE_EQ(by.at("residual_and_norm"), 2.0 * 768 * 12 * 16);
  EXPECT_DOUBLE_EQ(by.at("final_norm"), 2.0 * 768 * 5);
  EXPECT_DOUBLE_EQ(by.at("activation"), 2.0 * 5 * 12 * 3072);  // GELU
  EXPECT_DOUBLE_EQ(by.at("loss"), 2.0 * 3 * 50257);
  EXPECT_EQ(by.size(), 5U);
  by = token(published("deepseek-v3"));
  EXPECT_DOUBLE_EQ(by.at("activation"), 2.0 * 8 * (3 * 18432 + 58 * 9 * 2048));  // SwiGLU
  EXPECT_DOUBLE_EQ(by.at("expert_permute"), 2.0 * 4 * 9 * 7168 * 58);
  EXPECT_DOUBLE_EQ(by.at("rotary"), 2.0 * 4 * (128 + 1) * 64 * 61);
  EXPECT_DOUBLE_EQ(by.at("latent_norm"), 2.0 * 5 * (1536 + 512) * 61);  // norms within attention
  EXPECT_DOUBLE_EQ(by.at("router"), 2.0 * 8 * 256 * 58);
}

TEST(Traffic, GrowsWithTokens) {
  Layout l;
  l.seq_len = 1024;
  const auto sum = [&] {
    double bytes = 0;
    for (const Traffic& t : layer_work(small_mla(), LayerKind::mtp, l, kDeepSeek).traffic)
      bytes += t.bytes;
    return bytes;
  };
  const double one = sum();
  l.microbatch_sequences = 3;
  EXPECT_NEAR(sum() / one, 3, 1e-12);
}
