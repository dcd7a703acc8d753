// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The step model against sums done by hand, and the sampling's promises.
#include "report/predict.hpp"

#include "record/error.hpp"
#include "workload/step.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

Run gpt2() {
  trainmeter::Run run = published_library().run("gpt2-124m-10b");
  run.gpus = 1;
  Parallel layout;
  layout.microbatch_sequences = 4;
  run.parallel = layout;
  run.published = {};
  run.price_usd_per_gpu_hour.reset();
  return run;
}

System small_system() {
  System system;
  system.id = "small";
  system.kind = "cpu";
  system.peak_flops = {{"bf16", 2e12}};
  return system;
}

RateBook small_book() {
  RateBook book;
  book.add(small_cpu());
  return book;
}

double part(const Prediction& p, const std::string& name) {
  for (const auto& [key, seconds] : p.breakdown_s) {
    if (key == name) return seconds;
  }
  return NAN;
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const BadInput& error) {
    return error.what();
  }
  return "nothing was refused";
}

}  // namespace

TEST(Predict, PartsAreWorkOverRate) {
  const trainmeter::Run run = gpt2();
  const Prediction p = predict(run, small_system(), small_book(), {});
  const auto tokens = static_cast<double>(*run.seq_len * *run.global_batch_sequences);
  double linear = 0, core = 0;
  for (const Component& c : components(*run.model, {.seq_len = *run.seq_len})) {
    (c.name == "attention_core" ? core : linear) += c.training_flops_per_token;
  }
  // Every GEMM at 1 TFLOP/s, in place at the geometric middle of 0.65 and 1; the core at that of
  // 0.5 and 0.8.
  EXPECT_NEAR(part(p, "gemm") / (tokens * linear / 1e12 / std::sqrt(0.65)), 1, 1e-9);
  EXPECT_NEAR(part(p, "attention_core") / (tokens * core / 1e12 / std::sqrt(0.4)), 1, 1e-9);
  EXPECT_NEAR(part(p, "optimizer") / (optimizer_bytes(parameters(*run.model)) / 20e9), 1, 1e-9);
  double total = 0;
  for (const auto& [name, seconds] : p.breakdown_s) total += seconds;
  EXPECT_NEAR(p.estimates.step_time_s.p50 / total, 1, 0.05);
  double shares = 0;
  for (const UsedRate& used : p.rates) shares += used.share;
  EXPECT_GT(shares, 0.7);  // the rates as measured, before the slow-down in place
  EXPECT_LT(shares, 1 + 1e-9);
}

TEST(Predict, EstimatesBelongTogether) {
  const trainmeter::Run run = gpt2();
  const Prediction p = predict(run, small_system(), small_book(), {.price_usd_per_gpu_hour = 3});
  const RunEstimates& e = p.estimates;
  const auto tokens = static_cast<double>(*run.seq_len * *run.global_batch_sequences);
  EXPECT_LT(e.step_time_s.p05, e.step_time_s.p50);
  EXPECT_LT(e.step_time_s.p50, e.step_time_s.p95);
  EXPECT_NEAR(e.gpu_hours->p50 / (*run.tokens / tokens * e.step_time_s.p50 / 3600), 1, 1e-9);
  EXPECT_NEAR(e.cost_usd->p95 / (3 * e.gpu_hours->p95), 1, 1e-9);
  EXPECT_NEAR(e.mfu.p05 / (p.flops_per_step / e.step_time_s.p95 / 2e12), 1,
              1e-3);  // fast steps, high MFU
  EXPECT_NEAR(e.tflops_per_gpu.p50 * 1e12 / (e.mfu.p50 * 2e12), 1, 1e-9);
  EXPECT_NEAR(p.null_model.mfu.p50, 0.40, 1e-12);
}

TEST(Predict, TheSeedFixesTheResult) {
  const Prediction a = predict(gpt2(), small_system(), small_book(), {.seed = 3});
  const Prediction b = predict(gpt2(), small_system(), small_book(), {.seed = 3});
  const Prediction c = predict(gpt2(), small_system(), small_book(), {.seed = 4});
  EXPECT_EQ(to_json(a), to_json(b));
  EXPECT_NE(a.estimates.step_time_s.p95, c.estimates.step_time_s.p95);
  EXPECT_NEAR(a.estimates.step_time_s.p95 / c.estimates.step_time_s.p95, 1, 0.03);
}

TEST(Predict, PriceOfTheOptionBeforeTheRunsBeforeTheSystems) {
  trainmeter::Run run = gpt2();
  System system = small_system();
  EXPECT_FALSE(predict(run, system, small_book(), {}).estimates.cost_usd);
  system.price_usd_per_gpu_hour = 1;
  EXPECT_EQ(predict(run, system, small_book(), {}).price_usd_per_gpu_hour, 1);
  run.price_usd_per_gpu_hour = 2;
  EXPECT_EQ(predict(run, system, small_book(), {}).price_usd_per_gpu_hour, 2);
  EXPECT_EQ(
      predict(run, system, small_book(), {.price_usd_per_gpu_hour = 3}).price_usd_per_gpu_hour, 3);
}

TEST(Predict, FasterRatesMakeFasterSteps) {
  Record fast = small_cpu();
  for (Line& line : fast.lines) {
    for (double& t : line.measurement.time_s) t /= 2;
  }
  RateBook book;
  book.add(fast);
  const double slow_step =
      predict(gpt2(), small_system(), small_book(), {}).estimates.step_time_s.p50;
  EXPECT_NEAR(predict(gpt2(), small_system(), book, {}).estimates.step_time_s.p50 / slow_step, 0.5,
              1e-9);
}

TEST(Predict, MissingRatesAndKeysAreNamed) {
  EXPECT_THAT(refusal([] { (void)predict(gpt2(), small_system(), RateBook(), {}); }),
              HasSubstr("GEMM rate is known"));
  RateBook no_memory;
  no_memory.add(record_of({gemm_at(1e12, 512, 512, 512)}));
  EXPECT_THAT(refusal([&] { (void)predict(gpt2(), small_system(), no_memory, {}); }),
              HasSubstr("no memory bandwidth"));
  trainmeter::Run no_length = gpt2();
  no_length.seq_len.reset();
  EXPECT_THAT(refusal([&] { (void)predict(no_length, small_system(), small_book(), {}); }),
              HasSubstr("seq_len: missing"));
  System no_peak;
  no_peak.id = "nameless";
  RateBook book;
  book.add(record_of({gemm_at(1e12, 512, 512, 512), small_cpu().lines[4].measurement}));
  EXPECT_THAT(refusal([&] { (void)predict(gpt2(), no_peak, book, {}); }),
              HasSubstr("MFU has no denominator"));
}

TEST(Predict, AnotherDtypeStandsInAndSaysSo) {
  RateBook book;
  book.add(record_of({gemm_at(1e12, 512, 512, 512, "fp32"), small_cpu().lines[4].measurement}));
  const Prediction p = predict(gpt2(), small_system(), book, {});
  EXPECT_THAT(p.assumptions,
              testing::Contains(HasSubstr("no bf16 GEMM rate is known for this device: fp32")));
}

TEST(Predict, PublishedStepOfDeepSeekV3) {
  const Library library = published_library();
  const trainmeter::Run run = library.run("deepseek-v3-step");
  RateBook book;
  book.add_published(library, *run.system);
  const Prediction p = predict(run, *run.system, book, {});
  EXPECT_NEAR(*p.published_step_time_s, 19.926, 1e-9);
  EXPECT_GT(p.estimates.step_time_s.p95,
            7);  // datasheet FLOPs with perfect overlap already take 7 to 8 s
  EXPECT_NEAR(*p.error_pct, (p.estimates.step_time_s.p50 / 19.926 - 1) * 100, 1e-9);
  EXPECT_NEAR(p.null_model.step_time_s.p50, 15360 * 4096 * 249.81e9 / (0.4 * 989e12 * 2048), 0.01);
}

TEST(Predict, EveryKindOfPublishedFigureComesToTheSameStep) {
  trainmeter::Run run = published_library().run("deepseek-v3-step");
  const double tokens = 15360.0 * 4096;
  const double flops = training_flops_per_token(*run.model, {.seq_len = 4096});
  const auto step = [&](Published published) {
    run.published = published;
    return *published_step_time(run, 989e12);
  };
  EXPECT_NEAR(step({.step_time_s = 20}), 20, 1e-12);
  EXPECT_NEAR(step({.tokens_per_s_per_gpu = tokens / 20 / 2048}), 20, 1e-9);
  EXPECT_NEAR(step({.tokens_per_day = tokens / 20 * 86400}), 20, 1e-9);
  EXPECT_NEAR(step({.tflops_per_gpu = tokens * flops / 20 / 2048 / 1e12}), 20, 1e-9);
  EXPECT_NEAR(step({.mfu = tokens * flops / 20 / 2048 / 989e12}), 20, 1e-9);
  run.tokens = 100 * tokens;
  EXPECT_NEAR(step({.gpu_hours = 100 * 20 * 2048 / 3600.0}), 20, 1e-9);
  run.published = {};
  EXPECT_FALSE(published_step_time(run, 989e12));
}
