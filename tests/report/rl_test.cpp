// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The RL model's parts by hand, against published decode rates, and R1-Zero as a whole.
#include "report/rl.hpp"

#include "report/rl_model.hpp"
#include "workload/step.hpp"

#include "rl_runs.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

using namespace trainmeter;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

namespace {

DecodeFactors middle() {
  return {.efficiency = 1,
          .kernels_s = rl_prior(RlFactor::decode_kernels_s).median,
          .exchange_s = rl_prior(RlFactor::exchange_s).median,
          .node_links = 0.8,
          .network_links = 0.78,
          .verified_positions = 1};
}

DecodeStep v3_on(const std::string& system_id, std::int64_t gpus, double most) {
  const Library library = published_library();
  const System system = library.system(system_id);
  return {library.model("deepseek-v3"),
          system,
          published_book(system),
          {.gpus = gpus, .dtype = "fp8"},
          most};
}

}  // namespace

TEST(Lengths, MeanIsThatAfterTheCut) {
  for (const double mean : {2000.0, 16000.0, 29000.0}) {
    const Lengths lengths(mean, 0.8, 32768);
    EXPECT_EQ(lengths.mean(), mean);
    double integral = 0;  // of the share that is longer
    constexpr double kWidth = 4;
    for (double at = kWidth / 2; at < 32768; at += kWidth) {
      integral += kWidth * lengths.longer_than(at);
    }
    EXPECT_NEAR(integral / mean, 1, 1e-3) << mean;
  }
  EXPECT_NEAR(Lengths(40000, 0.8, 32768).mean(), Lengths::kFullest * 32768, 1e-9);
}

TEST(Lengths, LogNormalWhereNothingIsCut) {
  const Lengths lengths(1000, 0.5, 1e9);
  const double median = 1000 * std::exp(-0.125);
  EXPECT_NEAR(lengths.longer_than(median), 0.5, 1e-9);
  EXPECT_NEAR(lengths.longer_than(median * std::exp(0.5)), 0.158655, 1e-6);
  EXPECT_NEAR(lengths.longest(1), median, 1e-3);
  EXPECT_NEAR(lengths.length_of_mean_token(), 1000 * std::exp(0.25), 1e-3);
}

TEST(Lengths, TheLongestGrowsWithTheirNumberUpToTheCut) {
  const Lengths lengths(2000, 0.8, 32768);
  double before = 0;
  for (const double outputs : {1.0, 16.0, 512.0}) {
    EXPECT_GT(lengths.longest(outputs), before);
    before = lengths.longest(outputs);
  }
  EXPECT_EQ(Lengths(8192, 0.8, 32768).longest(8192), 32768);
}

TEST(Decode, CacheOfATokenByHand) {
  const Library library = published_library();
  EXPECT_EQ(cache_bytes_per_token(library.model("deepseek-v3")), 70272);  // (512 + 64) x 61 x 2
  EXPECT_EQ(cache_bytes_per_token(library.model("llama-3-70b")), 2 * 8 * 128 * 80 * 2);
}

// A lone sequence reads each common weight once and its own experts' (at most one on a GPU).
TEST(Decode, LoneSequenceReadsTheWeights) {
  const DecodeStep step = v3_on("h800", 128, 16);
  DecodeFactors none = middle();
  none.kernels_s = none.exchange_s = 0;
  const Model m = published_library().model("deepseek-v3");
  const double experts = 58 * expert_weights(m);  // one in each layer
  const double routed = 58.0 * 256 * expert_weights(m);
  const double table = 129280.0 * 7168;
  const double bytes = parameters(m) - routed - 2 * table + experts + 2 * table;  // head in bf16
  const double seconds = step.seconds(0, 0, none);
  EXPECT_GT(seconds, 0.98 * bytes / step.memory().value);
  EXPECT_LT(seconds, 1.8 * bytes / step.memory().value);  // one row wastes most of a tile
}

TEST(Decode, MoreWorkIsNeverFaster) {
  const DecodeStep step = v3_on("h800", 32, 64);
  const DecodeFactors f = middle();
  double before = 0;
  for (const double sequences : {0.0, 0.5, 1.0, 2.0, 7.0, 16.0, 33.0, 64.0}) {
    EXPECT_GE(step.seconds(sequences, 4096, f), before * 0.999);
    before = step.seconds(sequences, 4096, f);
    EXPECT_GT(step.seconds(sequences, 8192, f), before);
  }
  DecodeFactors slower = f;
  slower.efficiency = 0.5;
  EXPECT_NEAR(step.seconds(16, 4096, slower), 2 * step.seconds(16, 4096, f), 1e-12);
}

// The published steps that the efficiency's range stands on lie in it.
TEST(Decode, PublishedStepsAreInTheRangeOfTheEfficiency) {
  const FactorPrior& efficiency = rl_prior(RlFactor::decode_efficiency);
  const auto expect_within = [&](double sum_s, double published_s, const char* what) {
    EXPECT_GE(sum_s / published_s, efficiency.low * 0.97) << what;
    EXPECT_LE(sum_s / published_s, efficiency.high * 1.03) << what;
  };
  // DeepSeek's serving: 14.8 K tokens/s on 8 GPUs at 21 tokens/s a sequence, 4,989 tokens of cache.
  const double sequences = 14800.0 / 8 / 21;
  expect_within(v3_on("h800", 128, 128).seconds(sequences, 4989, middle()), 1.0 / 21, "DeepSeek");
  // SGLang on 8 H200, 128 tokens in and 256 out (sgl-project/sglang pull request 2643).
  const DecodeStep h200 = v3_on("h200", 8, 32);
  expect_within(h200.seconds(1.0 / 8, 256, middle()), 1 / 30.29, "batch 1");
  expect_within(h200.seconds(1, 256, middle()), 8 / 206.32, "batch 8");
  expect_within(h200.seconds(4, 256, middle()), 32 / 760.52, "batch 32");
}

TEST(Decode, LayoutsHoldTheWeights) {
  const Library library = published_library();
  const System h800 = library.system("h800");
  const auto layouts = decode_layouts(library.model("deepseek-v3"), h800, published_book(h800), 512,
                                      {"fp8"}, 8192, 8192, "here");
  std::vector<std::int64_t> gpus;  // 671 GB on 80 GB each, and 256 experts
  for (const DecodeStep& step : layouts) gpus.push_back(step.layout().gpus);
  EXPECT_THAT(gpus, testing::ElementsAre(16, 32, 64, 128, 256));
  for (const DecodeStep& step : layouts) EXPECT_LT(step.weight_bytes(), 80e9);
  EXPECT_THAT(refusal([&] {
                (void)decode_layouts(library.model("deepseek-v3"), h800, published_book(h800), 8,
                                     {"fp8"}, 8192, 8192, "here");
              }),
              HasSubstr("here: gpus: no rollout engine of up to 8 GPUs of h800 holds the model "
                        "(those of a power of two that divides its experts are tried): on 8 of "
                        "them fp8 weights and one output of 8192 tokens take 101 GB a GPU, 72 of "
                        "80 are usable"));
}

TEST(Rollout, LiesBetweenItsLongerLimitAndAFullBatchToTheEnd) {
  for (const std::int64_t gpus : {16, 64}) {
    const DecodeStep step = v3_on("h800", gpus, 16);
    for (const double mean : {1000.0, 8192.0, 20000.0}) {
      const Lengths lengths(mean, 0.8, 32768);
      const double batch = std::min(16.0, step.room_for(mean));
      const RolloutTime r = rollout_time(step, lengths, 8192, batch, 1, middle());
      EXPECT_GT(r.seconds, 0.98 * std::max(r.alone_s, r.throughput_s)) << mean;
      const double longest = lengths.longest(8192);
      EXPECT_LT(r.seconds, longest * step.seconds(batch, longest / 2, middle())) << mean;
    }
  }
}

// A few outputs of a thinned batch read nearly all experts of a GPU that has many, which neither of
// the limits does: the lone output reads one, the full batch shares them.
TEST(Rollout, ExceedsTheSumOfItsLimitsWhereAGpuHasManyExperts) {
  const auto of_sum = [](std::int64_t gpus) {
    const RolloutTime r =
        rollout_time(v3_on("h800", gpus, 16), {8192, 0.8, 32768}, 8192, 16, 1, middle());
    return r.seconds / (r.alone_s + r.throughput_s);
  };
  EXPECT_GT(of_sum(16), 1.02);
  EXPECT_LT(of_sum(64), 0.98);
}

TEST(Rollout, WhatDoesNotFitWaits) {
  const DecodeStep step = v3_on("h800", 16, 256);
  const Lengths lengths(16384, 0.8, 65536);
  ASSERT_LT(step.room_for(16384), 128);
  const auto seconds = [&](double per_gpu) {
    return rollout_time(step, lengths, 512 * per_gpu, per_gpu, 1, middle()).seconds;
  };
  EXPECT_NEAR((seconds(256) - seconds(192)) / (seconds(192) - seconds(128)), 1, 1e-3);
}

TEST(Rl, R1Zero) {
  const double published = 198 * 512;
  const Prediction as_printed = rl_predicted(r1_zero(), {});
  EXPECT_LT(as_printed.estimates.gpu_hours->p05, 1.05 * published);
  EXPECT_GT(as_printed.estimates.gpu_hours->p95, published);
  EXPECT_LT(as_printed.null_model.gpu_hours->p50, published / 4);
  const Prediction p = rl_predicted(r1_zero_as_v3(), {});
  EXPECT_LT(p.estimates.gpu_hours->p05, published);
  EXPECT_GT(p.estimates.gpu_hours->p95, published);
  EXPECT_NEAR(std::log(p.estimates.gpu_hours->p50 / published), 0, std::log(1.5));
  EXPECT_NEAR(*p.published_step_time_s, 68.5, 0.1);
  EXPECT_GT(p.breakdown_s.front().second, 0.5 * p.estimates.step_time_s.p50);  // rollout
  EXPECT_THAT(p.assumptions, Contains(HasSubstr("would explain the published 198 h")));
}

// What the memory's rate has a part in is less than the rollout: launches, exchanges and what no
// sum of parts reaches are no rate's.
TEST(Rl, ARolloutRestsOnMemoryForItsBytesAlone) {
  const RunFile run = r1_zero_as_v3();
  const Prediction p = rl_predicted(run, {.samples = 0});
  const auto memory = std::ranges::find(p.rates, "rollout", &UsedRate::part);
  ASSERT_NE(memory, p.rates.end());
  double step = 0;
  for (const auto& [part, seconds] : p.breakdown_s) step += seconds;
  const double rollout = p.breakdown_s.front().second / step;
  EXPECT_GT(memory->share, 0.05);
  EXPECT_LT(memory->share, 0.65 * rollout);  // at most decode_efficiency of it
}

// The engine isn't printed: the parts are a mean over all that are likely.
TEST(Rl, PartsAddUpToTheStepShown) {
  RunFile grpo = r1_zero();
  grpo.model = published_library().model("llama-3-8b");
  grpo.system = published_library().system("h100");
  grpo.gpus = 64;
  grpo.rl = Rl{.questions_per_step = 256, .samples_per_question = 16};
  grpo.rl->phases = {{.steps = 1000, .mean_output_tokens = 4096, .max_output_tokens = 16384}};
  grpo.precision = "bf16";
  grpo.stack = TrainingStack::megatron;
  for (const RunFile& run : {grpo, r1_zero()}) {
    const Prediction p = rl_predicted(run, {});
    double sum = 0;
    for (const auto& [part, seconds] : p.breakdown_s) sum += seconds;
    EXPECT_NEAR(sum / p.estimates.step_time_s.p50, 1, 1e-12) << run.model->id;
    EXPECT_LT(p.breakdown_s.front().second, p.estimates.step_time_s.p50) << run.model->id;
  }
}

TEST(Rl, EstimatesBelongTogether) {
  const RunFile run = r1_zero();
  const Prediction p = rl_predicted(run);
  const double steps = 10400;
  EXPECT_NEAR(p.estimates.gpu_hours->p50, 512 * steps * p.estimates.step_time_s.p50 / 3600, 1);
  EXPECT_NEAR(p.estimates.cost_usd->p95, 2 * p.estimates.gpu_hours->p95, 1);
  EXPECT_NEAR(p.estimates.mfu.p50 * 989, p.estimates.tflops_per_gpu.p50, 0.01);
  const Prediction middle_only = rl_predicted(run, {.samples = 0});
  const double sum =
      std::accumulate(middle_only.breakdown_s.begin(), middle_only.breakdown_s.end(), 0.0,
                      [](double s, const auto& part) { return s + part.second; });
  EXPECT_NEAR(sum / middle_only.estimates.step_time_s.p50, 1, 1e-12);
  // 6 N, N = 37.6 G without the input embedding, for generated and trained tokens.
  const double tokens = 512 * (8200 * 8192.0 + 2200 * 16384.0) / 10400;
  EXPECT_NEAR(p.null_model.step_time_s.p50,
              12 * active_parameters(*run.model) * tokens / (0.4 * 989e12 * 512), 0.01);
}

TEST(Rl, TheSeedFixesTheResult) {
  const RunFile run = r1_zero();
  EXPECT_EQ(to_json(rl_predicted(run, {.samples = 200, .seed = 3})),
            to_json(rl_predicted(run, {.samples = 200, .seed = 3})));
  EXPECT_NE(rl_predicted(run, {.samples = 200, .seed = 3}).estimates.step_time_s.p95,
            rl_predicted(run, {.samples = 200, .seed = 4}).estimates.step_time_s.p95);
}

TEST(Rl, PrintedMeanNarrowsTheRange) {
  RunFile run = r1_zero();
  const Prediction assumed = rl_predicted(run);
  for (RlPhase& phase : run.rl->phases) phase.mean_output_tokens = 0.25 * *phase.max_output_tokens;
  const Prediction printed = rl_predicted(run);
  const auto width = [](const Estimate& e) { return e.p95 / e.p05; };
  EXPECT_LT(width(printed.estimates.step_time_s), width(assumed.estimates.step_time_s));
  EXPECT_THAT(printed.assumptions, Not(Contains(HasSubstr("would explain"))));
  EXPECT_THAT(printed.assumptions, Not(Contains(HasSubstr("mean_of_allowed"))));
}

TEST(Rl, FasterMachinesAndLessWorkAreFaster) {
  const RunFile run = r1_zero_as_v3();
  const PredictOptions middle_only{.samples = 0};
  const double whole = rl_predicted(run, middle_only).estimates.step_time_s.p50;
  RunFile better = run;
  better.system->nic_bytes_per_s = 1e11;
  EXPECT_LE(rl_predicted(better, middle_only).estimates.step_time_s.p50, whole);
  RunFile no_reference = run;
  no_reference.rl->reference_model = false;
  EXPECT_LT(rl_predicted(no_reference, middle_only).estimates.step_time_s.p50, whole);
  RunFile shorter = run;
  for (RlPhase& phase : shorter.rl->phases) *phase.max_output_tokens /= 2;
  EXPECT_LT(rl_predicted(shorter, middle_only).estimates.step_time_s.p50, 0.7 * whole);
  RunFile each_step = run;  // a rollout for each update waits for its own tail
  each_step.rl->outputs_per_rollout = 512;
  each_step.rl->minibatches = 1;
  EXPECT_GT(rl_predicted(each_step, middle_only).estimates.step_time_s.p50, 3 * whole);
}

TEST(Rl, DenseModelOnANode) {
  RunFile run = r1_zero();
  run.model = published_library().model("llama-3-8b");
  run.system = published_library().system("h100");
  run.gpus = 8;
  run.rl->phases = {{.steps = 100, .mean_output_tokens = 1000, .max_output_tokens = 8192}};
  run.rl->outputs_per_rollout = 512;
  run.rl->minibatches = 1;
  const Prediction p = rl_predicted(run);
  // 512 outputs of 1,000 tokens at 1 K to 40 K tokens/s, trained on at 10 to 200 K tokens/s.
  EXPECT_GT(p.estimates.step_time_s.p05, 512e3 / 40e3 + 512e3 / 200e3);
  EXPECT_LT(p.estimates.step_time_s.p95, 512e3 / 1e3 + 512e3 / 10e3);
  EXPECT_THAT(p.assumptions, Not(Contains(HasSubstr("tokens_per_decode_step"))));
}

TEST(Rl, WhatIsMissingIsNamedWithWhatWouldExplainTheHours) {
  const RunFile stage = published_library().run("deepseek-r1-rl");
  if (stage.rl->phases.empty()) {
    const std::string text = refusal([&] { (void)rl_predicted(stage); });
    EXPECT_THAT(text, HasSubstr("deepseek-r1-rl.json: rl.phases: missing; "));
    EXPECT_THAT(text, HasSubstr("the published 80 h would be explained by"));
  }
  RunFile no_lengths = r1_zero_as_v3();
  no_lengths.rl->phases = {{.steps = 4000}};
  no_lengths.published.wall_hours = 80;
  EXPECT_THAT(refusal([&] { (void)rl_predicted(no_lengths); }),
              HasSubstr("rl.phases[0]: mean_output_tokens or max_output_tokens missing"));
  RunFile contradictory = r1_zero();
  contradictory.rl->minibatches = 8;
  EXPECT_THAT(refusal([&] { (void)rl_predicted(contradictory); }),
              HasSubstr("rl.minibatches: expected outputs_per_rollout / (questions_per_step x "
                        "samples_per_question) = 16, found 8"));
  RunFile pre_training = r1_zero();
  pre_training.tokens = 1e12;
  EXPECT_THAT(refusal([&] { (void)rl_predicted(pre_training); }),
              HasSubstr("tokens: expected none beside `rl`"));
  RunFile too_small = r1_zero();
  too_small.gpus = 8;
  EXPECT_THAT(refusal([&] { (void)rl_predicted(too_small); }),
              HasSubstr("no rollout engine of up to 8 GPUs"));
  RunFile no_model = r1_zero();
  no_model.model.reset();
  EXPECT_THAT(refusal([&] { (void)rl_predicted(no_model); }), HasSubstr("model: missing"));
}
