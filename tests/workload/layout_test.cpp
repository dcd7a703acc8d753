// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Parallel layouts: every one that can't be is refused with file and key, what a file leaves open
// is listed, and layers go to stages as they should.
#include "workload/layout.hpp"

#include "record/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <string>
#include <vector>

using namespace trainmeter;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

Model dense() {
  Model m;
  m.id = "dense";
  m.layers = 24;
  m.hidden = 1024;
  m.heads = 16;
  m.kv_heads = 8;
  m.head_dim = 64;
  m.attention = AttentionKind::gqa;
  m.ffn = 4096;
  m.vocab = 32000;
  return m;
}

Model with_experts() {
  Model m = dense();
  m.moe = Moe{.experts = 12,
              .experts_per_token = 2,
              .shared_experts = 1,
              .expert_ffn = 512,
              .dense_layers = 1,
              .group_limit = {}};
  return m;
}

trainmeter::Run run_of(const Parallel& parallel, std::int64_t gpus = 64) {
  trainmeter::Run run;
  run.place.file = "r.json";
  run.id = "r";
  run.model = dense();
  run.gpus = gpus;
  run.seq_len = 4096;
  run.global_batch_sequences = 512;
  run.parallel = parallel;
  return run;
}

std::string refusal(const trainmeter::Run& run) {
  try {
    (void)layouts(run);
  } catch (const BadInput& error) {
    return error.what();
  }
  return "nothing was refused";
}

// The one layout of a run that leaves nothing open.
Layout only(const trainmeter::Run& run) {
  const std::vector<Choice> all = layouts(run);
  EXPECT_EQ(all.size(), 1U);
  return all.front().layout;
}

// Nothing open but what the test is about.
Parallel printed() {
  Parallel p;
  p.microbatch_sequences = 1;
  p.recompute = "none";
  p.overlap.emplace();
  return p;
}

// The values that a field takes over all choices, in their order.
template <class T>
std::vector<T> values(const trainmeter::Run& run, T Layout::*field) {
  std::vector<T> out;
  for (const Choice& c : layouts(run)) {
    if (std::ranges::find(out, c.layout.*field) == out.end()) out.push_back(c.layout.*field);
  }
  return out;
}

}  // namespace

TEST(LayoutRefusal, WithoutModelLengthOrBatch) {
  trainmeter::Run run = run_of({});
  run.model.reset();
  EXPECT_EQ(refusal(run), "r.json: model: missing; a prediction needs it");
  run = run_of({});
  run.seq_len.reset();
  EXPECT_EQ(refusal(run), "r.json: seq_len: missing; a prediction needs it");
  run = run_of({});
  run.global_batch_sequences.reset();
  EXPECT_EQ(refusal(run), "r.json: global_batch_sequences: missing; a prediction needs it");
}

TEST(LayoutRefusal, NamesTheRunWhereThereIsNoFile) {
  trainmeter::Run run = run_of({.tp = 3});
  run.place.file.clear();
  EXPECT_EQ(refusal(run), "run r: gpus: expected a multiple of tp x pp x cp = 3, found 64");
}

TEST(LayoutRefusal, GpusThatNoReplicaFills) {
  EXPECT_EQ(refusal(run_of({.tp = 4, .pp = 3, .cp = 2})),
            "r.json: gpus: expected a multiple of tp x pp x cp = 24, found 64");
  EXPECT_EQ(refusal(run_of({.tp = 16}, 8)),
            "r.json: gpus: expected a multiple of tp x pp x cp = 16, found 8");
}

TEST(LayoutRefusal, ADpThatContradictsTheGpus) {
  EXPECT_EQ(refusal(run_of({.tp = 4, .pp = 2, .dp = 4})),
            "r.json: parallel.dp: expected tp x pp x cp x dp = 64 GPUs, found 4");
  EXPECT_EQ(refusal(run_of({.tp = 4, .pp = 2, .dp = 8})), "nothing was refused");
}

TEST(LayoutRefusal, TensorParallelismThatDividesNoMatrix) {
  EXPECT_EQ(refusal(run_of({.tp = 32})),
            "r.json: parallel.tp: expected a divisor of 16 heads, found 32");
  trainmeter::Run run = run_of({.tp = 8});
  run.model->ffn = 4100;
  EXPECT_EQ(refusal(run), "r.json: parallel.tp: expected a divisor of ffn 4100, found 8");
  run = run_of({.tp = 4});
  run.model->heads = 12;
  run.model->kv_heads = 6;
  EXPECT_EQ(refusal(run),
            "r.json: parallel.tp: expected a divisor or a multiple of 6 key and value heads, "
            "found 4");
  run.model->kv_heads = 2;  // each held by two ranks
  EXPECT_EQ(refusal(run), "nothing was refused");
}

TEST(LayoutRefusal, TensorParallelismThatDividesNoMtpProjection) {
  trainmeter::Run run = run_of({.tp = 8});
  run.model->hidden = 1020;
  EXPECT_EQ(refusal(run), "nothing was refused");
  run.model->mtp_depth = 1;
  EXPECT_EQ(refusal(run), "r.json: parallel.tp: expected a divisor of hidden 1020, found 8");
}

TEST(LayoutRefusal, TensorParallelismThatDividesNoExpertsTokens) {
  trainmeter::Run run = run_of({.tp = 8});
  run.model = with_experts();
  run.model->moe->expert_ffn = 500;
  EXPECT_EQ(refusal(run),
            "r.json: parallel.tp: expected a divisor of the shared experts' width 500, found 8");
  run.model->moe->shared_experts = 0;
  EXPECT_EQ(refusal(run), "nothing was refused");
  run.seq_len = 1004;
  EXPECT_EQ(refusal(run),
            "r.json: parallel.tp: expected tp x cp that divides seq_len 1004, found 8");
}

TEST(LayoutRefusal, ContextParallelismThatDividesNoSequence) {
  trainmeter::Run run = run_of({.cp = 4});
  run.seq_len = 4100;  // cp divides it, but not 2 cp: every rank has an early and a late piece
  EXPECT_EQ(refusal(run), "r.json: parallel.cp: expected 2 cp that divides seq_len 4100, found 4");
  run.parallel->cp = 1;
  run.seq_len = 4097;
  EXPECT_EQ(refusal(run), "nothing was refused");
}

TEST(LayoutRefusal, ExpertParallelismWithoutExperts) {
  EXPECT_EQ(refusal(run_of({.ep = 8})),
            "r.json: parallel.ep: expected 1 for a model without experts, found 8");
  EXPECT_EQ(refusal(run_of({.etp = 2})),
            "r.json: parallel.etp: expected 1 for a model without experts, found 2");
}

TEST(LayoutRefusal, ExpertParallelismThatDoesNotDivide) {
  trainmeter::Run run = run_of({.ep = 8});
  run.model = with_experts();
  EXPECT_EQ(refusal(run), "r.json: parallel.ep: expected a divisor of 12 experts, found 8");
  run.parallel = Parallel{.pp = 2, .ep = 12};
  EXPECT_EQ(refusal(run),
            "r.json: parallel.ep: expected ep x etp that divides dp x cp x tp = 32, found 12");
  run.parallel = Parallel{.pp = 16, .ep = 4, .etp = 2};
  EXPECT_EQ(refusal(run),
            "r.json: parallel.ep: expected ep x etp that divides dp x cp x tp = 4, found 8");
  run.parallel = Parallel{.tp = 2, .pp = 8, .ep = 4, .etp = 2};
  EXPECT_EQ(refusal(run), "nothing was refused");
}

TEST(LayoutRefusal, ABatchThatReplicasCannotShare) {
  trainmeter::Run run = run_of({.tp = 2});
  run.global_batch_sequences = 500;
  EXPECT_EQ(refusal(run),
            "r.json: global_batch_sequences: expected a multiple of dp = 32, found 500");
  run.global_batch_sequences = 16;
  EXPECT_EQ(refusal(run),
            "r.json: global_batch_sequences: expected a multiple of dp = 32, found 16");
}

TEST(LayoutRefusal, AMicroBatchThatDividesNoShare) {
  Parallel p{.tp = 2};
  p.microbatch_sequences = 3;
  EXPECT_EQ(refusal(run_of(p)),
            "r.json: parallel.microbatch_sequences: expected a divisor of the 16 sequences of a "
            "replica, found 3");
  p.microbatch_sequences = 32;
  EXPECT_THAT(refusal(run_of(p)), HasSubstr("of a replica, found 32"));
}

TEST(LayoutRefusal, MoreMicroBatchesThanAPipelineHolds) {
  Parallel p = printed();
  p.pp = 2;
  p.schedule = "1f1b";
  trainmeter::Run run = run_of(p);
  run.global_batch_sequences = run.gpus / 2 * 3'000'000;
  EXPECT_THAT(refusal(run), HasSubstr("r.json: global_batch_sequences: expected at most 4000000 "
                                      "micro-batches of a replica x pipeline stages, found "
                                      "3000000 x 2"));
}

TEST(LayoutRefusal, MoreStagesThanLayers) {
  EXPECT_EQ(refusal(run_of({.pp = 32})),
            "r.json: parallel.pp: expected at most 24 layers, found 32");
  Parallel p{.pp = 8};
  p.vpp = 4;
  EXPECT_EQ(refusal(run_of(p)),
            "r.json: parallel.vpp: expected pp x vpp of at most 26 for 24 layers, found 32");
  p.vpp = 3;
  EXPECT_EQ(refusal(run_of(p)), "nothing was refused");
}

TEST(LayoutRefusal, EndsWithoutLayersAreLegal) {  // Llama 3 405B: 126 layers on 16 x 8 stages
  Parallel p{.pp = 2};
  p.vpp = 13;
  EXPECT_EQ(refusal(run_of(p)), "nothing was refused");
}

TEST(LayoutRefusal, DualPipeOnOddRanksOrWithTooFewMicroBatches) {
  Parallel p{.pp = 3};
  p.schedule = "dualpipe";
  trainmeter::Run run = run_of(p, 48);
  EXPECT_EQ(refusal(run), "r.json: parallel.pp: expected an even number for dualpipe, found 3");

  run.parallel->pp = 8;
  run.gpus = 64;  // 64 sequences a replica
  run.parallel->microbatch_sequences = 8;
  EXPECT_EQ(refusal(run),
            "r.json: parallel.microbatch_sequences: expected an even number of at least 2 pp "
            "micro-batches for dualpipe, found 8");
  run.parallel->microbatch_sequences = 4;
  EXPECT_EQ(refusal(run), "nothing was refused");

  run.parallel->microbatch_sequences.reset();
  run.global_batch_sequences = 17 * 8;
  EXPECT_EQ(refusal(run),
            "r.json: global_batch_sequences: expected an even number of at least 2 pp "
            "micro-batches for dualpipe, found 17");
  run.global_batch_sequences = 8 * 8;
  EXPECT_THAT(refusal(run), HasSubstr("micro-batches for dualpipe, found 8"));
}

TEST(LayoutChoices, NothingIsLeftOpenWhereAllIsPrinted) {
  Parallel p{.tp = 2, .pp = 4, .cp = 2, .dp = 4};
  p.vpp = 3;
  p.schedule = "interleaved";
  p.microbatch_sequences = 2;
  p.sp = false;
  p.zero = 0;
  p.recompute = "selective";
  p.overlap = {"dp", "tp"};
  const std::vector<Choice> all = layouts(run_of(p));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_THAT(all[0].notes, IsEmpty());
  const Layout& l = all[0].layout;
  EXPECT_EQ(l.gpus, 64);
  EXPECT_EQ(l.tp, 2);
  EXPECT_EQ(l.pp, 4);
  EXPECT_EQ(l.cp, 2);
  EXPECT_EQ(l.dp, 4);
  EXPECT_EQ(l.vpp, 3);
  EXPECT_EQ(l.schedule, "interleaved");
  EXPECT_EQ(l.microbatch_sequences, 2);
  EXPECT_EQ(l.microbatches, 64);  // 512 sequences / 4 replicas / 2
  EXPECT_EQ(l.tokens(), 4096);    // 2 x 4096 / 2
  EXPECT_EQ(l.zero, 0);
  EXPECT_FALSE(l.sp);
  EXPECT_EQ(l.recompute, "selective");
  EXPECT_TRUE(l.overlap_tp);
  EXPECT_TRUE(l.overlap_dp);
  EXPECT_FALSE(l.overlap_pp);
  EXPECT_FALSE(l.overlap_ep);
}

TEST(LayoutChoices, WithoutALayoutEveryGpuIsAReplica) {
  trainmeter::Run run = run_of({});
  run.parallel.reset();
  for (const Choice& c : layouts(run)) {
    EXPECT_EQ(c.layout.dp, 64);
    EXPECT_EQ(c.layout.tp * c.layout.pp * c.layout.cp, 1);
    EXPECT_EQ(c.layout.schedule, "1f1b");
  }
}

TEST(LayoutChoices, MicroBatchesThatDivideAShareAndStayBelow64KiTokens) {
  Parallel p = printed();
  p.microbatch_sequences.reset();
  trainmeter::Run run = run_of(p);
  run.global_batch_sequences = 64 * 16;
  EXPECT_THAT(values(run, &Layout::microbatch_sequences), ElementsAre(1, 2, 4, 8));
  EXPECT_THAT(values(run, &Layout::microbatches), ElementsAre(16, 8, 4, 2));
  run.seq_len = 32768;
  EXPECT_THAT(values(run, &Layout::microbatch_sequences), ElementsAre(1, 2));
  run.seq_len = 131072;  // one is always possible
  EXPECT_THAT(values(run, &Layout::microbatch_sequences), ElementsAre(1));
  run.seq_len = 4096;
  run.global_batch_sequences = 64 * 6;
  EXPECT_THAT(values(run, &Layout::microbatch_sequences), ElementsAre(1, 2));
  EXPECT_THAT(layouts(run)[1].notes, ElementsAre("micro-batch isn't printed: 2 assumed"));
}

TEST(LayoutChoices, FsdpTakesItsWholeShareAtOnce) {
  Parallel p = printed();
  p.microbatch_sequences.reset();
  trainmeter::Run run = run_of(p);
  run.stack = "fsdp";
  run.global_batch_sequences = 64 * 12;
  EXPECT_THAT(values(run, &Layout::microbatch_sequences), ElementsAre(12));
  run.global_batch_sequences = 64 * 24;  // more than 64 Ki tokens
  EXPECT_THAT(values(run, &Layout::microbatch_sequences), ElementsAre(1, 2, 4, 8));
  run.parallel->pp = 4;  // a pipeline needs several
  run.global_batch_sequences = 16 * 12;
  EXPECT_THAT(values(run, &Layout::microbatch_sequences), ElementsAre(1, 2, 4));
}

TEST(LayoutChoices, AnUnprintedScheduleIsPlainOrInterleaved) {
  Parallel p = printed();
  p.pp = 4;
  const trainmeter::Run run = run_of(p);
  EXPECT_THAT(values(run, &Layout::schedule), ElementsAre("1f1b", "interleaved"));
  EXPECT_THAT(values(run, &Layout::vpp), ElementsAre(1, 2, 4, 6));  // 24 layers: 6 at most
  const std::vector<Choice> all = layouts(run);
  EXPECT_THAT(all[0].notes, ElementsAre("pipeline schedule isn't printed: 1f1b assumed"));
  EXPECT_THAT(all[1].notes,
              ElementsAre("pipeline schedule isn't printed: interleaved with 2 virtual stages "
                          "assumed"));
}

TEST(LayoutChoices, InterleavingNeedsGroupsOfMicroBatches) {
  Parallel p = printed();
  p.pp = 4;
  trainmeter::Run run = run_of(p);
  run.global_batch_sequences = 16 * 6;  // 6 of a replica, in groups of 4
  EXPECT_THAT(values(run, &Layout::schedule), ElementsAre("1f1b"));
  run.parallel->vpp = 3;  // but who prints it did it
  EXPECT_THAT(values(run, &Layout::schedule), ElementsAre("interleaved"));
  EXPECT_THAT(values(run, &Layout::vpp), ElementsAre(3));
}

// A printed schedule rules out micro-batches that it can't run.
TEST(LayoutChoices, APrintedScheduleIsKept) {
  Parallel p = printed();
  p.pp = 16;
  p.schedule = "dualpipe";
  p.microbatch_sequences.reset();
  trainmeter::Run run = run_of(p);
  run.global_batch_sequences = 4 * 120;
  EXPECT_THAT(values(run, &Layout::schedule), ElementsAre("dualpipe"));
  EXPECT_THAT(values(run, &Layout::microbatches), ElementsAre(120, 60));  // not 30 or 15

  run.parallel->schedule = "interleaved";
  run.parallel->pp = 8;
  run.global_batch_sequences = 8 * 48;
  EXPECT_THAT(values(run, &Layout::schedule), ElementsAre("interleaved"));
  EXPECT_THAT(values(run, &Layout::microbatches), ElementsAre(48, 24));  // not 12 or 6
  EXPECT_THAT(values(run, &Layout::vpp), ElementsAre(2, 3));
  run.parallel->vpp = 3;
  EXPECT_THAT(values(run, &Layout::microbatches), ElementsAre(48, 24));

  for (const char* schedule : {"1f1b", "zb"}) {
    run.parallel->vpp.reset();
    run.parallel->schedule = schedule;
    EXPECT_THAT(values(run, &Layout::schedule), ElementsAre(schedule));
    EXPECT_THAT(values(run, &Layout::microbatches), ElementsAre(48, 24, 12, 6));
  }
}

TEST(LayoutChoices, DeepSeeksStackHasDualPipe) {
  Parallel p = printed();
  p.pp = 4;
  trainmeter::Run run = run_of(p);
  run.stack = "deepseek";
  EXPECT_EQ(only(run).schedule, "dualpipe");
  run.parallel->schedule = "1f1b";
  EXPECT_EQ(only(run).schedule, "1f1b");
  run.parallel = printed();  // no pipeline, no schedule
  EXPECT_EQ(only(run).schedule, "1f1b");
}

TEST(LayoutChoices, RecomputationFromTheLeastToTheMost) {
  Parallel p = printed();
  p.recompute.reset();
  EXPECT_THAT(values(run_of(p), &Layout::recompute), ElementsAre("none", "selective", "full"));
  EXPECT_THAT(layouts(run_of(p))[1].notes,
              ElementsAre("recomputation isn't printed: selective assumed"));
}

TEST(LayoutChoices, OverlapByStack) {
  Parallel p = printed();
  p.tp = 2;
  p.overlap.reset();
  trainmeter::Run run = run_of(p);
  const std::vector<Choice> all = layouts(run);
  ASSERT_EQ(all.size(), 2U);  // what is open is the tensor-parallel traffic
  EXPECT_TRUE(all[0].layout.overlap_tp);
  EXPECT_FALSE(all[1].layout.overlap_tp);
  EXPECT_THAT(all[0].notes,
              ElementsAre("overlap of tensor-parallel traffic isn't printed: on assumed"));
  EXPECT_THAT(all[1].notes,
              ElementsAre("overlap of tensor-parallel traffic isn't printed: off assumed"));
  for (const Choice& c : all) {
    EXPECT_TRUE(c.layout.overlap_dp && c.layout.overlap_pp);
    EXPECT_FALSE(c.layout.overlap_ep);
  }
  run.parallel->tp = 1;
  EXPECT_THAT(layouts(run).front().notes, IsEmpty());
  EXPECT_EQ(layouts(run).size(), 1U);
  run.stack = "deepseek";
  EXPECT_TRUE(only(run).overlap_ep);
}

TEST(LayoutChoices, DefaultsByStack) {
  trainmeter::Run run = run_of(printed());
  EXPECT_EQ(only(run).zero, 1);
  EXPECT_FALSE(only(run).sp);
  run.parallel->tp = 2;
  EXPECT_TRUE(only(run).sp);
  for (const char* stack : {"megatron", "deepseek", "other"}) {
    run.stack = stack;
    EXPECT_EQ(only(run).zero, 1) << stack;
  }
  run.stack = "fsdp";
  EXPECT_EQ(only(run).zero, 3);
  run.parallel->zero = 2;
  EXPECT_EQ(only(run).zero, 2);
}

TEST(LayoutChoices, DifferAndAllFitTheRun) {
  Parallel p{.tp = 4, .pp = 4};
  const trainmeter::Run run = run_of(p);
  std::set<std::vector<std::string>> seen;
  for (const Choice& c : layouts(run)) {
    const Layout& l = c.layout;
    EXPECT_EQ(l.tp * l.pp * l.cp * l.dp, run.gpus);
    EXPECT_EQ(l.microbatches * l.microbatch_sequences * l.dp, *run.global_batch_sequences);
    EXPECT_GT(c.weight, 0);
    EXPECT_TRUE(seen.insert(c.notes).second) << "two choices with the same notes";
  }
}

TEST(LayersOfStages, AsEvenAsTheyGo) {
  Layout l;
  l.pp = 4;
  EXPECT_THAT(layers_of_stages(24, l), ElementsAre(6, 6, 6, 6));
  EXPECT_THAT(layers_of_stages(25, l), ElementsAre(7, 7, 7, 4));
  EXPECT_THAT(layers_of_stages(26, l), ElementsAre(7, 7, 7, 5));
  EXPECT_THAT(layers_of_stages(27, l), ElementsAre(7, 7, 7, 6));
  l.vpp = 2;  // says nothing where the schedule isn't interleaved
  EXPECT_EQ(layers_of_stages(24, l).size(), 4U);
  l.schedule = "interleaved";
  EXPECT_THAT(layers_of_stages(24, l), ElementsAre(3, 3, 3, 3, 3, 3, 3, 3));
  l.vpp = 1;
  l.pp = 1;
  EXPECT_THAT(layers_of_stages(24, l), ElementsAre(24));
}

TEST(LayersOfStages, EndsGiveWayToEmbeddingAndHead) {  // Llama 3 405B
  Layout l;
  l.pp = 16;
  l.vpp = 8;
  l.schedule = "interleaved";
  const std::vector<std::int64_t> layers = layers_of_stages(126, l);
  EXPECT_EQ(layers.size(), 128U);
  EXPECT_EQ(layers.front(), 0);
  EXPECT_EQ(layers.back(), 0);
  EXPECT_TRUE(std::all_of(layers.begin() + 1, layers.end() - 1, [](auto n) { return n == 1; }));
}

TEST(LayersOfStages, EveryLayerIsOnOneStage) {
  for (std::int64_t layers = 1; layers <= 130; ++layers) {
    for (std::int64_t pp = 1; pp <= layers; ++pp) {
      Layout l;
      l.pp = pp;
      const std::vector<std::int64_t> out = layers_of_stages(layers, l);
      ASSERT_EQ(std::accumulate(out.begin(), out.end(), std::int64_t{0}), layers);
      ASSERT_EQ(std::ranges::max(out), (layers + pp - 1) / pp);  // no slower than it must be
      ASSERT_GE(std::ranges::min(out), 0);
      ASSERT_LE(out.back(), out.front()) << layers << " on " << pp;
      ASSERT_TRUE(std::ranges::is_sorted(out.begin(), out.end() - 1)) << layers << " on " << pp;
    }
  }
}
