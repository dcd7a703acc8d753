// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Memory of a layout: by hand for small models, and properties over random layouts.
#include "workload/memory_fit.hpp"

#include "record/error.hpp"
#include "workload/step.hpp"

#include "memory_fit_models.hpp"
#include "small_models.hpp"
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

using namespace trainmeter;

namespace {

Model tiny_moe() {  // a dense layer, then one of experts
  Model m;
  m.id = "tiny";
  m.layers = 2;
  m.hidden = 8;
  m.heads = 2;
  m.kv_heads = 1;
  m.head_dim = 4;
  m.attention = AttentionKind::gqa;
  m.ffn = 10;
  m.vocab = 100;
  m.moe = Moe{.experts = 4,
              .experts_per_token = 2,
              .shared_experts = 1,
              .expert_ffn = 6,
              .dense_layers = 1,
              .group_limit = {}};
  return m;
}

// Context, workspaces and, with more than one GPU, NCCL: what every need has.
double least_buffers(bool many) {
  Layout l;
  l.gpus = many ? 2 : 1;
  return memory_need(gpt(1, 8, 2, 10), l, kMegatron).buffers;
}

}  // namespace

// A GPT layer keeps 34 bytes x s b h with dropout (Korthikanti et al. 2022, equation 1), of which
// two masks of one byte are dropout's, and 5 a s / h belong to scores that flash attention doesn't
// keep. That leaves 32, and 4 a for its softmax statistics.
TEST(MemoryFit, AGptLayerByKorthikantiEtAl) {
  Layout l;
  l.seq_len = 128;
  l.microbatch_sequences = 2;
  const double tokens = 256, h = 64, a = 4;
  const double head = 2 * 2 * h;  // in bf16: input of the last norm, of the head
  const MemoryNeed need = memory_need(gpt(1, 64, 4, 1000), l, kMegatron);
  EXPECT_DOUBLE_EQ(need.activations, tokens * (32 * h + 4 * a + head));
  EXPECT_DOUBLE_EQ(need.logits, tokens * 1000 * 6);

  // The same paper, equations 2 and 4: tensor parallelism alone leaves 10 s b h (8 without masks)
  // undivided, sequence parallelism nothing.
  l.tp = 4;
  EXPECT_DOUBLE_EQ(memory_need(gpt(1, 64, 4, 1000), l, kMegatron).activations,
                   tokens * (8 * h + 24 * h / 4 + 4 * a / 4 + head));
  l.sp = true;
  EXPECT_DOUBLE_EQ(memory_need(gpt(1, 64, 4, 1000), l, kMegatron).activations,
                   tokens * (32 * h + 4 * a + head) / 4);
  EXPECT_DOUBLE_EQ(memory_need(gpt(1, 64, 4, 1000), l, kMegatron).logits, tokens * 250 * 6);
}

// GPT-3 with tp 8, pp 8: the first rank holds 12 layers of 8 micro-batches, as much as all 96
// layers of one; interleaved 3 times, 1 + 7/24 times as much (section 4.2.3).
TEST(MemoryFit, Gpt3OnAPipelineByKorthikantiEtAl) {
  const Model m = gpt(96, 12288, 96, 51200);
  Layout l;
  l.gpus = 64;
  l.tp = l.pp = 8;
  l.sp = true;
  l.microbatches = 64;
  l.seq_len = 2048;
  const double sbh = 2048.0 * 12288;
  const double one_each = 96 * (32 * sbh + 4 * 2048 * 96) / 8;
  EXPECT_DOUBLE_EQ(memory_need(m, l, kMegatron).activations, one_each);
  EXPECT_LT(std::abs(one_each / (96 * 34 * sbh / 8) - 1), 0.06);
  l.schedule = Schedule::interleaved;
  l.vpp = 3;
  EXPECT_NEAR(memory_need(m, l, kMegatron).activations, one_each * (1 + 7.0 / 24), 1);
  l.microbatches = 8;  // fewer than warm-up has room for
  EXPECT_NEAR(memory_need(m, l, kMegatron).activations, one_each, 1);
  l.microbatches = 64;
  l.recompute = Recompute::full;  // 2 s b h a layer, and one layer in full
  EXPECT_NEAR(memory_need(m, l, kMegatron).activations,
              96 * 2 * sbh / 8 * (1 + 7.0 / 24) + (30 * sbh + 4 * 2048 * 96) / 8, 1);
}

TEST(MemoryFit, WeightsAndStatesByHand) {
  // 2 layers: attention 4 x 64^2, FFN 8 x 64^2, norms 2 x 64; one tied table; the last norm.
  const Model m = gpt(2, 64, 4, 1000);
  const double weights = 2 * (12.0 * 64 * 64 + 2 * 64) + 1000 * 64 + 64;
  EXPECT_DOUBLE_EQ(parameters(m), weights);
  Layout l;
  l.gpus = l.dp = 4;
  MemoryNeed need = memory_need(m, l, kMegatron);
  EXPECT_DOUBLE_EQ(need.weights, 2 * weights);
  EXPECT_DOUBLE_EQ(need.gradients, 4 * weights);
  EXPECT_DOUBLE_EQ(need.optimizer, 12 * weights);
  EXPECT_DOUBLE_EQ(need.buffers, least_buffers(true));
  l.zero = 1;
  EXPECT_DOUBLE_EQ(memory_need(m, l, kMegatron).optimizer, 3 * weights);
  EXPECT_DOUBLE_EQ(memory_need(m, l, kMegatron).gradients, 4 * weights);
  EXPECT_DOUBLE_EQ(memory_need(m, l, {"bf16", TrainingStack::deepseek}).optimizer, 2 * weights);
  EXPECT_DOUBLE_EQ(memory_need(m, l, {"fp32", TrainingStack::megatron}).weights, 4 * weights);
  EXPECT_DOUBLE_EQ(memory_need(m, l, {"fp32", TrainingStack::megatron}).optimizer, 2 * weights);
  EXPECT_DOUBLE_EQ(memory_need(m, l, kFsdp).weights, 6 * weights);  // fp32, and bf16 for matrices
  l.zero = 2;
  EXPECT_DOUBLE_EQ(memory_need(m, l, kMegatron).gradients, weights);
  l.zero = 3;
  need = memory_need(m, l, kFsdp);
  EXPECT_DOUBLE_EQ(need.weights, weights);
  EXPECT_DOUBLE_EQ(need.gradients, weights);
  EXPECT_DOUBLE_EQ(need.optimizer, 2 * weights);
  // In bf16: both layers, gradients of one, the table and its gradients.
  const double layer = 12.0 * 64 * 64 + 2 * 64;
  EXPECT_DOUBLE_EQ(need.buffers, least_buffers(true) + 2 * (3 * layer + 2 * 64000));
  // Context parallelism copies weights as data parallelism does.
  l.cp = l.dp = 2;
  EXPECT_DOUBLE_EQ(memory_need(m, l, kFsdp).optimizer, 2 * weights);
}

TEST(MemoryFit, WholeModelsHaveTheirParameters) {
  for (const Model& m : {gpt(96, 12288, 96, 51200), llama(126, 16384, 128, 53248), tiny_moe()}) {
    EXPECT_DOUBLE_EQ(memory_need(m, Layout{}, kMegatron).weights, 2 * parameters(m)) << m.id;
  }
  Model m = published("deepseek-v3");
  m.mtp_depth = 0;
  // step.hpp leaves the norms of latents out.
  EXPECT_DOUBLE_EQ(memory_need(m, Layout{}, kMegatron).weights,
                   2 * (parameters(m) + 61 * (1536 + 512)));
}

TEST(MemoryFit, ExpertsByHand) {
  const Model m = tiny_moe();
  const double attention = 8 * (2 * 8 + 2 * 4) + 2 * 8;
  const double shared = 2 * attention + 3 * 8 * 10 + 8 * 4 + 3 * 8 * 6 + 2 * 800 + 8;
  const double experts = 4 * 3 * 8 * 6;
  Layout l;
  l.seq_len = 16;
  MemoryNeed need = memory_need(m, l, kMegatron);
  EXPECT_DOUBLE_EQ(need.weights, 2 * (shared + experts));
  // Norm and its result, q k v, result, statistics, second norm's input; then dense: its result,
  // gate, up and product; or router's input and scores, two dispatched copies, and three experts.
  const double dense = 16 + 16 + 32 + 16 + 8 + 16 + 16 + 60;
  const double moe = 16 + 16 + 32 + 16 + 8 + 16 + 16 + 32 + 32 + 3 * 36;
  EXPECT_DOUBLE_EQ(need.activations, 16 * (dense + moe + 32));
  l.recompute =
      Recompute::selective;  // norms' results, products, statistics; of one layer they come back
  const double redone_dense = 16 + 8 + 16 + 20, redone_moe = 16 + 8 + 16 + 3 * 12;
  EXPECT_DOUBLE_EQ(memory_need(m, l, kMegatron).activations,
                   16 * (dense - redone_dense + moe - redone_moe + 32 + redone_moe));

  // Two experts a GPU, and nobody else has them: their states aren't divided.
  l.recompute = Recompute::none;
  l.gpus = l.dp = l.ep = 2;
  l.zero = 1;
  need = memory_need(m, l, kMegatron);
  EXPECT_DOUBLE_EQ(need.weights, 2 * (shared + experts / 2));
  EXPECT_DOUBLE_EQ(need.optimizer, 12 * (shared / 2 + experts / 2));
  EXPECT_DOUBLE_EQ(need.activations, 16 * (dense + moe + 32));  // others' tokens for these
  EXPECT_DOUBLE_EQ(need.buffers, least_buffers(true) + 2 * 16 * 2 * 2 * 8);
  l.gpus = l.dp = 8;
  EXPECT_DOUBLE_EQ(memory_need(m, l, kMegatron).optimizer, 12 * (shared / 8 + experts / 2 / 4));
  l.gpus = l.dp = 2;
  l.ep = 1;
  l.etp = 2;  // half of every expert
  EXPECT_DOUBLE_EQ(memory_need(m, l, kMegatron).weights, 2 * (shared + experts / 2));
}

// DeepSeek-V3 report, table 2: DualPipe holds 2 x the parameters and pp + 1 micro-batches.
TEST(MemoryFit, DualPipeHoldsTwoStages) {
  Model m = gpt(4, 64, 4, 100);
  m.tied_embeddings = false;
  Layout l;
  l.gpus = l.pp = 4;
  l.microbatches = 16;
  l.seq_len = 32;
  l.schedule = Schedule::one_f_one_b;
  const double layer = 12.0 * 64 * 64 + 2 * 64, kept = 32 * (32.0 * 64 + 16);
  MemoryNeed need = memory_need(m, l, kMegatron);
  EXPECT_DOUBLE_EQ(need.weights, 2 * (layer + 6400));  // the first rank
  EXPECT_DOUBLE_EQ(need.activations, 4 * kept);
  l.schedule = Schedule::dualpipe;
  need = memory_need(m, l, kMegatron);
  EXPECT_DOUBLE_EQ(need.weights, 2 * (2 * layer + 2 * 6400 + 64));  // both ends
  EXPECT_DOUBLE_EQ(need.activations, 5 * kept + 32 * 4 * 64);
  EXPECT_DOUBLE_EQ(need.logits, 32 * 100 * 6);
}

TEST(MemoryFit, MtpHasALayerLogitsAndAnEmbedding) {
  Model m = gpt(4, 64, 4, 10);
  m.tied_embeddings = false;
  m.mtp_depth = 1;
  const double layer = 12.0 * 64 * 64 + 2 * 64;
  Layout l;
  l.seq_len = 32;
  MemoryNeed need = memory_need(m, l, kMegatron);
  EXPECT_DOUBLE_EQ(need.weights, 2 * (5 * layer + 2 * 640 + 64 + 2 * 64 * 64 + 2 * 64));
  EXPECT_DOUBLE_EQ(need.logits, 2 * 32 * 10 * 6);
  l.gpus = l.pp = 2;
  l.recompute = Recompute::full;  // so that weights decide which rank is fullest: the last
  need = memory_need(m, l, kMegatron);
  EXPECT_DOUBLE_EQ(need.weights, 2 * (3 * layer + 2 * 640 + 64 + 2 * 64 * 64 + 2 * 64));
}
TEST(MemoryFit, RefusalIsOneLine) {
  const MemoryNeed need{.weights = 10.12e9,
                        .gradients = 20e9,
                        .optimizer = 1e9,
                        .activations = 61.2e9,
                        .logits = 0.5e9,
                        .buffers = 2e9};
  EXPECT_DOUBLE_EQ(need.total(), 94.82e9);
  EXPECT_STREQ(need.largest(), "activations");
  EXPECT_FALSE(fits(need, 80e9));
  EXPECT_TRUE(fits(need, 97e9));
  EXPECT_FALSE(fits(need, 95e9));  // fragmentation
  EXPECT_EQ(refusal(need, 80e9),
            "needs 96.8 GB of 80.0 GB, 2 % of it for fragmentation; the largest part is "
            "activations (61.2 GB): weights 10.1, gradients 20.0, optimizer 1.0, activations 61.2, "
            "logits 0.5, buffers 2.0");
  EXPECT_FALSE(fits(need, std::nan("")));
}

TEST(MemoryFit, RefusesWhatItDoesNotKnow) {
  const Model m = gpt(2, 64, 4, 1000);
  EXPECT_THROW(memory_need(m, Layout{}, {.precision = "int4"}), BadInput);
  Layout l;
  l.dp = 0;
  EXPECT_THROW(memory_need(m, l, kMegatron), BadInput);
}

namespace {

struct Random {
  std::mt19937_64 engine{20261124};
  std::int64_t of(std::vector<std::int64_t> values) { return values[engine() % values.size()]; }
};

Model random_model(Random& r) {
  if (r.of({0, 1, 2, 3}) == 0) {
    Model m = published("deepseek-v3");
    m.mtp_depth = r.of({0, 1, 2});
    m.layers = r.of({4, 31, 61});
    return m;
  }
  Model m = r.of({0, 1}) == 0 ? gpt(r.of({1, 2, 24}), r.of({512, 4096}), 32, 50304)
                              : llama(r.of({1, 5, 32}), r.of({1024, 8192}), 64, 14336);
  m.tied_embeddings = r.of({0, 1}) == 0;
  if (r.of({0, 1, 2}) == 0) {
    m.moe = Moe{r.of({8, 64}), r.of({1, 2, 8}), r.of({0, 1}), r.of({256, 2048}), r.of({0, 1}), {}};
  }
  return m;
}

Layout random_layout(Random& r, const Model& m) {
  Layout l;
  l.tp = r.of({1, 2, 4, 8});
  l.pp = std::min(r.of({1, 2, 4, 8}), m.layers);
  if (l.pp % 2 != 0) l.pp = 1;
  l.cp = r.of({1, 2});
  l.dp = r.of({1, 2, 16, 128});
  l.gpus = l.tp * l.pp * l.cp * l.dp;
  if (m.moe) {
    l.ep = std::min(r.of({1, 2, 8}), l.dp * l.cp * l.tp);
    l.etp = l.dp * l.cp * l.tp % (2 * l.ep) == 0 ? r.of({1, 2}) : 1;
  }
  l.zero = static_cast<int>(r.of({0, 1, 2, 3}));
  l.sp = r.of({0, 1}) == 0;
  l.microbatch_sequences = r.of({1, 2, 8});
  l.microbatches = l.pp * r.of({2, 4});
  l.seq_len = r.of({1024, 8192});
  l.recompute = static_cast<Recompute>(r.engine() % 3);
  if (l.pp > 1) {
    l.schedule = static_cast<Schedule>(r.engine() % 4);
    if (l.schedule == Schedule::interleaved) l.vpp = r.of({2, 4});
  }
  return l;
}

}  // namespace

TEST(MemoryFit, PropertiesOfRandomLayouts) {
  Random r;
  for (int i = 0; i < 5000; ++i) {
    const Model m = random_model(r);
    const Layout l = random_layout(r, m);
    const MemoryOptions options{
        std::vector<std::string>{"bf16", "fp8", "fp16", "fp32"}[r.engine() % 4],
        static_cast<TrainingStack>(r.engine() % 4)};
    const MemoryNeed need = memory_need(m, l, options);
    const auto with = [&](auto change) {
      Layout other = l;
      change(other);
      return memory_need(m, other, options).total();
    };
    SCOPED_TRACE(fmt::format("{} {} {} {} case {}", to_string(l.schedule), to_string(l.recompute),
                             options.precision, to_string(options.stack), i));
    for (const double part : {need.weights, need.gradients, need.optimizer, need.activations,
                              need.logits, need.buffers}) {
      ASSERT_TRUE(std::isfinite(part) && part >= 0);
    }
    const double slack = 1 + 1e-12;
    if (l.gpus > 1) {  // with one GPU there is no NCCL
      ASSERT_LE(with([](Layout& o) { o.tp *= 2, o.gpus *= 2; }), need.total() * slack);
    }
    const double none = with([](Layout& o) { o.recompute = Recompute::none; });
    const double selective = with([](Layout& o) { o.recompute = Recompute::selective; });
    const double full = with([](Layout& o) { o.recompute = Recompute::full; });
    ASSERT_LE(full, selective * slack);
    ASSERT_LE(selective, none * slack);
    const double replicated = with([](Layout& o) { o.zero = 0; });
    ASSERT_LE(with([](Layout& o) { o.zero = 1; }), replicated * slack);
    ASSERT_LE(with([](Layout& o) { o.zero = 3; }), replicated * slack);
    ASSERT_GT(with([](Layout& o) { o.microbatch_sequences *= 2; }), need.total());
    ASSERT_GE(with([](Layout& o) { o.microbatches *= 2; }) * slack, need.total());
    ASSERT_LE(with([](Layout& o) { o.sp = true; }) - need.total(),
              4.0 * static_cast<double>(l.tokens() * m.hidden));  // the gathered tokens
  }
}
