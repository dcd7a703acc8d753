// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// RL stages on machines and layouts of all kinds: a better machine is no slower, and what fits is
// predicted.
#include "report/rl_model.hpp"

#include "rl_runs.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

using namespace trainmeter;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

namespace {

double step_s(const RunFile& run, const PredictOptions& options = kMiddle) {
  return rl_predicted(run, options).estimates.step_time_s.p50;
}

System with_memory(const std::string& id, double bytes) {
  System out = library().system(id);
  out.memory_bytes = bytes;
  return out;
}

}  // namespace

// Engines of fewer GPUs become possible with more memory; whoever has it needn't take them.
TEST(RlMachine, MoreMemoryIsNoSlower) {
  double before = step_s(grpo("llama-3-70b", with_memory("h100", 80e9), 64, "fp8"));
  for (const double bytes : {85e9, 96e9, 141e9, 192e9}) {
    const double now = step_s(grpo("llama-3-70b", with_memory("h100", bytes), 64, "fp8"));
    EXPECT_LT(now, 1.01 * before) << bytes;
    before = now;
  }
  const RunFile small = grpo("llama-3-70b", with_memory("h100", 80e9), 64, "fp8");
  const RunFile large = grpo("llama-3-70b", with_memory("h100", 96e9), 64, "fp8");
  const RunFile h200 = grpo("llama-3-70b", library().system("h200"), 64, "fp8");
  for (const auto q : {&Estimate::p05, &Estimate::p50, &Estimate::p95}) {
    const auto of = [&](const RunFile& run) {
      return rl_predicted(run, {.samples = 300}).estimates.step_time_s.*q;
    };
    EXPECT_LT(of(large), 1.02 * of(small));
    EXPECT_LT(of(h200), 0.95 * of(small));
  }
}

// Of a run that doesn't print its engine a better machine changes which one is likely, too. Left out,
// since more memory changes what is known of a stage: one with no layout for its training pass, and
// a dense model that a node doesn't hold (docs/rl.md).
TEST(RlMachine, ABetterOneIsNeverSlower) {
  constexpr int kRuns = 40;
  constexpr double kTolerance = 1.03;  // several engines near the fastest share its weight
  std::mt19937_64 random(7);
  const auto one_of = [&]<class T>(const std::vector<T>& all) {
    return all[std::uniform_int_distribution<std::size_t>(0, all.size() - 1)(random)];
  };
  const std::vector<std::string> systems{"a100", "h100", "h800", "h200"};
  const std::vector<std::string> models{"llama-3-8b", "llama-3-70b", "qwen3-30b-a3b",
                                        "deepseek-v3"};
  int tried = 0;
  for (int i = 0; i < kRuns; ++i) {
    const int what = i % 4;
    System system = library().system(one_of(systems));
    // Without published rates all follow the datasheet; those don't grow with its peaks.
    if (i % 8 < 4 || what == 3) system.id = "mine";
    const std::string precision = system.peak_flops.contains("fp8") && i % 3 == 0 ? "fp8" : "bf16";
    RunFile run =
        grpo(one_of(models), system, one_of(std::vector<std::int64_t>{8, 24, 64, 256, 512}),
             precision, one_of(std::vector<double>{500, 2000, 6000}));
    run.rl->questions_per_step = one_of(std::vector<std::int64_t>{16, 128, 512});
    RunFile better = run;
    System& s = *better.system;
    const double times = std::uniform_real_distribution<double>(1.02, 2.5)(random);
    if (what == 0) *s.memory_bytes *= times;
    if (what == 1) *s.memory_bytes_per_s *= times;
    if (what == 2) *s.nic_bytes_per_s *= times;
    if (what == 3) {
      for (auto& [dtype, flops] : s.peak_flops) flops *= times;
    }
    Prediction before;
    try {
      before = rl_predicted(run, kMiddle);
    } catch (const BadInput&) {
      continue;  // no engine fits
    }
    if (testing::Value(before.assumptions, Contains(HasSubstr("no layout works")))) continue;
    ++tried;
    EXPECT_LT(step_s(better), kTolerance * before.estimates.step_time_s.p50)
        << run.model->id << " on " << run.gpus << " " << system.gpu << ", " << precision << ", "
        << what << " x " << times;
  }
  EXPECT_GT(tried, kRuns / 2);
}

// The engine's dtype is no question of speed: bf16's share stays.
TEST(RlMachine, EnginesAreWeighedByTheirSteps) {
  const RunFile run = grpo("llama-3-8b", library().system("h100"), 64, "bf16");
  const RateBook book = published_book(*run.system);
  const RlModel model(run, *run.system, book, knowledge(), kMiddle, 989e12, run.rl->phases);
  RlDraw draw = model.central();
  EXPECT_EQ(draw.engine, 0);
  double all = 0, bf16 = 0, fastest_bf16 = 1e9, likeliest_bf16 = 0;
  for (; draw.engine < model.engines().size(); ++draw.engine) {
    const Engine& e = model.engines()[draw.engine];
    all += e.weight;
    if (e.decode.layout().dtype != "bf16") continue;
    bf16 += e.weight;
    const double seconds = model.step(draw).total_s();
    if (likeliest_bf16 == 0) likeliest_bf16 = seconds;
    fastest_bf16 = std::min(fastest_bf16, seconds);
  }
  EXPECT_NEAR(all, 1, 1e-12);
  EXPECT_NEAR(bf16, 0.5, 0.02);
  EXPECT_EQ(likeliest_bf16, fastest_bf16);
}

// How many sequences an update makes follows from the outputs' lengths, which no layout prints.
TEST(RlTraining, APrintedMicroBatchHoldsWhateverTheLengths) {
  for (const double mean : {2500.0, 3000.0, 3500.0, 4096.0, 5000.0}) {
    RunFile run = grpo("llama-3-8b", library().system("h100"), 64, "bf16", mean);
    run.rl->questions_per_step = 16;
    run.parallel = Parallel{};
    run.parallel->tp = 2;
    for (const std::int64_t size : {2, 3, 4}) {
      run.parallel->microbatch_sequences = size;
      EXPECT_GT(step_s(run), 0) << mean << " " << size;
    }
    run.parallel->microbatch_sequences = 1'000'000'000;
    EXPECT_THAT(refusal([&] { (void)step_s(run); }),
                HasSubstr("parallel.microbatch_sequences: expected at most 31250000, found"));
  }
}

TEST(RlTraining, APrintedDualPipeGetsAnEvenNumberOfMicroBatchesOrIsLeft) {
  RunFile run = grpo("deepseek-v3", library().system("h800"), 1024, "fp8", 3000);
  run.stack = TrainingStack::deepseek;
  run.parallel = Parallel{};
  run.parallel->pp = 16;
  run.parallel->ep = 64;
  run.parallel->schedule = Schedule::dualpipe;
  const auto notes_of = [&](std::int64_t questions) {
    run.rl->questions_per_step = questions;
    return rl_predicted(run, kMiddle).assumptions;
  };
  const auto left = HasSubstr("with zb instead of dualpipe, which takes at least 2 pp = 32");
  bool even = false, few = false;
  for (const std::int64_t questions : {64, 256, 257, 258, 260, 272, 1024}) {
    const auto notes = notes_of(questions);
    (testing::Value(notes, Contains(left)) ? few : even) = true;
  }
  EXPECT_TRUE(even);
  EXPECT_TRUE(few);
  run.parallel->schedule.reset();  // DeepSeek's stack has it all the same
  EXPECT_THAT(notes_of(64), Contains(left));
}

TEST(RlTraining, MoreOutputsThanCanBeCountedAreRefused) {
  RunFile run = grpo("llama-3-8b", library().system("h100"), 64, "bf16", 1e9);
  run.parallel = Parallel{};
  run.rl->questions_per_step = run.rl->samples_per_question = 1'000'000'000;
  EXPECT_THAT(refusal([&] { (void)rl_predicted(run, kMiddle); }), HasSubstr("expected at most"));
}

// Engines need not divide the GPUs; what is left over is idle while they generate.
TEST(RlMachine, WhatFitsIsPredictedOnAnyNumberOfGpus) {
  const auto engines_of = [&](const char* model, const char* system, std::int64_t gpus,
                              const char* precision) {
    return rl_predicted(grpo(model, library().system(system), gpus, precision), kMiddle)
        .assumptions;
  };
  EXPECT_THAT(engines_of("deepseek-v3", "h100", 40, "fp8"),
              Contains(HasSubstr("16 in fp8 with 8 idle")));
  EXPECT_THAT(engines_of("deepseek-v3", "h100", 24, "fp8"),
              Contains(HasSubstr("sampled over 16 in fp8 with 8 idle (100 %)")));
  EXPECT_THAT(engines_of("deepseek-v3", "h200", 12, "fp8"),
              Contains(HasSubstr("sampled over 8 in fp8 with 4 idle (100 %)")));
  EXPECT_THAT(engines_of("llama-3-405b", "a100", 24, "bf16"),
              Contains(HasSubstr("sampled over 16 in bf16 with 8 idle (100 %)")));
  EXPECT_THAT(refusal([&] { (void)engines_of("deepseek-v3", "h100", 12, "fp8"); }),
              AllOf(HasSubstr("no rollout engine of up to 12 GPUs of h100 holds the model"),
                    HasSubstr("on 8 of them")));
}

// Idle GPUs generate nothing: 24 GPUs with engines of 16 take as long as 16.
TEST(RlMachine, IdleGpusDontGenerate) {
  const System h100 = library().system("h100");
  const auto rollout = [&](std::int64_t gpus) {
    return part(rl_predicted(grpo("deepseek-v3", h100, gpus, "fp8"), kMiddle), "rollout");
  };
  EXPECT_NEAR(rollout(24) / rollout(16), 1, 0.01);
}

TEST(RlMachine, WeightsStayInsideASingleNode) {
  RunFile run = grpo("llama-3-8b", library().system("h100"), 8, "bf16");
  const Prediction p = rl_predicted(run, kMiddle);
  const auto uses = [](const Prediction& of, const char* what) {
    const auto acts = [&](const UsedInput& i) {
      return i.what == what && std::ranges::find(i.parts, "weight_transfer") != i.parts.end();
    };
    return std::ranges::any_of(of.inputs, acts);
  };
  EXPECT_TRUE(uses(p, "nvlink_bytes_per_s"));
  EXPECT_FALSE(uses(p, "nic_bytes_per_s"));
  RunFile no_nic = run;
  no_nic.system->nic_bytes_per_s.reset();
  EXPECT_DOUBLE_EQ(part(rl_predicted(no_nic, kMiddle), "weight_transfer"),
                   part(p, "weight_transfer"));
  EXPECT_GT(part(p, "weight_transfer"), 0);
  RunFile no_link = run;
  no_link.system->nvlink_bytes_per_s.reset();
  const Prediction without = rl_predicted(no_link, kMiddle);
  EXPECT_TRUE(std::isnan(part(without, "weight_transfer")));
  EXPECT_THAT(without.assumptions,
              Contains("weight transfer is left out: no link bandwidth is known for it"));
  run.gpus = 16;
  const Prediction two = rl_predicted(run, kMiddle);
  EXPECT_TRUE(uses(two, "nic_bytes_per_s"));
  EXPECT_FALSE(uses(two, "nvlink_bytes_per_s"));
}
