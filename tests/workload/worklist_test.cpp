// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The work list of a layer: hand counts for small models, DeepSeek-V3's published shapes and bytes,
// and what must hold over any legal layout (FLOPs and bytes conserved).
#include "workload/worklist.hpp"

#include "record/error.hpp"
#include "record/formulas.hpp"
#include "workload/run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace trainmeter;

namespace {

double real(std::int64_t value) {
  return static_cast<double>(value);
}

Model published(const std::string& id) {
  return Library(std::filesystem::path(TRAINMETER_SOURCE_DIR) / "results" / "published").model(id);
}

Model small_llama() {  // grouped queries, a gate
  Model m;
  m.id = "llama";
  m.layers = 4;
  m.hidden = 64;
  m.heads = 8;
  m.kv_heads = 2;
  m.head_dim = 8;
  m.attention = AttentionKind::gqa;
  m.ffn = 96;
  m.vocab = 100;
  return m;
}

Model small_gpt() {
  Model m = small_llama();
  m.id = "gpt";
  m.kv_heads = 8;
  m.attention = AttentionKind::mha;
  m.ffn_kind = FfnKind::gelu;
  m.tied_embeddings = true;
  return m;
}

Model small_moe() {  // 2 of 8 experts and a shared one, after a dense layer
  Model m = small_llama();
  m.id = "moe";
  m.moe = Moe{.experts = 8,
              .experts_per_token = 2,
              .shared_experts = 1,
              .expert_ffn = 32,
              .dense_layers = 1,
              .group_limit = {}};
  return m;
}

Model small_mla() {
  Model m = small_moe();
  m.id = "mla";
  m.kv_heads = 8;
  m.attention = AttentionKind::mla;
  m.mla = Mla{24, 16, 8, 4, 8};
  m.mtp_depth = 1;
  return m;
}

Layout two_sequences_of_16() {
  Layout l;
  l.microbatch_sequences = 2;
  l.seq_len = 16;
  return l;
}

Layout deepseek_layout() {  // of the report, 3.2: 120 micro-batches of a sequence
  Layout l;
  l.gpus = 2048;
  l.pp = 16;
  l.dp = 128;
  l.ep = 64;
  l.zero = 1;
  l.schedule = "dualpipe";
  l.microbatches = 120;
  l.seq_len = 4096;
  l.overlap_ep = true;
  return l;
}

const WorkOptions kDeepSeek{"fp8", "deepseek", 8};

struct Shape {
  std::int64_t m, n, k, groups;
  bool operator==(const Shape&) const = default;
};

Shape shape(const LayerWork& work, const std::string& name, Pass pass = Pass::fprop) {
  for (const GemmWork& g : work.gemms) {
    if (g.name == name && g.pass == pass) return {g.m, g.n, g.k, g.groups};
  }
  ADD_FAILURE() << "no GEMM " << name;
  return {};
}

void PrintTo(const Shape& s, std::ostream* out) {
  *out << s.groups << " x (" << s.m << ", " << s.n << ", " << s.k << ")";
}

double traffic(const LayerWork& work, const std::string& name, Half half) {
  double bytes = 0;
  for (const Traffic& t : work.traffic) {
    if (t.name == name && t.half == half) bytes += t.bytes;
  }
  return bytes;
}

const Collective& only(const LayerWork& work, const std::string& name, Half half,
                       const std::string& group = "") {
  const Collective* found = nullptr;
  for (const Collective& c : work.collectives) {
    if (c.name != name || c.half != half || (!group.empty() && c.group != group)) continue;
    if (found != nullptr) ADD_FAILURE() << "two of " << name;
    found = &c;
  }
  if (found == nullptr) {
    static const Collective none;
    ADD_FAILURE() << "no " << name;
    return none;
  }
  return *found;
}

// Times a collective is done in a layer, all of one payload.
double count(const LayerWork& work, const std::string& operation, Half half, double payload) {
  double sum = 0;
  for (const Collective& c : work.collectives) {
    if (c.operation != operation || c.half != half) continue;
    EXPECT_DOUBLE_EQ(c.payload_bytes, payload) << c.name;
    sum += c.count;
  }
  return sum;
}

double gemm_work(const LayerWork& work) {
  double sum = 0;
  for (const GemmWork& g : work.gemms) sum += g.count * real(g.groups) * gemm_flops(g.m, g.n, g.k);
  return sum;
}

Collective placed(const char* operation, std::int64_t ranks, std::int64_t on_node) {
  Collective c{
      .operation = operation, .payload_bytes = 800, .ranks = ranks, .ranks_on_node = on_node};
  place_bytes(c);
  return c;
}

}  // namespace

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
}

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
    EXPECT_DOUBLE_EQ(full.collectives[i].payload_bytes, 2 * half.collectives[i].payload_bytes)
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
  const LayerWork w = layer_work(m, LayerKind::dense, l, {.stack = "fsdp"});
  const double weights = 64 * (8 + 2 * 2) * 8 + 64 * 64 + 3 * 64 * 96 + 2 * 64;
  const double payload = weights * 2;
  EXPECT_EQ(count(w, "allgather", Half::forward, payload), 1);
  EXPECT_EQ(count(w, "allgather", Half::backward, payload), 1);
  EXPECT_EQ(count(w, "reducescatter", Half::backward, payload), 1);
  const Collective& gather = only(w, "dp_all_gather", Half::forward);
  EXPECT_EQ(gather.ranks, 16);
  EXPECT_EQ(gather.ranks_on_node, 8);
  EXPECT_TRUE(gather.hidden);
  // The head gathers its own table, and the embedding its own where it isn't tied.
  EXPECT_DOUBLE_EQ(
      only(layer_work(m, LayerKind::head, l, {.stack = "fsdp"}), "dp_all_gather", Half::forward)
          .payload_bytes,
      (100.0 * 64 + 64) * 2);
  EXPECT_DOUBLE_EQ(only(layer_work(m, LayerKind::embedding, l, {.stack = "fsdp"}), "dp_all_gather",
                        Half::forward)
                       .payload_bytes,
                   100.0 * 64 * 2);
  EXPECT_TRUE(
      layer_work(small_gpt(), LayerKind::embedding, l, {.stack = "fsdp"}).collectives.empty());
}

TEST(Collectives, Zero2OfFsdpKeepsTheGatheredWeights) {
  Layout l = two_sequences_of_16();
  l.dp = 16;
  l.zero = 2;
  const LayerWork w = layer_work(small_gpt(), LayerKind::dense, l, {.stack = "fsdp"});
  const double payload = (4 * 64 * 64 + 2 * 64 * 96 + 2 * 64) * 2;
  EXPECT_EQ(count(w, "allgather", Half::forward, payload), 1);
  EXPECT_EQ(count(w, "allgather", Half::backward, payload), 0);
  EXPECT_EQ(count(w, "reducescatter", Half::backward, payload), 1);
  // Megatron's holds whole weights: nothing a layer, all once a step.
  EXPECT_TRUE(layer_work(small_gpt(), LayerKind::dense, l, {}).collectives.empty());
}

TEST(Collectives, Zero3GathersExpertsAmongThoseWhoHoldTheSame) {
  Layout l = two_sequences_of_16();
  l.dp = 16;
  l.ep = 4;
  l.zero = 3;
  const LayerWork w = layer_work(small_moe(), LayerKind::moe, l, {});
  const Collective& common = only(w, "dp_all_gather", Half::forward, "dp");
  const Collective& routed = only(w, "dp_all_gather", Half::forward, "expert_dp");
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
  EXPECT_DOUBLE_EQ(placed("allreduce", 16, 8).network_bytes, 2 * 400.0 / 8);
  for (const char* operation : {"allgather", "reducescatter"}) {
    EXPECT_DOUBLE_EQ(placed(operation, 16, 8).node_bytes, 750) << operation;
    EXPECT_DOUBLE_EQ(placed(operation, 16, 8).network_bytes, 400.0 / 8) << operation;
  }
  EXPECT_DOUBLE_EQ(placed("alltoall", 16, 8).network_bytes, 400);  // 8 of 16 shares
  EXPECT_DOUBLE_EQ(placed("alltoall", 16, 8).node_bytes, 350);     // 7 of 16
  EXPECT_EQ(placed("sendrecv", 16, 8).node_bytes, 0);
  EXPECT_DOUBLE_EQ(placed("sendrecv", 16, 8).network_bytes, 800);
}

TEST(PlaceBytes, OneGpuANodeUsesTheNetworkAlone) {
  EXPECT_DOUBLE_EQ(placed("allreduce", 4, 1).network_bytes, 1200);
  for (const char* operation : {"allgather", "reducescatter", "alltoall"}) {
    EXPECT_DOUBLE_EQ(placed(operation, 4, 1).network_bytes, 600) << operation;
    EXPECT_EQ(placed(operation, 4, 1).node_bytes, 0) << operation;
  }
}

TEST(DeepSeekV3, GemmsOfALayerAsItsReportHasThem) {  // shared/reference/extrapolation.md, 2
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

namespace {

struct Draw {
  Model model;
  Layout layout;
  WorkOptions options;
  std::int64_t batch = 1;  // sequences

  [[nodiscard]] double tokens() const { return real(batch * layout.seq_len); }
  [[nodiscard]] double gpus_of_a_stage() const { return real(layout.gpus / layout.pp); }
};

// Random models on random layouts, those that layouts() takes.
class Draws {
 public:
  Draw next() {
    for (;;) {
      Draw d{.model = model(), .layout = {}, .options = {}, .batch = 1};
      trainmeter::Run run;
      run.model = d.model;
      Parallel p{.tp = power(3), .pp = one_to(6), .cp = power(2)};
      if (d.model.moe) {
        p.ep = power(4);
        p.etp = power(1);
      }
      const std::int64_t dp = one_to(8);
      run.parallel = p;
      run.gpus = p.tp * p.pp * p.cp * dp;
      run.seq_len = 16 * one_to(8);
      run.global_batch_sequences = dp * one_to(12);
      run.stack = pick({"megatron", "fsdp", "other"});
      try {
        const std::vector<Choice> all = layouts(run);
        d.layout = all[below(all.size())].layout;
      } catch (const BadInput&) {
        continue;
      }
      d.layout.zero = static_cast<int>(below(4));
      d.layout.sp = coin();
      d.batch = *run.global_batch_sequences;
      d.options = {pick({"bf16", "fp16", "fp8", "fp32"}), run.stack, power(4)};
      return d;
    }
  }

 private:
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  std::int64_t one_to(std::int64_t most) {
    return 1 + static_cast<std::int64_t>(below(static_cast<std::size_t>(most)));
  }
  std::int64_t power(std::int64_t most) { return std::int64_t{1} << (one_to(most + 1) - 1); }
  bool coin() { return below(2) == 1; }
  std::string pick(const std::vector<std::string>& words) { return words[below(words.size())]; }

  Model model() {
    Model m;
    m.id = "drawn";
    m.layers = one_to(12);
    m.heads = power(4);
    m.kv_heads = m.heads;
    m.head_dim = 8 * one_to(4);
    m.hidden = 16 * one_to(16);
    m.ffn = 16 * one_to(32);
    m.ffn_kind = coin() ? FfnKind::swiglu : FfnKind::gelu;
    m.vocab = one_to(5000);
    m.tied_embeddings = coin();
    if (coin()) {
      m.attention = AttentionKind::mla;
      m.mla = Mla{one_to(64), one_to(64), one_to(32), one_to(16), one_to(32)};
    } else {
      m.attention = AttentionKind::gqa;
      while (m.kv_heads > 1 && coin()) m.kv_heads /= 2;
    }
    if (coin()) {
      m.moe = Moe{.experts = one_to(40),
                  .experts_per_token = 1,
                  .shared_experts = one_to(3) - 1,
                  .expert_ffn = 8 * one_to(32),
                  .dense_layers = std::min(m.layers, one_to(4) - 1),
                  .group_limit = {}};
      m.moe->experts_per_token = one_to(std::min<std::int64_t>(8, m.moe->experts));
    }
    m.mtp_depth = one_to(3) - 1;
    return m;
  }

  std::mt19937_64 random_{20261125};
};

constexpr int kDraws = 2000;

// The sum of something over the layers of all stages, on one GPU of each.
double over_stages(const Draw& d, const std::function<double(const LayerWork&)>& of) {
  std::map<LayerKind, std::int64_t> times;
  for (const StageContent& s : stage_contents(d.model, d.layout)) {
    times[LayerKind::dense] += s.dense;
    times[LayerKind::moe] += s.moe;
    times[LayerKind::mtp] += s.mtp;
    times[LayerKind::embedding] += s.embedding ? 1 : 0;
    times[LayerKind::head] += s.head ? 1 : 0;
  }
  double sum = 0;
  for (const auto& [kind, n] : times) {
    if (n > 0) sum += real(n) * of(layer_work(d.model, kind, d.layout, d.options));
  }
  return sum;
}

}  // namespace

TEST(AnyLayout, ConservesTheFlopsOfMatrices) {
  Draws draws;
  for (int i = 0; i < kDraws; ++i) {
    const Draw d = draws.next();
    const double done =
        over_stages(d, gemm_work) * d.gpus_of_a_stage() * real(d.layout.microbatches);
    Model m = d.model;  // ranks beyond the heads of keys and values have copies
    if (!m.mla) m.kv_heads = std::max(m.kv_heads, d.layout.tp);
    const double wanted =
        d.tokens() *
        training_flops_per_token(
            m, {.seq_len = 1, .attention = AttentionFlops::none, .router = true, .mtp = true});
    ASSERT_NEAR(done / wanted, 1, 1e-9) << "draw " << i;
  }
}

TEST(AnyLayout, ConservesTheFlopsOfAttention) {
  Draws draws;
  for (int i = 0; i < kDraws; ++i) {
    const Draw d = draws.next();
    const Model& m = d.model;
    const double a_layer = 2 * real(d.layout.seq_len) / 2 * real(m.heads) *
                           real(query_key_dim(m) + value_dim(m)) * d.tokens();
    const double gpus = d.gpus_of_a_stage() * real(d.layout.microbatches);
    const auto forward = [](const LayerWork& w) { return w.core.forward_flops; };
    const auto backward = [](const LayerWork& w) { return w.core.backward_flops; };
    ASSERT_NEAR(over_stages(d, forward) * gpus / (real(m.layers + m.mtp_depth) * a_layer), 1, 1e-9);
    ASSERT_NEAR(over_stages(d, backward) / over_stages(d, forward), 2.5, 1e-9);
  }
}

TEST(AnyLayout, HoldsEveryWeight) {
  Draws draws;
  for (int i = 0; i < kDraws; ++i) {
    const Draw d = draws.next();
    const Model& m = d.model;
    const Layout& l = d.layout;
    const double h = real(m.hidden);
    double held = 0;
    const std::vector<StageContent> stages = stage_contents(m, l);
    for (const StageContent& s : stages) {
      const StageWeights w = stage_weights(m, l, s);
      held += w.common * real(l.tp) + w.routed * real(l.ep * l.etp);
    }
    const double routers = m.moe ? h * real(m.moe->experts) : 0;
    double mtp = attention_weights(m) + 2 * h * h;
    mtp += m.moe ? real(m.moe->experts + m.moe->shared_experts) * expert_weights(m)
                 : ffn_matrices(m) * h * real(m.ffn);
    const double depths = real(m.mtp_depth);
    // Every rank has all norms and routers.
    const double copied = h + 2 * h * (real(m.layers) + depths) +
                          routers * (real(m.moe ? moe_layers(m) : 0) + depths);
    double wanted = parameters(m) + depths * (mtp + 2 * h + routers) + (real(l.tp) - 1) * copied;
    if (m.tied_embeddings && stages.size() > 1) wanted += real(m.vocab) * h;
    ASSERT_NEAR(held / wanted, 1, 1e-9) << "draw " << i;
  }
}

TEST(AnyLayout, PutsEveryLayerOnAStage) {
  Draws draws;
  for (int i = 0; i < kDraws; ++i) {
    const Draw d = draws.next();
    StageContent sum;
    for (const StageContent& s : stage_contents(d.model, d.layout)) {
      ASSERT_GE(s.dense, 0);
      ASSERT_GE(s.moe, 0);
      if (sum.moe > 0) {
        ASSERT_EQ(s.dense, 0) << "a dense layer after experts";
      }
      sum.dense += s.dense;
      sum.moe += s.moe;
      sum.mtp += s.mtp;
    }
    ASSERT_EQ(sum.dense, dense_layers(d.model));
    ASSERT_EQ(sum.moe, moe_layers(d.model));
    ASSERT_EQ(sum.mtp, d.model.mtp_depth);
  }
}

TEST(AnyLayout, SendsWhatItReceivesInAnAllToAll) {
  Draws draws;
  int seen = 0;
  for (int i = 0; i < kDraws; ++i) {
    const Draw d = draws.next();
    if (!d.model.moe || moe_layers(d.model) == 0) continue;
    const LayerWork w = layer_work(d.model, LayerKind::moe, d.layout, d.options);
    const double element = d.options.precision == "fp32" ? 4 : 2;
    for (const Collective& c : w.collectives) {
      if (c.operation != "alltoall") continue;
      ++seen;
      ASSERT_NEAR((c.node_bytes + c.network_bytes) / c.payload_bytes,
                  (real(c.ranks) - 1) / real(c.ranks), 1e-12);
      // Over all GPUs and micro-batches: every token to each of its experts.
      ASSERT_NEAR(
          c.payload_bytes * d.gpus_of_a_stage() * real(d.layout.microbatches) /
              (d.tokens() * real(d.model.moe->experts_per_token * d.model.hidden) * element),
          1, 1e-9);
    }
  }
  EXPECT_GT(seen, 500);
}

// A token that may reach few nodes crosses to each once, not once per expert.
TEST(AnyLayout, SendsNoMoreWhereTokensReachFewNodes) {
  Draws draws;
  int fewer = 0;
  for (int i = 0; i < kDraws; ++i) {
    Draw d = draws.next();
    if (!d.model.moe || moe_layers(d.model) == 0) continue;
    d.options.precision = "bf16";
    const auto network = [&](const char* stack, std::int64_t limit) {
      d.options.stack = stack;
      d.model.moe->group_limit = limit;
      double sum = 0;
      for (const Collective& c :
           layer_work(d.model, LayerKind::moe, d.layout, d.options).collectives) {
        if (c.operation == "alltoall") sum += c.network_bytes;
      }
      return sum;
    };
    const double plain = network("megatron", 1);
    const double four = network("deepseek", 4);
    const double one = network("deepseek", 1);
    ASSERT_LE(four, plain * (1 + 1e-12)) << "draw " << i;
    ASSERT_LE(one, four * (1 + 1e-12)) << "draw " << i;
    if (four < plain) ++fewer;
  }
  EXPECT_GT(fewer, 50);
}

TEST(AnyLayout, PlacesBytesWhereTheyPass) {
  Draws draws;
  for (int i = 0; i < kDraws; ++i) {
    Draw d = draws.next();
    const auto network = [&](std::int64_t gpus_per_node) {
      d.options.gpus_per_node = gpus_per_node;
      return over_stages(d, [](const LayerWork& w) {
        double sum = 0;
        for (const Collective& c : w.collectives) {
          EXPECT_GE(c.ranks, 2) << c.name;
          EXPECT_GE(c.ranks_on_node, 1) << c.name;
          EXPECT_LE(c.ranks_on_node, c.ranks) << c.name;
          EXPECT_GE(c.node_bytes, 0) << c.name;
          EXPECT_GE(c.network_bytes, 0) << c.name;
          EXPECT_GT(c.node_bytes + c.network_bytes, 0) << c.name;
          if (c.ranks_on_node == c.ranks) {
            EXPECT_EQ(c.network_bytes, 0) << c.name;
          }
          if (c.ranks_on_node == 1) {
            EXPECT_EQ(c.node_bytes, 0) << c.name;
          }
          sum += c.count * c.network_bytes;
        }
        return sum;
      });
    };
    const double small = network(4);
    ASSERT_LE(network(16), small * (1 + 1e-12)) << "a larger node sends more out, draw " << i;
    ASSERT_EQ(network(1 << 20), 0) << "one node for all, draw " << i;
  }
}

TEST(AnyLayout, MoreTensorParallelismIsNoMoreWorkForAGpu) {
  Draws draws;
  int seen = 0;
  for (int i = 0; i < kDraws; ++i) {
    const Draw one = draws.next();
    Draw two = one;
    two.layout.tp *= 2;
    two.layout.gpus *= 2;
    const auto traffic_of = [](const LayerWork& w) {
      double sum = 0;
      for (const Traffic& t : w.traffic) sum += t.bytes;
      return sum;
    };
    try {
      ASSERT_LE(over_stages(two, gemm_work), over_stages(one, gemm_work) * (1 + 1e-12));
      ASSERT_LE(over_stages(two, traffic_of), over_stages(one, traffic_of) * (1 + 1e-12));
    } catch (const BadInput&) {
      continue;  // twice as many ranks don't divide the model
    }
    ++seen;
  }
  EXPECT_GT(seen, 500);
}

TEST(AnyLayout, GathersEveryWeightUnderZero3) {
  Draws draws;
  for (int i = 0; i < kDraws; ++i) {
    Draw d = draws.next();
    d.layout.zero = 3;
    // The embedding is gathered by the head where they are tied.
    d.model.tied_embeddings = false;
    const double element = d.options.precision == "fp32" ? 4 : 2;
    for (const bool routed : {false, true}) {
      double held = 0;
      for (const StageContent& s : stage_contents(d.model, d.layout)) {
        const StageWeights w = stage_weights(d.model, d.layout, s);
        held += routed ? w.routed : w.common;
      }
      if (replicas(d.layout, routed) < 2) held = 0;
      for (const Half half : {Half::forward, Half::backward}) {
        const double gathered = over_stages(d, [&](const LayerWork& w) {
          double sum = 0;
          for (const Collective& c : w.collectives) {
            if (c.name == "dp_all_gather" && c.group == (routed ? "expert_dp" : "dp") &&
                c.half == half)
              sum += c.payload_bytes;
          }
          return sum;
        });
        ASSERT_NEAR(gathered, held * element, 1e-9 * held * element) << "draw " << i;
      }
    }
  }
}
