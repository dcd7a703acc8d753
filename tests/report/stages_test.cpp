// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A run of stages is the sum of its stages; a plain run is itself.
#include "report/stages.hpp"

#include "record/error.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

trainmeter::Run stage_run(const Library& library, std::int64_t seq_len, std::int64_t batch,
                          double tokens) {
  trainmeter::Run run = library.run("megatron-h100-16b");
  run.id = "stage-" + std::to_string(seq_len);
  run.family = "nobody's";
  run.seq_len = seq_len;
  run.global_batch_sequences = batch;
  run.tokens = tokens;
  run.price_usd_per_gpu_hour = 2;
  run.published = {};
  return run;
}

trainmeter::Run whole_of(const std::vector<trainmeter::Run>& stages) {
  trainmeter::Run whole;
  whole.id = "whole";
  whole.place.file = "whole.json";
  whole.gpus = stages.front().gpus;
  for (const trainmeter::Run& run : stages) {
    Stage stage{.title = run.id, .run = std::make_shared<const trainmeter::Run>(run)};
    whole.stages.push_back(std::move(stage));
  }
  return whole;
}

// On the stages' own system.
Prediction predicted(const trainmeter::Run& whole,
                     const PredictOptions& options = {.samples = 200}) {
  static const Library kLibrary = published_library();
  const System& system = *whole.stages.front().run->system;
  RateBook book;
  book.add_published(kLibrary, system);
  return predict_run(whole, system, book, load_knowledge(kLibrary), options);
}

}  // namespace

TEST(Stages, HoursAndMoneyAddUp) {
  const Library library = published_library();
  const Knowledge knowledge = load_knowledge(library);
  const std::vector<trainmeter::Run> stages = {stage_run(library, 4096, 192, 1e10),
                                               stage_run(library, 8192, 96, 2e9)};
  const System& system = *stages[0].system;
  RateBook book;
  book.add_published(library, system);
  trainmeter::Run whole = whole_of(stages);
  whole.published.gpu_hours = 1000;
  const Prediction sum = predict_run(whole, system, book, knowledge, {.samples = 200});
  double hours = 0, cost = 0, steps = 0, seconds = 0;
  for (const trainmeter::Run& run : stages) {
    const Prediction part = predict(run, system, book, knowledge, {.samples = 200});
    hours += part.estimates.gpu_hours->p50;
    cost += part.estimates.cost_usd->p95;
    const double n = *run.tokens / static_cast<double>(*run.seq_len * *run.global_batch_sequences);
    steps += n;
    seconds += n * part.estimates.step_time_s.p50;
  }
  EXPECT_NEAR(sum.estimates.gpu_hours->p50 / hours, 1, 1e-9);
  EXPECT_NEAR(sum.estimates.cost_usd->p95 / cost, 1, 1e-9);
  EXPECT_NEAR(sum.estimates.step_time_s.p50 / (seconds / steps), 1, 1e-9);
  EXPECT_NEAR(*sum.error_pct, (hours / 1000 - 1) * 100, 1e-6);
  EXPECT_LT(sum.estimates.mfu.p05, sum.estimates.mfu.p95);
  const Prediction elsewhere =
      predict_run(whole, library.system("h200"), book, knowledge, {.samples = 200});
  EXPECT_FALSE(elsewhere.error_pct);
  EXPECT_EQ(elsewhere.price_usd_per_gpu_hour, library.system("h200").price_usd_per_gpu_hour);
  EXPECT_THAT(sum.assumptions, testing::Contains(HasSubstr("stage-8192: 2543 steps")));
}

TEST(Stages, ThatCannotBePredictedAreNamed) {
  const Library library = published_library();
  const Knowledge knowledge = load_knowledge(library);
  std::vector<trainmeter::Run> stages = {stage_run(library, 4096, 192, 1e10)};
  stages[0].tokens.reset();
  const System& system = *stages[0].system;
  RateBook book;
  book.add_published(library, system);
  try {
    (void)predict_run(whole_of(stages), system, book, knowledge, {.samples = 200});
    FAIL() << "nothing was refused";
  } catch (const BadInput& error) {
    EXPECT_THAT(error.what(), HasSubstr("whole.json: stages: stage-4096: tokens: missing"));
  }
  stages[0].tokens = 1e10;
  trainmeter::Run mixed = whole_of(stages);
  mixed.stages.push_back({.title = "Cooldown", .gpu_hours = 10});
  try {
    (void)predicted(mixed);
    FAIL() << "nothing was refused";
  } catch (const BadInput& error) {
    EXPECT_THAT(error.what(), HasSubstr("whole.json: stages[1] (Cooldown): expected a run"));
  }
}

// The whole's own `gpus` is 1 where it names none; its stages' may differ.
TEST(Stages, RatesAreOverTheTimeOfEachStagesOwnGpus) {
  const Library library = published_library();
  trainmeter::Run half = stage_run(library, 4096, 192, 1e10);
  half.id = "half";
  half.gpus /= 2;
  half.parallel->dp.reset();
  trainmeter::Run full = stage_run(library, 4096, 192, 1e10);
  full.parallel->dp.reset();
  const Prediction one = predicted(whole_of({half})), other = predicted(whole_of({full}));
  trainmeter::Run whole = whole_of({half, full});
  whole.gpus = 1;
  whole.published.gpu_hours = 1000;
  const Prediction both = predicted(whole);
  const auto [low, high] = std::minmax(one.estimates.mfu.p50, other.estimates.mfu.p50);
  EXPECT_LE(low * (1 - 1e-9), both.estimates.mfu.p50);
  EXPECT_LE(both.estimates.mfu.p50, high * (1 + 1e-9));
  EXPECT_NEAR(both.null_model.mfu.p50, 0.4, 1e-9);
  EXPECT_NEAR(both.estimates.tflops_per_gpu.p50 * 1e12,
              both.estimates.mfu.p50 * both.mfu_peak_flops, 1);
  EXPECT_NEAR(*both.error_pct, (both.estimates.gpu_hours->p50 / 1000 - 1) * 100, 1e-9);
  double shares = 0, seconds = 0;
  for (const UsedRate& used : both.rates) shares += used.share;
  for (const auto& [name, part] : both.breakdown_s) seconds += part;
  EXPECT_LT(shares, 1);
  EXPECT_NEAR(seconds / both.estimates.step_time_s.p50, 1, 0.1);
}

TEST(Stages, TheWholesPriceAndGoodputHoldForStagesWithout) {
  const Library library = published_library();
  trainmeter::Run bare = stage_run(library, 4096, 192, 1e10);
  bare.price_usd_per_gpu_hour.reset();
  trainmeter::Run own = bare;
  own.id = "own";
  own.price_usd_per_gpu_hour = 1;
  own.goodput = 0.8;
  std::erase(own.left_out, "goodput");
  trainmeter::Run whole = whole_of({bare, own});
  whole.system = bare.system;
  const double hours = predicted(whole_of({bare})).estimates.gpu_hours->p50;
  whole.price_usd_per_gpu_hour = 10;
  whole.goodput = 0.5;
  const Prediction p = predicted(whole);
  EXPECT_NEAR(p.estimates.gpu_hours->p50 / (hours / 0.5 + hours / 0.8), 1, 1e-9);
  EXPECT_NEAR(p.estimates.cost_usd->p50 / (10 * hours / 0.5 + hours / 0.8), 1, 1e-9);
  EXPECT_NEAR(*p.price_usd_per_gpu_hour * p.estimates.gpu_hours->p50 / p.estimates.cost_usd->p50, 1,
              1e-9);
  EXPECT_NEAR(p.goodput, 2 * hours / p.estimates.gpu_hours->p50, 1e-9);
  const Prediction priced = predicted(whole, {.price_usd_per_gpu_hour = 3, .samples = 200});
  EXPECT_EQ(priced.price_usd_per_gpu_hour, 3);
  whole.system = library.system("h200");  // where its price isn't of these GPUs
  const Prediction carried = predicted(whole);
  EXPECT_NEAR(carried.estimates.cost_usd->p50 /
                  (*bare.system->price_usd_per_gpu_hour * hours / 0.5 + hours / 0.8),
              1, 1e-9);
  EXPECT_THAT(carried.assumptions, testing::Contains(HasSubstr("not on h200")));
}

TEST(Stages, AGoodputOfOneIsAStagesOwnIfItSaysSo) {
  const trainmeter::Run bare = stage_run(published_library(), 4096, 192, 1e10);
  trainmeter::Run own = bare;
  std::erase(own.left_out, "goodput");
  const double hours = predicted(whole_of({bare})).estimates.gpu_hours->p50;
  const auto with_half = [](const trainmeter::Run& stage) {
    trainmeter::Run whole = whole_of({stage});
    whole.goodput = 0.5;
    return predicted(whole);
  };
  EXPECT_NEAR(with_half(own).estimates.gpu_hours->p50 / hours, 1, 1e-9);
  EXPECT_NEAR(with_half(bare).estimates.gpu_hours->p50 / hours, 2, 1e-9);
  EXPECT_THAT(with_half(bare).assumptions,
              testing::Not(testing::Contains(HasSubstr("goodput isn't printed"))));
}

// A short stage first says nothing of the whole.
TEST(Stages, WhatMovesTheWholeIsThatOfTheLongestStage) {
  const Library library = published_library();
  const trainmeter::Run first = stage_run(library, 2048, 480, 1e8);
  const trainmeter::Run main = stage_run(library, 8192, 480, 1e12);
  const Prediction whole = predicted(whole_of({first, main}));
  const Prediction alone = predicted(whole_of({main}));
  EXPECT_EQ(whole.moves_most, alone.moves_most);
  ASSERT_FALSE(whole.factors.empty());
  EXPECT_EQ(whole.factors.front().factor, alone.factors.front().factor);
  EXPECT_EQ(whole.factors.front().elasticity, alone.factors.front().elasticity);
  EXPECT_THAT(whole.assumptions, testing::Contains(HasSubstr("are those of stage-8192")));
}

TEST(Stages, OfStagesAreRefused) {
  const Library library = published_library();
  trainmeter::Run inner = whole_of({stage_run(library, 4096, 192, 1e10)});
  inner.tokens = 1e10;
  inner.system = library.system("h100");
  EXPECT_THAT(refusal([&] { (void)predicted(whole_of({inner})); }),
              HasSubstr("whole.json: stages[0].stages: expected a run with seq_len"));
}
