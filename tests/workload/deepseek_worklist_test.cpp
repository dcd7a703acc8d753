// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// DeepSeek-V3's work list: the shapes and bytes that its report prints.
#include "record/formulas.hpp"
#include "workload/worklist.hpp"

#include "small_models.hpp"
#include <gtest/gtest.h>

#include <vector>

using namespace trainmeter;

TEST(DeepSeekV3, GemmsOfALayerAsItsReportHasThem) {  // arXiv 2412.19437, 4.2
  const Model m = published("deepseek-v3");
  const LayerWork w = layer_work(m, LayerKind::moe, deepseek_layout(), kDeepSeek);
  const LayerWork dense = layer_work(m, LayerKind::dense, deepseek_layout(), kDeepSeek);
  const LayerWork head = layer_work(m, LayerKind::head, deepseek_layout(), kDeepSeek);
  EXPECT_EQ(shape(w, "q_a").n + shape(w, "kv_a").n, 2112);
  EXPECT_EQ(shape(w, "q_b"), (Shape{4096, 24576, 1536, 1}));
  EXPECT_EQ(shape(w, "kv_b"), (Shape{4096, 32768, 512, 1}));
  EXPECT_EQ(shape(w, "attention_output"), (Shape{4096, 7168, 16384, 1}));
  EXPECT_EQ(shape(w, "shared_up"), (Shape{4096, 4096, 7168, 1}));
  EXPECT_EQ(shape(w, "shared_down"), (Shape{4096, 7168, 2048, 1}));
  EXPECT_EQ(shape(w, "expert_up"), (Shape{8192, 4096, 7168, 4}));
  EXPECT_EQ(shape(w, "expert_down"), (Shape{8192, 7168, 2048, 4}));
  EXPECT_EQ(shape(w, "router"), (Shape{4096, 256, 7168, 1}));
  EXPECT_EQ(shape(dense, "ffn_up"), (Shape{4096, 36864, 7168, 1}));
  EXPECT_EQ(shape(dense, "ffn_down"), (Shape{4096, 7168, 18432, 1}));
  EXPECT_EQ(shape(head, "lm_head"), (Shape{4096, 129280, 7168, 1}));
  EXPECT_NEAR(w.core.forward_flops, 687e9, 0.5e9);
}

TEST(DeepSeekV3, BytesOfATokenToItsExpertsAndBack) {
  const LayerWork w =
      layer_work(published("deepseek-v3"), LayerKind::moe, deepseek_layout(), kDeepSeek);
  for (const Half half : {Half::forward, Half::backward}) {
    const Collective& dispatch = only(w, "ep_dispatch", half);
    const Collective& combine = only(w, "ep_combine", half);
    EXPECT_EQ(dispatch.ranks, 64);
    EXPECT_EQ(dispatch.ranks_on_node, 8);
    EXPECT_TRUE(dispatch.hidden && combine.hidden);
    EXPECT_NEAR(dispatch.payload_bytes / 4096, 59.1e3, 50);
    EXPECT_NEAR(combine.payload_bytes / 4096, 114.7e3, 50);
    EXPECT_NEAR(dispatch.network_bytes / 4096, 25.9e3, 50);  // 3.5 of 4 nodes are remote
    EXPECT_NEAR(combine.network_bytes / 4096, 50.2e3, 50);
    EXPECT_NEAR(dispatch.node_bytes / 4096, 51.7e3, 50);
    EXPECT_NEAR(combine.node_bytes / 4096, 100.4e3, 50);
  }
}

TEST(DeepSeekV3, AllToAllOfAStepOnInfiniBand) {
  const Model m = published("deepseek-v3");
  const Layout l = deepseek_layout();
  const LayerWork w = layer_work(m, LayerKind::moe, l, kDeepSeek);
  double bytes = 0;
  for (const Collective& c : w.collectives) {
    if (c.operation == "alltoall") bytes += c.count * c.network_bytes;
  }
  bytes *= real(l.microbatches) * real(moe_layers(m)) / real(l.pp);
  EXPECT_NEAR(bytes, 271e9, 0.5e9);
}

// What any other stack sends: bf16, a copy for every expert.
TEST(DeepSeekV3, WithoutItsKernelsEveryCopyCrosses) {
  const Model m = published("deepseek-v3");
  const LayerWork w = layer_work(m, LayerKind::moe, deepseek_layout(), {.precision = "fp8"});
  EXPECT_DOUBLE_EQ(only(w, "ep_dispatch", Half::forward).network_bytes,
                   4096.0 * 8 * 7168 * 2 * 7 / 8);
}

TEST(DeepSeekV3, CastsToFp8) {
  const Model m = published("deepseek-v3");
  const LayerWork w = layer_work(m, LayerKind::dense, deepseek_layout(), kDeepSeek);
  // Read in bf16, written twice in fp8 with a scale for 128: inputs forward, gradients of outputs
  // backward.
  const double inputs = 7168.0 + 7168 + 1536 + 512 + 16384 + 7168 + 18432;
  const double outputs = 1536.0 + 576 + 24576 + 32768 + 7168 + 36864 + 7168;
  EXPECT_DOUBLE_EQ(traffic(w, "fp8_cast", Half::forward),
                   4096 * (2 + 2 * (1 + 4.0 / 128)) * inputs);
  EXPECT_DOUBLE_EQ(traffic(w, "fp8_cast", Half::backward),
                   4096 * (2 + 2 * (1 + 4.0 / 128)) * outputs);
  const LayerWork head = layer_work(m, LayerKind::head, deepseek_layout(), kDeepSeek);
  EXPECT_EQ(traffic(head, "fp8_cast", Half::forward), 0);  // stays in bf16
  const LayerWork bf16 = layer_work(m, LayerKind::dense, deepseek_layout(), {});
  EXPECT_EQ(traffic(bf16, "fp8_cast", Half::forward), 0);
}

TEST(DeepSeekV3, StagesAndWhoHoldsTheirWeights) {
  const Model m = published("deepseek-v3");
  const Layout l = deepseek_layout();
  const std::vector<StageContent> stages = stage_contents(m, l);
  ASSERT_EQ(stages.size(), 16U);
  EXPECT_TRUE(stages[0].embedding);
  EXPECT_EQ(stages[0].dense, 3);
  EXPECT_EQ(stages[0].moe, 1);
  EXPECT_EQ(stages[1].moe, 4);
  EXPECT_EQ(stages[15].moe, 1);  // 61 = 15 x 4 + 1: it has the multi-token prediction and two heads
  EXPECT_TRUE(stages[15].head);
  EXPECT_EQ(stages[15].mtp, 1);
  EXPECT_FALSE(stages[15].embedding || stages[0].head);
  EXPECT_EQ(replicas(l, false), 128);
  EXPECT_EQ(replicas_on_node(l, false, 8), 8);
  EXPECT_EQ(replicas(l, true), 2);
  EXPECT_EQ(replicas_on_node(l, true, 8), 1);
  const StageWeights four = stage_weights(m, l, stages[1]);
  EXPECT_DOUBLE_EQ(four.routed, 4 * 4 * 3.0 * 7168 * 2048);  // 4 layers, 4 experts here
}
