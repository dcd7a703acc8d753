// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The collectives of a layer, and where their bytes pass: hand counts for small models.
#include "record/wire_bytes.hpp"
#include "workload/worklist.hpp"

#include "small_models.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace trainmeter;

TEST(Collectives, TensorParallelWithSequenceParallelism) {
  Layout l = two_sequences_of_16();
  l.tp = 4;
  l.sp = l.overlap_tp = true;
  const LayerWork w = layer_work(small_gpt(), LayerKind::dense, l, {});
  const double payload = 32 * 64 * 2;
  // Attention and FFN; backward the inputs are gathered again for the weights' gradient.
  EXPECT_EQ(count(w, "allgather", Half::forward, payload), 2);
  EXPECT_EQ(count(w, "reducescatter", Half::forward, payload), 2);
  EXPECT_EQ(count(w, "allgather", Half::backward, payload), 4);
  EXPECT_EQ(count(w, "reducescatter", Half::backward, payload), 2);
  EXPECT_EQ(count(w, "allreduce", Half::forward, payload), 0);
  for (const Collective& c : w.collectives) {
    EXPECT_EQ(c.ranks, 4);
    EXPECT_EQ(c.ranks_on_node, 4);
    EXPECT_DOUBLE_EQ(c.node_bytes, payload * 3 / 4);
    EXPECT_TRUE(c.hidden);
  }
}

TEST(Collectives, TensorParallelWithoutSequenceParallelism) {
  Layout l = two_sequences_of_16();
  l.tp = 4;
  const LayerWork w = layer_work(small_gpt(), LayerKind::dense, l, {});
  const double payload = 32 * 64 * 2;
  EXPECT_EQ(count(w, "allreduce", Half::forward, payload), 2);
  EXPECT_EQ(count(w, "allreduce", Half::backward, payload), 2);
  EXPECT_EQ(count(w, "allgather", Half::backward, payload), 0);
  for (const Collective& c : w.collectives) {
    EXPECT_DOUBLE_EQ(c.node_bytes, payload * 2 * 3 / 4);
    EXPECT_FALSE(c.hidden);
  }
  // Norms are done by every rank.
  EXPECT_DOUBLE_EQ(traffic(w, "residual_and_norm", Half::forward), 8.0 * 64 * 32 * 2);
}

TEST(Collectives, Fp32IsTwiceAsWide) {
  Layout l = two_sequences_of_16();
  l.tp = l.cp = l.dp = 2;
  l.ep = 4;
  l.zero = 3;
  const LayerWork half = layer_work(small_moe(), LayerKind::moe, l, {.precision = "bf16"});
  const LayerWork full = layer_work(small_moe(), LayerKind::moe, l, {.precision = "fp32"});
  ASSERT_EQ(half.collectives.size(), full.collectives.size());
  for (std::size_t i = 0; i < half.collectives.size(); ++i) {
    const bool gradients = half.collectives[i].name == "dp_reduce_scatter";  // fp32 in both
    EXPECT_DOUBLE_EQ(full.collectives[i].payload_bytes,
                     (gradients ? 1 : 2) * half.collectives[i].payload_bytes)
        << full.collectives[i].name;
  }
  for (std::size_t i = 0; i < half.traffic.size(); ++i) {
    EXPECT_DOUBLE_EQ(full.traffic[i].bytes, 2 * half.traffic[i].bytes);
  }
}

TEST(Collectives, ContextParallelRanksPassKeysAndValuesAround) {
  Layout l = two_sequences_of_16();
  l.tp = 2;
  l.cp = 4;  // 8 tokens each; a head of keys, one of values
  const LayerWork w = layer_work(small_llama(), LayerKind::dense, l, {});
  const Collective& forward = only(w, "cp_keys_values", Half::forward);
  EXPECT_EQ(forward.operation, "sendrecv");
  EXPECT_DOUBLE_EQ(forward.payload_bytes, 8.0 * 2 * 8 * 2);
  EXPECT_EQ(forward.count, 3);
  EXPECT_EQ(forward.ranks, 4);
  EXPECT_EQ(forward.ranks_on_node, 4);  // 2 x 4 GPUs fill a node
  EXPECT_DOUBLE_EQ(forward.node_bytes, forward.payload_bytes);
  EXPECT_TRUE(forward.hidden);
  const Collective& backward = only(w, "cp_keys_values", Half::backward);
  EXPECT_DOUBLE_EQ(backward.payload_bytes, 2 * forward.payload_bytes);  // and their gradients
  l.tp = 4;  // 2 heads of keys for 4 ranks: each has one
  const Collective across =
      only(layer_work(small_llama(), LayerKind::dense, l, {}), "cp_keys_values", Half::forward);
  EXPECT_DOUBLE_EQ(across.payload_bytes, forward.payload_bytes);
  EXPECT_EQ(across.ranks_on_node, 2);
  EXPECT_DOUBLE_EQ(across.network_bytes, across.payload_bytes);
}

TEST(Collectives, Zero3GathersWeightsTwiceAndScattersGradients) {
  Layout l = two_sequences_of_16();
  l.dp = 16;
  l.zero = 3;
  l.overlap_dp = true;
  const Model m = small_llama();
  const LayerWork w = layer_work(m, LayerKind::dense, l, {.stack = TrainingStack::fsdp});
  const double weights = 64 * (8 + 2 * 2) * 8 + 64 * 64 + 3 * 64 * 96 + 2 * 64;
  const double payload = weights * 2;
  EXPECT_EQ(count(w, "allgather", Half::forward, payload), 1);
  EXPECT_EQ(count(w, "allgather", Half::backward, payload), 1);
  EXPECT_EQ(count(w, "reducescatter", Half::backward, 2 * payload), 1);  // fp32
  const Collective& gather = only(w, "dp_all_gather", Half::forward);
  EXPECT_EQ(gather.ranks, 16);
  EXPECT_EQ(gather.ranks_on_node, 8);
  EXPECT_TRUE(gather.hidden);
  // The head gathers its own table, and the embedding its own where it isn't tied.
  EXPECT_DOUBLE_EQ(only(layer_work(m, LayerKind::head, l, {.stack = TrainingStack::fsdp}),
                        "dp_all_gather", Half::forward)
                       .payload_bytes,
                   (100.0 * 64 + 64) * 2);
  EXPECT_DOUBLE_EQ(only(layer_work(m, LayerKind::embedding, l, {.stack = TrainingStack::fsdp}),
                        "dp_all_gather", Half::forward)
                       .payload_bytes,
                   100.0 * 64 * 2);
  EXPECT_TRUE(layer_work(small_gpt(), LayerKind::embedding, l, {.stack = TrainingStack::fsdp})
                  .collectives.empty());
}

TEST(Collectives, Zero2OfFsdpKeepsTheGatheredWeights) {
  Layout l = two_sequences_of_16();
  l.dp = 16;
  l.zero = 2;
  const LayerWork w = layer_work(small_gpt(), LayerKind::dense, l, {.stack = TrainingStack::fsdp});
  const double payload = (4 * 64 * 64 + 2 * 64 * 96 + 2 * 64) * 2;
  EXPECT_EQ(count(w, "allgather", Half::forward, payload), 1);
  EXPECT_EQ(count(w, "allgather", Half::backward, payload), 0);
  EXPECT_EQ(count(w, "reducescatter", Half::backward, 2 * payload), 1);  // fp32
  // Under a pipeline all is gathered and scattered once a step.
  l.pp = 2;
  EXPECT_TRUE(layer_work(small_gpt(), LayerKind::dense, l, {.stack = TrainingStack::fsdp})
                  .collectives.empty());
  l.pp = 1;
  // Megatron's holds whole weights: nothing a layer, all once a step.
  EXPECT_TRUE(layer_work(small_gpt(), LayerKind::dense, l, {}).collectives.empty());
}

TEST(Collectives, Zero3GathersExpertsAmongThoseWhoHoldTheSame) {
  Layout l = two_sequences_of_16();
  l.dp = 16;
  l.ep = 4;
  l.zero = 3;
  const LayerWork w = layer_work(small_moe(), LayerKind::moe, l, {});
  const Collective& common = only(w, "dp_all_gather", Half::forward, Group::dp);
  const Collective& routed = only(w, "dp_all_gather", Half::forward, Group::expert_dp);
  EXPECT_EQ(common.ranks, 16);
  EXPECT_EQ(routed.ranks, 4);
  EXPECT_EQ(routed.ranks_on_node, 2);                             // 4 GPUs apart
  EXPECT_DOUBLE_EQ(routed.payload_bytes, 2 * 2.0 * 3 * 64 * 32);  // 2 experts here, bf16
}

TEST(PlaceBytes, InsideANode) {
  EXPECT_DOUBLE_EQ(placed("allreduce", 8, 8).node_bytes, 800 * 2 * 7.0 / 8);
  for (const char* operation : {"allgather", "reducescatter", "alltoall"}) {
    EXPECT_DOUBLE_EQ(placed(operation, 8, 8).node_bytes, 700) << operation;
  }
  EXPECT_DOUBLE_EQ(placed("sendrecv", 2, 2).node_bytes, 800);
  for (const char* operation :
       {"allreduce", "allgather", "reducescatter", "alltoall", "sendrecv"}) {
    EXPECT_EQ(placed(operation, 8, 8).network_bytes, 0) << operation;
  }
}

TEST(PlaceBytes, AcrossTwoNodesOfEight) {
  EXPECT_DOUBLE_EQ(placed("allreduce", 16, 8).node_bytes, 1500);
  EXPECT_DOUBLE_EQ(placed("allreduce", 16, 8).network_bytes, 800.0 / 8);  // a tree's
  for (const char* operation : {"allgather", "reducescatter"}) {
    EXPECT_DOUBLE_EQ(placed(operation, 16, 8).node_bytes, 750) << operation;
    EXPECT_DOUBLE_EQ(placed(operation, 16, 8).network_bytes, 750.0 / 8) << operation;
  }
  EXPECT_DOUBLE_EQ(placed("alltoall", 16, 8).network_bytes, 400);  // 8 of 16 shares
  EXPECT_DOUBLE_EQ(placed("alltoall", 16, 8).node_bytes, 350);     // 7 of 16
  EXPECT_EQ(placed("sendrecv", 16, 8).node_bytes, 0);
  EXPECT_DOUBLE_EQ(placed("sendrecv", 16, 8).network_bytes, 800);
}

// What `collective_bench` expects of the links of a ring, and of what goes from each to each.
TEST(PlaceBytes, AgreesWithTheBusRateThatIsExpected) {
  constexpr double kNic = 50e9;
  const LinkRates links{.inside = 1e15, .between = kNic};
  for (const auto& [ranks, on_node] : {std::pair{16, 8}, {32, 8}, {12, 4}, {2, 1}, {64, 4}}) {
    for (const char* operation : {"allgather", "reducescatter", "alltoall", "sendrecv"}) {
      const bool ring = operation[0] != 's' && operation != std::string("alltoall");
      const double seconds = placed(operation, ranks, on_node).network_bytes / kNic;
      EXPECT_NEAR(800 * bus_factor(operation, ranks) / seconds /
                      expected_bus_rate(operation, ring ? "ring" : "direct", ranks, on_node, links),
                  1, 1e-12)
          << operation << " " << ranks;
    }
    const double ring = wire_factor("allreduce", "ring", ranks) / on_node;
    const double seconds = placed("allreduce", ranks, on_node).network_bytes / 800;
    EXPECT_LE(seconds, ring * (1 + 1e-12)) << ranks;
    if (ranks > 2 * on_node) {
      EXPECT_NEAR(seconds, ring, 1e-12) << ranks;
    }
  }
}

TEST(PlaceBytes, OneGpuANodeUsesTheNetworkAlone) {
  EXPECT_DOUBLE_EQ(placed("allreduce", 4, 1).network_bytes, 1200);
  for (const char* operation : {"allgather", "reducescatter", "alltoall"}) {
    EXPECT_DOUBLE_EQ(placed(operation, 4, 1).network_bytes, 600) << operation;
    EXPECT_EQ(placed(operation, 4, 1).node_bytes, 0) << operation;
  }
}
