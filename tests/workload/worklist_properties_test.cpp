// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What must hold for the work list of any model in any legal layout: FLOPs and bytes conserved.
#include "record/error.hpp"
#include "record/formulas.hpp"
#include "workload/run.hpp"
#include "workload/worklist.hpp"

#include "small_models.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace trainmeter;

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
      run.stack =
          pick<TrainingStack>({TrainingStack::megatron, TrainingStack::fsdp, TrainingStack::other});
      try {
        const std::vector<Choice> all = layouts(run);
        d.layout = all[below(all.size())].layout;
      } catch (const BadInput&) {
        continue;
      }
      d.layout.zero = static_cast<int>(below(4));
      d.layout.sp = coin();
      d.batch = *run.global_batch_sequences;
      d.options = {pick<std::string>({"bf16", "fp16", "fp8", "fp32"}), run.stack, power(4)};
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
  template <class T>
  T pick(const std::vector<T>& all) {
    return all[below(all.size())];
  }

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
      if (c.operation != "alltoall" && c.group != Group::etp) continue;
      ++seen;
      if (c.operation == "alltoall") {
        ASSERT_NEAR((c.node_bytes + c.network_bytes) / c.payload_bytes,
                    (real(c.ranks) - 1) / real(c.ranks), 1e-12);
      }
      // Over all GPUs and micro-batches: every token to each of its experts, and there among those
      // that have a part of it.
      const double shared = c.group == Group::etp ? real(c.ranks) : 1;
      ASSERT_NEAR(
          c.payload_bytes / shared * d.gpus_of_a_stage() * real(d.layout.microbatches) /
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
    const auto network = [&](TrainingStack stack, std::int64_t limit) {
      d.options.stack = stack;
      d.model.moe->group_limit = limit;
      double sum = 0;
      for (const Collective& c :
           layer_work(d.model, LayerKind::moe, d.layout, d.options).collectives) {
        if (c.operation == "alltoall") sum += c.network_bytes;
      }
      return sum;
    };
    const double plain = network(TrainingStack::megatron, 1);
    const double four = network(TrainingStack::deepseek, 4);
    const double one = network(TrainingStack::deepseek, 1);
    ASSERT_LE(four, plain * (1 + 1e-12)) << "draw " << i;
    ASSERT_LE(one, four * (1 + 1e-12)) << "draw " << i;
    if (four < plain) ++fewer;
  }
  EXPECT_GT(fewer, 30);
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
    if (whole_for_a_step(d.layout, d.options.stack)) continue;
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
            if (c.name == kGatheredWeights && c.group == (routed ? Group::expert_dp : Group::dp) &&
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
