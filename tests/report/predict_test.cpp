// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One run's prediction against sums done by hand, and what the bill refuses and assumes.
#include "workload/step.hpp"

#include "predict_fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

using namespace trainmeter;
using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

TEST(Predict, PartsAreWorkOverRate) {
  const trainmeter::Run run = gpt2();
  const Prediction p = predicted(run);
  const auto tokens = static_cast<double>(*run.seq_len * *run.global_batch_sequences);
  double linear = 0, core = 0;
  for (const Component& c : components(*run.model, {.seq_len = *run.seq_len})) {
    (c.name == "attention_core" ? core : linear) += c.training_flops_per_token;
  }
  // Every GEMM at 1 TFLOP/s, attention at 0.65 of that, backward 2.5 x forward where the count has
  // 2: both times what they keep in place.
  // A third of the FLOPs is wgrad's.
  const double pass = (2 + 1 / factor(run, Factor::weight_pass)) / 3;
  EXPECT_NEAR(
      part(p, "gemm") / (tokens * linear / 1e12 / factor(run, Factor::in_place_other) * pass), 1,
      1e-9);
  EXPECT_NEAR(part(p, "attention_core") /
                  (tokens * core * 3.5 / 3 / 0.65e12 / factor(run, Factor::attention_fused)),
              1, 2e-3);  // half the square, with or without the diagonal
  // Least bytes of a layer, in bf16: 16 h around norms and residuals, 5 of the activation's 4 h;
  // and embedding, final norm, loss.
  const auto h = static_cast<double>(run.model->hidden);
  const auto layers = static_cast<double>(run.model->layers);
  const auto vocabulary = static_cast<double>(run.model->vocab);
  const double elements =
      layers * (16 * h + 5 * static_cast<double>(run.model->ffn)) + 4 * h + 5 * h + 3 * vocabulary;
  EXPECT_NEAR(
      part(p, "memory_bound") / (tokens * elements * 2 / 20e9 * factor(run, Factor::traffic_fused)),
      1, 1e-9);
  const double optimizer = optimizer_bytes(parameters(*run.model)) / 20e9;
  EXPECT_NEAR(part(p, "optimizer_and_overhead") / (optimizer * factor(run, Factor::traffic_fused) +
                                                   factor(run, Factor::step_overhead_s)),
              1, 0.01);  // positions and biases apart
  EXPECT_TRUE(std::isnan(part(p, "pipeline_bubble")));
  EXPECT_TRUE(std::isnan(part(p, "data_parallel")));
  EXPECT_TRUE(std::isnan(part(p, "jitter_of_nodes")));
  EXPECT_FALSE(p.slot_time_s);
  EXPECT_NEAR(p.estimates.step_time_s.p50 / whole(p), 1, 0.05);
}

TEST(Predict, RatesNameWhatTheyAreFor) {
  const Prediction p = predicted(gpt2());
  double shares = 0, last = 1;
  bool gemm = false;
  for (const UsedRate& used : p.rates) {
    shares += used.share;
    EXPECT_LE(used.share, last);  // the most time first
    last = used.share;
    EXPECT_THAT(used.rate.origin, HasSubstr("test.jsonl:")) << used.what;
    gemm = gemm || used.what == "ffn_up fprop 4096x3072x768 bf16";
  }
  EXPECT_TRUE(gemm);
  EXPECT_GT(shares, 0.6);  // the rates as measured, before what they lose in place
  EXPECT_LT(shares, 1);
}

TEST(Predict, EstimatesBelongTogether) {
  const trainmeter::Run run = gpt2();
  const Prediction p = predicted(run, {.price_usd_per_gpu_hour = 3});
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

TEST(Predict, GoodputLengthensTheHoursAndNotTheStep) {
  trainmeter::Run run = gpt2();
  const Prediction all = predicted(run);
  run.goodput = 0.8;
  const Prediction most = predicted(run);
  EXPECT_EQ(all.estimates.step_time_s.p50, most.estimates.step_time_s.p50);
  EXPECT_NEAR(most.estimates.gpu_hours->p50 / all.estimates.gpu_hours->p50, 1.25, 1e-12);
  EXPECT_EQ(to_json(most).at("goodput"), 0.8);
}

TEST(Predict, TheSeedFixesTheResult) {
  const Prediction a = predicted(gpt2(), {.seed = 3});
  const Prediction b = predicted(gpt2(), {.seed = 3});
  const Prediction c = predicted(gpt2(), {.seed = 4});
  EXPECT_EQ(to_json(a), to_json(b));
  EXPECT_NE(a.estimates.step_time_s.p95, c.estimates.step_time_s.p95);
  EXPECT_NEAR(a.estimates.step_time_s.p95 / c.estimates.step_time_s.p95, 1, 0.05);
}

TEST(Predict, PriceOfTheOptionBeforeTheRunsBeforeTheSystems) {
  trainmeter::Run run = gpt2();
  System system = small_system();
  const auto price = [&](const PredictOptions& options) {
    return predict(run, system, small_book(), knowledge(), options);
  };
  EXPECT_FALSE(price({}).estimates.cost_usd);
  EXPECT_THAT(price({}).assumptions, Contains(HasSubstr("--price")));
  system.price_usd_per_gpu_hour = 1;
  EXPECT_EQ(price({}).price_usd_per_gpu_hour, 1);
  run.price_usd_per_gpu_hour = 2;
  EXPECT_EQ(price({}).price_usd_per_gpu_hour, 2);
  EXPECT_EQ(price({.price_usd_per_gpu_hour = 3}).price_usd_per_gpu_hour, 3);
  EXPECT_THAT(price({}).assumptions, Not(Contains(HasSubstr("--price"))));
}

TEST(Predict, FasterRatesMakeFasterSteps) {
  Record fast = small_cpu();
  for (Line& line : fast.lines) {
    for (double& t : line.measurement.time_s) t /= 2;
  }
  RateBook book;
  book.describe(small_system());
  book.add(fast);
  const trainmeter::Run run = gpt2();
  const Prediction slow_step = predicted(run);
  const Prediction fast_step = predict(run, small_system(), book, knowledge(), {});
  EXPECT_LT(fast_step.estimates.step_time_s.p50, slow_step.estimates.step_time_s.p50);
  // All but the constant overhead is halved.
  const double overhead = factor(run, Factor::step_overhead_s);
  EXPECT_NEAR((whole(fast_step) - overhead) / (whole(slow_step) - overhead), 0.5, 1e-9);
}

TEST(Predict, MissingRatesAndKeysAreNamed) {
  const auto refused = [](const trainmeter::Run& run, const System& system, const RateBook& book) {
    return refusal([&] { (void)predict(run, system, book, knowledge(), {}); });
  };
  RateBook only_memory;
  only_memory.add(record_of({small_cpu().lines[4].measurement}));
  EXPECT_THAT(
      refused(gpt2(), small_system(), only_memory),
      testing::AllOf(HasSubstr("no bf16 GEMM rate is known for small"), HasSubstr("gemm_bench")));
  RateBook no_memory;
  no_memory.add(record_of({gemm_at(1e12, 512, 512, 512)}));
  EXPECT_THAT(refused(gpt2(), small_system(), no_memory),
              testing::AllOf(HasSubstr("no memory bandwidth"), HasSubstr("memory_bench")));
  for (const auto& [key, forget] :
       std::initializer_list<std::pair<const char*, void (*)(trainmeter::Run&)>>{
           {"seq_len", [](trainmeter::Run& r) { r.seq_len.reset(); }},
           {"global_batch_sequences", [](trainmeter::Run& r) { r.global_batch_sequences.reset(); }},
           {"model", [](trainmeter::Run& r) { r.model.reset(); }}}) {
    trainmeter::Run run = gpt2();
    forget(run);
    EXPECT_THAT(refused(run, small_system(), small_book()),
                HasSubstr(std::string(key) + ": missing"));
  }
  System no_peak;
  no_peak.id = "nameless";
  no_peak.kind = "cpu";
  RateBook book;
  book.add(record_of({gemm_at(1e12, 512, 512, 512), small_cpu().lines[4].measurement}));
  EXPECT_THAT(refused(gpt2(), no_peak, book), HasSubstr("MFU has no denominator"));
  EXPECT_THAT(refusal([] { (void)predicted(gpt2(), {.samples = 99}); }), HasSubstr("--samples"));
}

TEST(Predict, ImpossibleLayoutsAreRefusedByFileAndKey) {
  const json published = read_json("runs", "megatron-h100-16b");
  const auto refused = [&](const char* key, const json& value) {
    json run = published;
    run["parallel"].erase("dp");
    if (std::string(key) == "gpus" || std::string(key) == "global_batch_sequences") {
      run[key] = value;
    } else {
      run["parallel"][key] = value;
    }
    return refusal([&] { (void)predicted(run); });
  };
  EXPECT_THAT(refused("tp", 5), HasSubstr("mine.json: gpus"));
  EXPECT_THAT(refused("tp", 64), HasSubstr("mine.json: parallel.tp"));  // of 48 heads
  EXPECT_THAT(refused("dp", 47), HasSubstr("mine.json: parallel.dp"));
  EXPECT_THAT(refused("ep", 2), HasSubstr("mine.json: parallel.ep"));
  EXPECT_THAT(refused("pp", 48), HasSubstr("mine.json: "));
  EXPECT_THAT(refused("global_batch_sequences", 100),
              HasSubstr("mine.json: global_batch_sequences"));
  EXPECT_THAT(refused("microbatch_sequences", 3),
              HasSubstr("mine.json: parallel.microbatch_sequences"));
  EXPECT_THAT(refused("gpus", 0), HasSubstr("mine.json: gpus"));
  EXPECT_THAT(refused("tp", -4), HasSubstr("mine.json: parallel.tp"));
  json moe = read_json("runs", "mbridge-26.02-h100-qwen330ba3b");
  moe["parallel"]["ep"] = 3;  // of 128 experts
  EXPECT_THAT(refusal([&] { (void)predicted(moe); }), HasSubstr("mine.json: parallel.ep"));
}

TEST(Predict, AnotherDtypeStandsInAndSaysSo) {
  RateBook book;
  book.describe(small_system());
  book.add(record_of({gemm_at(1e12, 512, 512, 512, "fp32"), small_cpu().lines[4].measurement}));
  const Prediction p = predict(gpt2(), small_system(), book, knowledge(), {});
  EXPECT_THAT(p.assumptions,
              Contains(HasSubstr("no bf16 GEMM rate is known for this device: fp32")));
  // The nearest in width first.
  book.add(record_of({gemm_at(1e12, 512, 512, 512, "fp16")}));
  EXPECT_THAT(predict(gpt2(), small_system(), book, knowledge(), {}).assumptions,
              Contains(HasSubstr("no bf16 GEMM rate is known for small: fp16's, as fast")));
}

TEST(Predict, AGpuThatNobodyMeasuredIsTakenAtItsDatasheet) {
  json run = read_json("runs", "megatron-h100-16b");
  run["system"] = read_json("systems", "h100");
  run["system"]["id"] = "mine";
  run["system"]["sms"] = 140;
  const Prediction p = predicted(run);
  EXPECT_THAT(p.assumptions, Contains(HasSubstr("no bf16 GEMM rate is known for mine")));
  EXPECT_THAT(p.assumptions, Contains(HasSubstr("memory bandwidth: 0.87 of the datasheet's")));
  EXPECT_THAT(p.assumptions, Contains(HasSubstr("no attention kernel is known")));
  EXPECT_TRUE(ordered(p.estimates.step_time_s));
}

// On a CPU, any that was measured; on a GPU ours may be slower than what the run had, and is taken
// only where it is no slower than the assumption.
TEST(Predict, TakesTheAttentionThatWasMeasuredHere) {
  const auto core_s = [](const char* kind, double share_of_gemm) {
    System system = small_system();
    system.kind = kind;
    RateBook book;
    book.describe(system);
    book.add(small_cpu());
    for (const char* pass : {"attention_forward", "attention_backward"}) {
      if (!(share_of_gemm > 0)) continue;
      Measurement m = measured(pass, "bf16", "ours",
                               {{"heads", 12},
                                {"kv_heads", 12},
                                {"queries", 1024},
                                {"seq_len", 1024},
                                {"head_dim", 64},
                                {"value_dim", 64},
                                {"causal", 1}},
                               0, 1);
      m.flops = share_of_gemm * 1e12;
      book.add(record_of({m}));
    }
    const Prediction p = predict(gpt2(), system, book, knowledge(), {});
    const bool assumed = std::ranges::any_of(p.assumptions, [](const std::string& text) {
      return text.find("no attention kernel is known") != std::string::npos;
    });
    return std::pair(part(p, "attention_core"), assumed);
  };
  const auto [nothing, said] = core_s("cpu", 0);
  EXPECT_TRUE(said);
  EXPECT_NEAR(core_s("cpu", 0.1).first / nothing, 6.5, 1e-6);
  EXPECT_FALSE(core_s("cpu", 0.1).second);
  EXPECT_NEAR(core_s("gpu", 0.1).first / core_s("gpu", 0).first, 1, 1e-6);
  EXPECT_TRUE(core_s("gpu", 0.1).second);
  EXPECT_NEAR(core_s("gpu", 1.3).first / core_s("gpu", 0).first, 0.5, 1e-6);
}
