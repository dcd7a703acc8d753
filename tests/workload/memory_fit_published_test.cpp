// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Memory of published layouts that ran, and what they are known to have used.
#include "memory_fit_models.hpp"
#include "small_models.hpp"
#include <gtest/gtest.h>

#include <string>
#include <vector>

using namespace trainmeter;

namespace {

// What the driver reports of an "80 GB" H100, H800 or A100 80GB and of an "A100 40GB" (nvidia-smi).
constexpr double kMiB = 1024.0 * 1024.0;
constexpr double kCard80 = 81559 * kMiB;
constexpr double kCard40 = 40536 * kMiB;
constexpr double kGiB = 1024 * kMiB;

}  // namespace

// Korthikanti et al. 2022, table 3: four models trained with sequence parallelism and selective
// recomputation on A100 80GB, without data parallelism.
TEST(MemoryFit, KorthikantisModelsFit) {
  struct Case {
    Model model;
    std::int64_t pp, vpp, microbatch, microbatches;
  };
  for (const Case& c :
       {Case{gpt(48, 6144, 64, 51200), 1, 1, 4, 1}, Case{gpt(96, 12288, 96, 51200), 8, 3, 1, 64},
        Case{gpt(105, 20480, 128, 51200), 35, 3, 1, 280},
        Case{gpt(128, 25600, 160, 51200), 64, 1, 1, 512}}) {
    Layout l;
    l.tp = 8;
    l.sp = true;
    l.pp = c.pp;
    l.vpp = c.vpp;
    l.schedule = c.vpp > 1 ? Schedule::interleaved : Schedule::one_f_one_b;
    l.gpus = 8 * c.pp;
    l.microbatch_sequences = c.microbatch;
    l.microbatches = c.microbatches;
    l.seq_len = 2048;
    for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
      l.recompute = recompute;
      EXPECT_TRUE(fits(memory_need(c.model, l, kMegatron), 80e9))
          << refusal(memory_need(c.model, l, kMegatron), 80e9);
    }
  }
}

// The Llama 3 Herd of Models, table 4: 8,192 and 16,384 H100 80GB. Its 8K runs are said to need no
// activation checkpointing, with tensors freed early; what is freed is not printed. Norms and
// SwiGLU redone in the backward pass are enough.
TEST(MemoryFit, Llama3Fits) {
  const Model m = llama(126, 16384, 128, 53248);
  Layout l;
  l.tp = 8;
  l.pp = 16;
  l.sp = true;
  l.zero = 1;
  l.seq_len = 8192;
  l.recompute = Recompute::selective;
  for (const std::int64_t dp : {64, 128}) {
    l.dp = dp;
    l.gpus = 128 * dp;
    l.microbatches = 2048 / dp;
    l.schedule = Schedule::one_f_one_b;
    l.vpp = 1;
    EXPECT_TRUE(fits(memory_need(m, l, kMegatron), 80e9))
        << refusal(memory_need(m, l, kMegatron), 80e9);
    l.schedule = Schedule::interleaved;
    l.vpp = 8;
    EXPECT_TRUE(fits(memory_need(m, l, kMegatron), 80e9))
        << refusal(memory_need(m, l, kMegatron), 80e9);
  }
  l.tp = 1;  // which is why it isn't 1
  l.sp = false;
  EXPECT_FALSE(fits(memory_need(m, l, kMegatron), 80e9));
}

// DeepSeek-V3 report, 3.2: no tensor parallelism, thanks to what 3.2.3 and 3.3.3 save.
TEST(MemoryFit, DeepSeekV3Fits) {
  Layout l = deepseek_layout();
  l.recompute = Recompute::selective;
  const Model m = published("deepseek-v3");
  EXPECT_TRUE(fits(memory_need(m, l, kDeepSeekMemory), kCard80))
      << refusal(memory_need(m, l, kDeepSeekMemory), kCard80);
  EXPECT_FALSE(fits(memory_need(m, l, {"bf16", TrainingStack::megatron}), kCard80));
  l.recompute = Recompute::none;
  EXPECT_FALSE(fits(memory_need(m, l, kDeepSeekMemory), kCard80));
  EXPECT_STREQ(memory_need(m, l, kDeepSeekMemory).largest(), "activations");
}

// MosaicML llm-foundry, scripts/train/benchmarking/README.md (061f2c7): rows that ran, at
// micro-batches that fill the card. Where it checkpoints, that was needed.
TEST(MemoryFit, MptRowsFit) {
  struct Row {
    Model model;
    std::int64_t gpus, seq_len, microbatch;
    bool full;
    double card = kCard80;
  };
  const Model mpt1 = gpt(24, 2048, 16, 50368), mpt3 = gpt(32, 2560, 20, 50368),
              mpt7 = gpt(32, 4096, 32, 50368), mpt13 = gpt(40, 5120, 40, 50368),
              mpt30 = gpt(48, 7168, 56, 50368), mpt70 = gpt(80, 8192, 64, 50368);
  for (const Row& r :
       {Row{mpt70, 64, 2048, 8, true}, Row{mpt70, 32, 2048, 2, true}, Row{mpt30, 8, 8192, 1, true},
        Row{mpt30, 32, 2048, 14, true}, Row{mpt30, 16, 2048, 10, true},
        Row{mpt30, 8, 2048, 3, true}, Row{mpt13, 8, 4096, 10, true}, Row{mpt13, 8, 2048, 2, false},
        Row{mpt13, 8, 1024, 40, true}, Row{mpt7, 8, 8192, 8, true}, Row{mpt7, 8, 2048, 6, false},
        Row{mpt3, 16, 2048, 10, false}, Row{mpt3, 8, 8192, 3, false},
        Row{mpt1, 16, 2048, 20, false}, Row{mpt1, 64, 2048, 10, false, kCard40},
        Row{mpt3, 64, 2048, 6, false, kCard40}}) {
    Layout l;
    l.gpus = l.dp = r.gpus;
    l.zero = 3;
    l.microbatch_sequences = r.microbatch;
    l.seq_len = r.seq_len;
    l.recompute = r.full ? Recompute::full : Recompute::none;
    const MemoryNeed need = memory_need(r.model, l, kFsdp);
    EXPECT_TRUE(fits(need, r.card)) << refusal(need, r.card);
    l.recompute = Recompute::none;
    EXPECT_TRUE(!r.full || !fits(memory_need(r.model, l, kFsdp), r.card))
        << r.model.hidden << " " << r.seq_len << " x " << r.microbatch;
  }
}

TEST(MemoryFit, Mpt30bNeedsFullRecomputation) {
  Layout l;
  l.gpus = l.dp = 16;
  l.zero = 3;
  l.microbatch_sequences = 10;
  l.seq_len = 2048;
  l.recompute = Recompute::full;
  const Model m = gpt(48, 7168, 56, 50368);
  EXPECT_TRUE(fits(memory_need(m, l, kFsdp), 80e9));
  l.recompute = Recompute::none;
  EXPECT_FALSE(fits(memory_need(m, l, kFsdp), 80e9));
}

// torchtitan benchmarks/llama3_h100_202412_torchtitan.md (31a17bf), tables 1 to 3, compiled: memory
// as measured. With logits once more than is assumed, as a loss in plain PyTorch may have it, it
// agrees within 5 %; without, 68 to 86 % of what was measured are predicted. Tables 4 to 6 (tensor
// parallelism and pipelines under FSDP) are not reproduced: they used 16 to 60 % more.
TEST(MemoryFit, TorchtitansMeasuredMemory) {
  struct Row {
    std::int64_t dp, cp, seq_len, microbatch;
    Recompute recompute;
    const char* precision;
    double gib;
  };
  for (const Row& r : {Row{8, 1, 8192, 2, Recompute::selective, "bf16", 77.0},
                       Row{8, 1, 8192, 2, Recompute::selective, "fp8", 76.8},
                       Row{8, 1, 32768, 1, Recompute::full, "fp8", 83.9},
                       Row{4, 2, 65536, 1, Recompute::full, "fp8", 84.2},
                       Row{1, 8, 262144, 1, Recompute::full, "fp8", 84.5},
                       Row{128, 1, 8192, 2, Recompute::selective, "bf16", 62.0},
                       Row{128, 1, 8192, 2, Recompute::selective, "fp8", 61.8}}) {
    Layout l;
    l.dp = r.dp;
    l.cp = r.cp;
    l.gpus = r.dp * r.cp;
    l.zero = 3;
    l.seq_len = r.seq_len;
    l.microbatch_sequences = r.microbatch;
    l.recompute = r.recompute;
    const MemoryNeed need =
        memory_need(llama(32, 4096, 32, 14336), l, {r.precision, TrainingStack::fsdp});
    const double relative = (need.total() + need.logits) / (r.gib * kGiB) - 1;
    EXPECT_LT(std::abs(relative), 0.05) << r.dp << " " << r.seq_len << ": " << relative;
  }
}
