// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Parallel layouts: what a file leaves open is listed, and layers go to stages as they should.
#include "layout_runs.hpp"
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

TEST(LayoutChoices, NothingIsLeftOpenWhereAllIsPrinted) {
  Parallel p{.tp = 2, .pp = 4, .cp = 2, .dp = 4};
  p.vpp = 3;
  p.schedule = Schedule::interleaved;
  p.microbatch_sequences = 2;
  p.sp = false;
  p.zero = 0;
  p.recompute = Recompute::selective;
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
  EXPECT_EQ(l.schedule, Schedule::interleaved);
  EXPECT_EQ(l.microbatch_sequences, 2);
  EXPECT_EQ(l.microbatches, 64);  // 512 sequences / 4 replicas / 2
  EXPECT_EQ(l.tokens(), 4096);    // 2 x 4096 / 2
  EXPECT_EQ(l.zero, 0);
  EXPECT_FALSE(l.sp);
  EXPECT_EQ(l.recompute, Recompute::selective);
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
    EXPECT_EQ(c.layout.schedule, Schedule::one_f_one_b);
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

TEST(LayoutChoices, FsdpMayTakeItsWholeShareAtOnce) {
  Parallel p = printed();
  p.microbatch_sequences.reset();
  trainmeter::Run run = run_of(p);
  run.stack = TrainingStack::fsdp;
  run.global_batch_sequences = 64 * 12;
  EXPECT_THAT(values(run, &Layout::microbatch_sequences), ElementsAre(1, 2, 4, 12));
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
  EXPECT_THAT(values(run, &Layout::schedule),
              ElementsAre(Schedule::one_f_one_b, Schedule::interleaved));
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
  EXPECT_THAT(values(run, &Layout::schedule), ElementsAre(Schedule::one_f_one_b));
  run.parallel->vpp = 3;  // but who prints it did it
  EXPECT_THAT(values(run, &Layout::schedule), ElementsAre(Schedule::interleaved));
  EXPECT_THAT(values(run, &Layout::vpp), ElementsAre(3));
}

// A printed schedule rules out micro-batches that it can't run.
TEST(LayoutChoices, APrintedScheduleIsKept) {
  Parallel p = printed();
  p.pp = 16;
  p.schedule = Schedule::dualpipe;
  p.microbatch_sequences.reset();
  trainmeter::Run run = run_of(p);
  run.global_batch_sequences = 4 * 120;
  EXPECT_THAT(values(run, &Layout::schedule), ElementsAre(Schedule::dualpipe));
  EXPECT_THAT(values(run, &Layout::microbatches), ElementsAre(120, 60));  // not 30 or 15

  run.parallel->schedule = Schedule::interleaved;
  run.parallel->pp = 8;
  run.global_batch_sequences = 8 * 48;
  EXPECT_THAT(values(run, &Layout::schedule), ElementsAre(Schedule::interleaved));
  EXPECT_THAT(values(run, &Layout::microbatches), ElementsAre(48, 24));  // not 12 or 6
  EXPECT_THAT(values(run, &Layout::vpp), ElementsAre(2, 3));
  run.parallel->vpp = 3;
  EXPECT_THAT(values(run, &Layout::microbatches), ElementsAre(48, 24));

  for (const Schedule schedule : {Schedule::one_f_one_b, Schedule::zb}) {
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
  run.stack = TrainingStack::deepseek;
  EXPECT_EQ(only(run).schedule, Schedule::dualpipe);
  run.parallel->schedule = Schedule::one_f_one_b;
  EXPECT_EQ(only(run).schedule, Schedule::one_f_one_b);
  run.parallel->schedule.reset();
  run.parallel->vpp = 2;  // which DualPipe doesn't have
  EXPECT_EQ(only(run).schedule, Schedule::interleaved);
  EXPECT_EQ(only(run).vpp, 2);
  run.parallel = printed();  // no pipeline, no schedule
  EXPECT_EQ(only(run).schedule, Schedule::one_f_one_b);
}

TEST(LayoutChoices, RecomputationFromTheLeastToTheMost) {
  Parallel p = printed();
  p.recompute.reset();
  EXPECT_THAT(values(run_of(p), &Layout::recompute),
              ElementsAre(Recompute::none, Recompute::selective, Recompute::full));
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
  run.stack = TrainingStack::deepseek;
  EXPECT_TRUE(only(run).overlap_ep);
}

TEST(LayoutChoices, DefaultsByStack) {
  trainmeter::Run run = run_of(printed());
  EXPECT_EQ(only(run).zero, 1);
  EXPECT_FALSE(only(run).sp);
  run.parallel->tp = 2;
  EXPECT_TRUE(only(run).sp);
  for (const TrainingStack stack :
       {TrainingStack::megatron, TrainingStack::deepseek, TrainingStack::other}) {
    run.stack = stack;
    EXPECT_EQ(only(run).zero, 1) << to_string(stack);
  }
  run.stack = TrainingStack::fsdp;
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
  l.schedule = Schedule::interleaved;
  EXPECT_THAT(layers_of_stages(24, l), ElementsAre(3, 3, 3, 3, 3, 3, 3, 3));
  l.vpp = 1;
  l.pp = 1;
  EXPECT_THAT(layers_of_stages(24, l), ElementsAre(24));
}

TEST(LayersOfStages, EndsGiveWayToEmbeddingAndHead) {  // Llama 3 405B
  Layout l;
  l.pp = 16;
  l.vpp = 8;
  l.schedule = Schedule::interleaved;
  const std::vector<std::int64_t> layers = layers_of_stages(126, l);
  EXPECT_EQ(layers.size(), 128U);
  EXPECT_EQ(layers.front(), 0);
  EXPECT_EQ(layers.back(), 0);
  EXPECT_TRUE(std::all_of(layers.begin() + 1, layers.end() - 1, [](auto n) { return n == 1; }));
}

// 24 layers on 8 stages, 200,000 micro-batches: three virtual stages each would be 4.8 million
// passes.
TEST(Layout, WhatHasTooManyPassesIsLeftOutWhereFewerAreOpen) {
  Parallel p = printed();
  p.pp = 8;
  trainmeter::Run run = run_of(p, 8);
  run.global_batch_sequences = 200'000;
  EXPECT_EQ(values(run, &Layout::vpp), (std::vector<std::int64_t>{1, 2}));
  run.parallel->vpp = 3;
  EXPECT_NE(refusal(run).find("at most 4000000 micro-batches"), std::string::npos) << refusal(run);
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
