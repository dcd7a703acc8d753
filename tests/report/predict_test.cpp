// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One run's prediction against sums done by hand, and what the bill refuses and assumes.
#include "report/charts.hpp"
#include "report/price.hpp"
#include "report/stack.hpp"
#include "workload/step.hpp"

#include "predict_fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

using namespace trainmeter;
using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

TEST(Predict, PartsAreWorkOverRate) {
  const trainmeter::Run run = gpt2();
  const Prediction p = predicted(run, kMiddle);
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

// A draw and its opposite leave the middle little to chance.
TEST(Predict, TheMiddleHardlyDependsOnTheSeed) {
  std::vector<double> middles;
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    middles.push_back(predicted(gpt2(), {.seed = seed}).estimates.step_time_s.p50);
  }
  const auto [least, most] = std::ranges::minmax(middles);
  EXPECT_LT(most / least, 1.015);
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
  run.system = system;  // on another the run's price doesn't count
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
  const Prediction slow_step = predicted(run, kMiddle);
  const Prediction fast_step = predict(run, small_system(), book, knowledge(), kMiddle);
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
  System gpu = toy_gpu();  // which our programs may not run on
  gpu.memory_bytes_per_s.reset();
  EXPECT_THAT(refused(gpt2(), gpu, no_memory),
              HasSubstr("give memory_bytes_per_s in the system's file, or a record"));
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
  EXPECT_THAT(p.assumptions, Contains(HasSubstr("no attention kernel in bf16 is known")));
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
    const Prediction p = predict(gpt2(), system, book, knowledge(), kMiddle);
    const bool assumed = std::ranges::any_of(p.assumptions, [](const std::string& text) {
      return text.find("no attention kernel in bf16 is known") != std::string::npos;
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

TEST(Predict, CommunicationMustLeaveSmsToComputeOn) {
  trainmeter::Run run = library().run("deepseek-v3-step");
  System system = library().system("h800");
  for (const std::int64_t sms : {2, 20}) {
    system.sms = sms;
    EXPECT_THAT(refusal([&] { (void)stacks_of(run, system); }),
                HasSubstr(fmt::format("h800 has {}: none is left to compute on", sms)));
  }
  system.sms = 40;
  EXPECT_NEAR(stacks_of(run, system).front().compute_sms, 0.5, 1e-12);
  // It is dispatch and combine between GPUs that has SMs of its own.
  const std::string attention = stacks_of(run, system).front().attention;
  run.parallel->ep = 1;
  EXPECT_EQ(stacks_of(run, system).front().compute_sms, 1);
  EXPECT_EQ(stacks_of(run, system).front().attention, attention);
  system.sms = 20;
  EXPECT_EQ(stacks_of(run, system).front().compute_sms, 1);
}

TEST(Predict, NothingFasterThanThePeakIsPredicted) {
  const auto with_fp16_at = [](double flops_per_s) {
    RateBook book;
    System system = small_system();
    system.peak_flops["fp16"] = 4e12;
    book.describe(system);
    book.add(record_of({gemm_at(flops_per_s, 1024, 1024, 1024, "fp16"),
                        measured("triad", "fp64", "openmp", {{"bytes", 1 << 27}}, 3.0 * (1 << 27),
                                 3.0 * (1 << 27) / 200e9)}));
    return predict(gpt2(), system, book, knowledge(), {});  // fp16 stands for bf16
  };
  const Prediction slow = with_fp16_at(1e12);
  EXPECT_LT(slow.estimates.mfu.p95, 1);
  // Draws are bounded by 2 TFLOP/s in bf16 before the middle one is beyond it.
  const Prediction near = with_fp16_at(2.4e12);
  EXPECT_LT(near.estimates.mfu.p50, 1);
  EXPECT_NEAR(near.estimates.mfu.p95, 1, 1e-9);
  EXPECT_THAT(refusal([&] { (void)with_fp16_at(40e12); }),
              HasSubstr("would be faster than its FLOPs at the peak"));
}

TEST(Predict, ImpossibleFiguresAreRefused) {
  const Prediction good = predicted(gpt2());
  refuse_impossible(good);
  const auto refused = [&](const std::function<void(Prediction&)>& spoil) {
    Prediction bad = good;
    spoil(bad);
    return refusal([&] { refuse_impossible(bad); });
  };
  EXPECT_THAT(refused([](auto& p) { p.estimates.mfu.p50 = 127.8; }),
              HasSubstr("run gpt2-124m-10b on small: an MFU of 12780 %, which is impossible"));
  EXPECT_THAT(refused([](auto& p) { p.rates.front().share = 173.86; }),
              HasSubstr("17386.0 % of the step"));
  EXPECT_THAT(refused([](auto& p) { p.rates.front().share = -0.1; }), HasSubstr("of the step"));
  EXPECT_THAT(refused([](auto& p) { p.slot_time_s = Estimate{-3, -2, -1}; }), HasSubstr("slot"));
  EXPECT_THAT(refused([](auto& p) { p.slot_time_s = Estimate{0, 0, 0}; }), HasSubstr("slot"));
  EXPECT_THAT(refused([](auto& p) { p.estimates.step_time_s.p05 = NAN; }), HasSubstr("a step of"));
  EXPECT_THAT(refused([](auto& p) { p.breakdown_s.emplace_back("moe", -1); }), HasSubstr("moe of"));
}

TEST(Predict, ARegisterLoopThatAGemmExceedsIsNoPeak) {
  Record record = small_cpu();
  record.lines[3].measurement = measured("fma", "bf16", "registers", {{"cores", 2}}, 0.8e12, 1);
  RateBook book;
  book.add(record);
  System system = small_system();
  system.peak_flops = {{"bf16", book.register_peak("bf16")->value}};
  const Prediction p = predict(gpt2(), system, book, knowledge(), {});
  EXPECT_NEAR(p.mfu_peak_flops / 1e12, 1, 1e-9);  // the GEMM's
  EXPECT_NEAR(p.null_model.mfu.p50, kNullMfu, 1e-9);
}

TEST(Predict, OnAnotherSystemNothingOfItsOwnIsUsed) {
  trainmeter::Run run = library().run("gpt2-124m-10b");  // on a100, at its price
  run.context.power_cap_w = 300;
  const auto on = [&](const char* id, const PredictOptions& options = {.samples = 0}) {
    const System system = library().system(id);
    return predict(run, system, published_book(system), knowledge(), options);
  };
  const Prediction own = on("a100");
  EXPECT_TRUE(own.published_step_time_s && own.error_pct);
  EXPECT_EQ(own.price_usd_per_gpu_hour, run.price_usd_per_gpu_hour);
  const Prediction other = on("h100");
  EXPECT_FALSE(other.published_step_time_s);
  EXPECT_FALSE(other.error_pct);
  EXPECT_EQ(to_json(other).at("published"), json::object());
  EXPECT_TRUE(to_json(other).at("error_pct").is_null());
  EXPECT_EQ(other.price_usd_per_gpu_hour, library().system("h100").price_usd_per_gpu_hour);
  EXPECT_THAT(other.assumptions, Contains(HasSubstr("as on h100, not on a100")));
  EXPECT_THAT(other.assumptions, Not(Contains(HasSubstr("power cap of 300 W"))));
  EXPECT_EQ(on("h100", {.price_usd_per_gpu_hour = 5, .samples = 0}).price_usd_per_gpu_hour, 5);
  EXPECT_FALSE(on("b200").estimates.cost_usd);  // its file has no price
  // Nor the peak that its source divides by.
  run = library().run("deepseek-v3-step");
  EXPECT_EQ(on("b200").mfu_peak_flops, library().system("b200").peak_flops.at("bf16"));
}

TEST(Predict, ASystemUnderAPublishedIdWithOtherFiguresIsNamed) {
  System system = library().system("h100");
  EXPECT_EQ(differs_from_published(system, library()), "");
  system.nic_bytes_per_s = 1e9;  // no rate stands in for it
  EXPECT_EQ(differs_from_published(system, library()), "");
  system.peak_flops["bf16"] /= 4;
  *system.memory_bytes_per_s /= 2;
  EXPECT_THAT(differs_from_published(system, library()),
              HasSubstr("system h100: peak_flops, memory_bytes_per_s as given, not as of the "
                        "published h100, whose measured rates are taken all the same"));
  system.id = "mine";
  EXPECT_EQ(differs_from_published(system, library()), "");
}

TEST(Predict, SaysWhatTheRunLeavesOut) {
  json run = read_json("runs", "gpt2-124m-10b");
  for (const char* key : {"precision", "stack", "parallel", "goodput"}) run.erase(key);
  const Prediction p = predicted(run, {.samples = 0});
  for (const char* text :
       {"precision isn't printed: bf16 assumed", "stack isn't printed: megatron assumed",
        "parallel isn't printed: a whole model on each device assumed",
        "goodput isn't printed: all of the wall time trains"}) {
    EXPECT_THAT(p.assumptions, Contains(text));
  }
  run["precision"] = "fp16";
  const Prediction given = predicted(run, {.samples = 0});
  EXPECT_THAT(given.assumptions, Not(Contains(HasSubstr("precision isn't printed"))));
  EXPECT_EQ(to_json(given).at("precision"), "fp16");
  EXPECT_EQ(to_json(given).at("gpus"), run.at("gpus"));
}

TEST(Predict, ThePriceSaysWhose) {
  const trainmeter::Run run = library().run("gpt2-124m-10b");
  const System h100 = library().system("h100");
  const System h200 = library().system("h200");
  EXPECT_EQ(price_of(run, h100, {.price_usd_per_gpu_hour = 3}).how, "as asked for");
  EXPECT_THAT(price_of(run, h100, {}).how, HasSubstr("the run's own: "));
  trainmeter::Run unpriced = run;
  unpriced.price_usd_per_gpu_hour.reset();
  unpriced.system = h100;
  EXPECT_EQ(price_of(unpriced, h200, {}).how,
            "AWS on demand, March 2025, in Epoch AI hardware prices");
  EXPECT_THAT(prices_apart(unpriced, h200), AllOf(HasSubstr("$10.60 of h200 (AWS on demand"),
                                                  HasSubstr("$2.99 of h100 (RunPod")));
  EXPECT_EQ(prices_apart(unpriced, h100), "");
  EXPECT_EQ(prices_apart(unpriced, library().system("b200")), "");  // has no price
  EXPECT_EQ(price_of(unpriced, small_system(), {}).how, "");
}

// Its list of plausible layouts is a sentence, and what has no rate is named by what there is.
TEST(Predict, WordsFitWhatThereIs) {
  const Prediction p = predicted(gpt2());
  const std::string chart = to_text({basis_chart(p)}, {});
  EXPECT_THAT(chart, HasSubstr("no rate: slower in place"));
  EXPECT_THAT(chart, Not(HasSubstr("bubbles")));
  for (const std::string& text : p.assumptions) EXPECT_FALSE(text.ends_with(":")) << text;
  const trainmeter::Run run = library().run("deepseek-v3-step");
  const Prediction piped =
      predict(run, *run.system, published_book(*run.system), knowledge(), {.samples = 0});
  EXPECT_THAT(to_text({basis_chart(piped)}, {}), HasSubstr(", bubbles"));
  for (const std::string& text : piped.assumptions) EXPECT_FALSE(text.ends_with(":")) << text;
}

TEST(Predict, WhatAStepRestsOnIsNamedAsItIs) {
  Prediction p = predicted(gpt2());
  p.rates.clear();
  for (const auto& [basis, share] :
       {std::pair(Basis::datasheet, 0.08), std::pair(Basis::assumed, 0.128),
        std::pair(Basis::published, 0.2), std::pair(Basis::measured, 0.3)})
    p.rates.push_back(
        {.what = "a", .rate = {.value = 1, .how = "x", .basis = basis}, .share = share});
  const std::string text = to_text({basis_chart(p)}, {});
  const auto row = [&](const char* what, const char* share) {
    const auto at = text.find(what);
    return at != std::string::npos &&
           text.substr(at, text.find('\n', at) - at).find(share) != std::string::npos;
  };
  EXPECT_TRUE(row("a share of the datasheet", "8.0 %")) << text;
  EXPECT_TRUE(row("assumed: a share of another kernel's rate", "12.8 %")) << text;
  EXPECT_TRUE(row("published rates", "20.0 %")) << text;
  EXPECT_TRUE(row("measured, carried from others", "30.0 %")) << text;
}
