// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Parallel layouts that can't be: each is refused with file and key.
#include "layout_runs.hpp"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

using namespace trainmeter;
using testing::HasSubstr;

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

TEST(LayoutRefusal, VirtualStagesWithoutAPipeline) {
  EXPECT_EQ(refusal(run_of({.pp = 1, .vpp = 8})),
            "r.json: parallel.vpp: expected 1 without a pipeline (pp is 1), found 8");
  EXPECT_EQ(refusal(run_of({.pp = 1, .vpp = 1})), "nothing was refused");
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

TEST(LayoutRefusal, ExpertsWhoseWidthDoesNotDivide) {
  trainmeter::Run run = run_of({.tp = 2, .pp = 8, .etp = 2});
  run.model = with_experts();
  run.model->moe->expert_ffn = 511;
  run.model->moe->shared_experts = 2;
  EXPECT_EQ(refusal(run), "r.json: parallel.etp: expected a divisor of expert_ffn 511, found 2");
  run.parallel->etp = 1;
  EXPECT_EQ(refusal(run), "nothing was refused");
}

TEST(LayoutRefusal, VirtualStagesOfAScheduleThatHasNone) {
  Parallel p{.pp = 4};
  p.vpp = 2;
  for (const Schedule schedule : {Schedule::zb, Schedule::dualpipe}) {
    p.schedule = schedule;
    EXPECT_EQ(refusal(run_of(p)),
              fmt::format("r.json: parallel.vpp: expected 1 for the schedule {}, found 2",
                          to_string(schedule)));
  }
  p.schedule = Schedule::interleaved;
  EXPECT_EQ(refusal(run_of(p)), "nothing was refused");
  p.vpp = 1;
  EXPECT_EQ(refusal(run_of(p)),
            "r.json: parallel.vpp: expected at least 2 for the schedule interleaved, found 1");
}

TEST(LayoutRefusal, InterleavedStagesOfTooFewLayers) {
  Parallel p{.pp = 8};
  p.schedule = Schedule::interleaved;
  trainmeter::Run run = run_of(p);
  EXPECT_EQ(refusal(run), "nothing was refused");
  run.model->layers = 8;
  EXPECT_EQ(refusal(run),
            "r.json: parallel.schedule: expected another than interleaved: 8 layers on 8 stages "
            "leave none for a second virtual one");
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
  p.schedule = Schedule::one_f_one_b;
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
  p.schedule = Schedule::dualpipe;
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
