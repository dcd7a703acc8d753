// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Predictions of published runs and systems, the sampling's promises, and the JSON that others
// read.
#include "workload/step.hpp"

#include "predict_fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <random>

using namespace trainmeter;
using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;

TEST(Predict, APowerCapSlowsHopperDown) {
  json run = read_json("runs", "megatron-h100-16b");
  const Prediction free = predicted(run, kMiddle);
  run["context"]["power_cap_w"] = 350;
  const Prediction capped = predicted(run, kMiddle);
  EXPECT_THAT(capped.assumptions, Contains(HasSubstr("power cap of 350 W")));
  EXPECT_NEAR(part(capped, "gemm") / part(free, "gemm"), std::sqrt(2), 0.01);
  EXPECT_NEAR(part(capped, "memory_bound") / part(free, "memory_bound"), 1, 0.01);
}

TEST(Predict, NoPowerCapOnAChipWhoseFiguresHoldUnderItsOwn) {
  for (const char* id : {"h20", "b200", "a100"}) {
    json run = read_json("runs", "megatron-h100-16b");
    run["system"] = id;
    EXPECT_THAT(predicted(run).assumptions, testing::Not(Contains(HasSubstr("power cap")))) << id;
  }
}

// What isn't printed is sampled: weights of layouts by other factors than the step's own made
// slow layouts likely, and likelier the faster the links were.
TEST(Predict, BetterHardwareIsNeverSlower) {
  json run = {{"id", "mine"},
              {"title", "30 B of experts"},
              {"gpus", 256},
              {"model", "qwen3-30b-a3b"},
              {"tokens", 1e12},
              {"seq_len", 4096},
              {"global_batch_sequences", 2048},
              {"parallel", {{"ep", 8}}}};
  const auto step = [&](const char* key, double times) {
    run["system"] = read_json("systems", "h800");
    if (times != 1) run["system"][key] = run["system"][key].get<double>() * times;
    return predicted(run).estimates.step_time_s;
  };
  const Estimate as_is = step("", 1);
  for (const char* key : {"nic_bytes_per_s", "nvlink_bytes_per_s", "memory_bytes"}) {
    const Estimate better = step(key, 2);
    EXPECT_LT(better.p50, 1.005 * as_is.p50) << key;
    EXPECT_LT(better.p95, 1.01 * as_is.p95) << key;
  }
}

TEST(Predict, ASweepOverTwoNodesIsNotThatOfALargeNode) {
  json run = read_json("runs", "megatron-h100-16b");
  run["system"] = read_json("systems", "h100");
  const Estimate as_is = predicted(run).estimates.step_time_s;
  run["system"]["gpus_per_node"] = 16;
  EXPECT_LT(predicted(run).estimates.step_time_s.p50, 1.005 * as_is.p50);
}

TEST(Predict, AttentionIsInThePrecisionThatTheRunNames) {
  json run = read_json("runs", "megatron-h100-16b");
  const Prediction bf16 = predicted(run, kMiddle);
  run["attention_precision"] = "fp16";  // one datapath
  EXPECT_DOUBLE_EQ(part(predicted(run, kMiddle), "attention_core"), part(bf16, "attention_core"));
  run["attention_precision"] = "fp8";
  const Prediction fp8 = predicted(run, kMiddle);
  EXPECT_LT(part(fp8, "attention_core"), part(bf16, "attention_core"));
  EXPECT_THAT(fp8.assumptions, Contains(HasSubstr("no attention kernel in fp8 is known")));
  run["precision"] = "fp32";
  run["attention_precision"] = "bf16";
  EXPECT_NEAR(part(predicted(run, kMiddle), "attention_core") / part(bf16, "attention_core"), 1,
              1e-3);
}

TEST(Predict, PublishedStepOfDeepSeekV3) {
  const trainmeter::Run run = library().run("deepseek-v3-step");
  const Prediction p = predict(run, *run.system, published_book(*run.system), knowledge(), {});
  EXPECT_NEAR(*p.published_step_time_s, 19.926, 1e-9);
  EXPECT_GT(p.estimates.step_time_s.p05,
            7);  // datasheet FLOPs with perfect overlap already take 7 to 8 s
  EXPECT_NEAR(*p.error_pct, (p.estimates.step_time_s.p50 / 19.926 - 1) * 100, 1e-9);
  EXPECT_NEAR(p.null_model.step_time_s.p50, 15360 * 4096 * 249.81e9 / (0.4 * 989e12 * 2048), 0.01);
  ASSERT_TRUE(p.slot_time_s);
  EXPECT_TRUE(ordered(*p.slot_time_s));
  EXPECT_THAT(p.moves_most, Contains(testing::Field(&std::pair<std::string, double>::first,
                                                    "form of the model")));
  double last = 1;
  for (const auto& [name, share] : p.moves_most) {
    EXPECT_GT(share, 0) << name;
    EXPECT_LE(share, last) << name;
    last = share;
  }
}

// MFU is against bf16's peak, and fp8 GEMMs have twice that.
TEST(Predict, AnMfuAboveOneIsPossibleInFp8) {
  trainmeter::Run run = library().run("llama-3-405b-8k");
  run.published = {};
  run.source.reset();
  run.precision = "fp8";
  run.gpus = 8;
  run.model->layers = 8;
  run.model->hidden = 8192;
  run.model->heads = 64;
  run.model->ffn = 28672;
  run.seq_len = 2048;
  run.global_batch_sequences = 256;
  run.parallel = Parallel{.tp = 1, .zero = 1, .microbatch_sequences = 8};
  // With kernels as fast in the step as alone, at rates near fp8's peak.
  RateBook book = published_book(*run.system);
  book.set_in_place(InPlaceRatios::all_one());
  const Prediction p = predict(run, *run.system, book, knowledge(), {.samples = 0});
  EXPECT_NEAR(p.most_mfu, 2, 0.01);
  Prediction fast = p;
  fast.estimates.mfu.p50 = 1.02;
  EXPECT_NO_THROW(refuse_impossible(fast));
  fast.estimates.mfu.p50 = 2.1;
  EXPECT_THROW(refuse_impossible(fast), BadInput);
  run.precision = "bf16";
  EXPECT_EQ(
      predict(run, *run.system, published_book(*run.system), knowledge(), {.samples = 0}).most_mfu,
      1);
}

TEST(Predict, HowMfuIsCountedIsNoPublishedFigure) {
  trainmeter::Run run = library().run("llama-3-405b-8k");
  run.published = {};
  run.source.reset();
  ASSERT_TRUE(is_plan(run));
  run.published.mfu_attention = AttentionFlops::causal;
  run.published.mfu_peak_flops = 989e12;
  EXPECT_TRUE(is_plan(run));
  run.published.mfu = 0.4;
  EXPECT_FALSE(is_plan(run));
}

// A dense model in bf16 has no experts, and its GEMMs aren't fp8's or Ampere's.
TEST(Predict, WhatMovesNothingIsNotSaidToMoveIt) {
  const trainmeter::Run run = library().run("megatron-h100-70b");
  const RateBook book = published_book(*run.system);
  for (const std::uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    for (const int samples : {100, 1000}) {
      const Prediction p =
          predict(run, *run.system, book, knowledge(), {.samples = samples, .seed = seed});
      EXPECT_FALSE(p.moves_most.empty());
      for (const auto& [name, share] : p.moves_most) {
        for (const char* idle : {"experts_host_s", "traffic_experts", "grouped_gemm",
                                 "in_place_ampere", "in_place_hopper_fp8", "traffic_eager"})
          EXPECT_NE(name, idle) << share << " with seed " << seed << ", " << samples << " draws";
      }
    }
  }
}

TEST(Predict, EveryKindOfPublishedFigureComesToTheSameStep) {
  trainmeter::Run run = library().run("deepseek-v3-step");
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
  run.parallel->recompute = Recompute::full;  // hardware FLOPs count the second forward pass
  EXPECT_NEAR(step({.hfu = tokens * flops * 4 / 3 / 20 / 2048 / 989e12}), 20, 1e-9);
  run.tokens = 100 * tokens;
  EXPECT_NEAR(step({.gpu_hours = 100 * 20 * 2048 / 3600.0}), 20, 1e-9);
  EXPECT_NEAR(step({.wall_hours = 100 * 20 / 3600.0}), 20, 1e-9);
  run.published = {};
  EXPECT_FALSE(published_step_time(run, 989e12));
}

TEST(Predict, ModelAndSystemInlineAreAsGoodAsTheirIds) {
  json run = read_json("runs", "megatron-h100-16b");
  const auto by_id = to_json(predicted(run));
  run["model"] = read_json("models", "gpt-16b");
  run["system"] = read_json("systems", "h100");
  EXPECT_EQ(to_json(predicted(run)), by_id);
}

TEST(Predict, OptionalFieldsMayBeLeftOut) {
  const json full = read_json("runs", "megatron-h100-16b");
  for (const char* key :
       {"family", "precision", "parallel", "stack", "published", "context", "source"}) {
    json run = full;
    run.erase(key);
    const Prediction p = predicted(run);
    EXPECT_TRUE(ordered(p.estimates.step_time_s)) << key;
    EXPECT_FALSE(p.estimates.gpu_hours) << key;  // without tokens
  }
  for (const auto& [key, value] : full.at("parallel").items()) {
    json run = full;
    run["parallel"].erase("dp");
    run["parallel"].erase(key);
    EXPECT_TRUE(ordered(predicted(run).estimates.step_time_s)) << key;
  }
  // What no published file gives: a system of a few figures, a model without a source.
  json least = {{"id", "least"},
                {"title", "Least"},
                {"seq_len", 2048},
                {"global_batch_sequences", 8},
                {"gpus", 8}};
  least["model"] = {{"id", "m"},   {"layers", 4},        {"hidden", 1024},
                    {"heads", 8},  {"head_dim", 128},    {"attention", "mha"},
                    {"ffn", 4096}, {"ffn_kind", "gelu"}, {"vocab", 32000}};
  least["system"] = {{"id", "s"},
                     {"gpu", "G"},
                     {"gpus_per_node", 8},
                     {"sms", 100},
                     {"peak_flops", {{"bf16", 1e15}}},
                     {"memory_bytes_per_s", 3e12}};
  const Prediction p = predicted(least);
  EXPECT_TRUE(ordered(p.estimates.step_time_s));
  EXPECT_THAT(p.assumptions, Contains(HasSubstr("no link bandwidth is known")));
}

TEST(Predict, APublishedFamilyIsPredictedWithoutItself) {
  Knowledge made_up = knowledge();
  Belief other = made_up.calibration.all;
  at(other.log_mean, Factor::in_place_other) = std::log(0.4);
  made_up.calibration.without = {{"mine", other}};
  trainmeter::Run run = gpt2();
  run.family = "mine";
  const Prediction mine = predict(run, small_system(), small_book(), made_up, kMiddle);
  run.family = "somebody else's";
  const Prediction all = predict(run, small_system(), small_book(), made_up, kMiddle);
  EXPECT_NEAR(part(all, "gemm") / part(mine, "gemm"),
              0.4 / std::exp(at(made_up.calibration.all.log_mean, Factor::in_place_other)), 1e-9);
  // Every family of the published runs has its own.
  for (const std::string& id : library().ids("runs")) {
    const trainmeter::Run published = library().run(id);
    if (published.family.empty() || !published.parallel || !published.model) continue;
    const Published& p = published.published;
    if (!p.step_time_s && !p.tokens_per_s_per_gpu && !p.tokens_per_day && !p.tflops_per_gpu &&
        !p.mfu && !p.hfu) {
      continue;
    }
    if (!published.seq_len || !published.global_batch_sequences || !published.system) continue;
    EXPECT_NE(&knowledge().calibration.for_family(published.family), &knowledge().calibration.all)
        << id;
  }
}

TEST(Predict, MoreBandwidthNeverMakesAStepLonger) {
  int compared = 0;
  const std::vector<std::string> ids = library().ids("runs");
  for (std::size_t i = 0; i < ids.size(); i += 4) {  // a quarter of the published runs
    const std::string& id = ids[i];
    json run = read_json("runs", id);
    if (!run.contains("parallel") || !run.contains("system")) continue;
    if (run["system"].is_string()) run["system"] = read_json("systems", run["system"]);
    double before = 0;
    try {
      before = predicted(run, {.samples = 0}).estimates.step_time_s.p50;
    } catch (const BadInput&) {
      continue;  // lacks what a prediction needs
    }
    for (const char* key : {"nvlink_bytes_per_s", "nic_bytes_per_s", "memory_bytes_per_s"}) {
      json faster = run;
      if (!faster["system"].contains(key)) continue;
      faster["system"][key] = 2 * faster["system"][key].get<double>();
      EXPECT_LE(predicted(faster, {.samples = 0}).estimates.step_time_s.p50, before * (1 + 1e-9))
          << id << " " << key;
      ++compared;
    }
  }
  EXPECT_GT(compared, 50);
}

TEST(Predict, WithoutSamplesThereIsNoRange) {
  const Prediction p = predicted(gpt2(), {.samples = 0});
  const Estimate& e = p.estimates.step_time_s;
  EXPECT_EQ(e.p05, e.p50);
  EXPECT_EQ(e.p95, e.p50);
  EXPECT_NEAR(e.p50 / whole(p), 1, 1e-9);  // one layout: its parts with every input at its middle
  EXPECT_TRUE(p.moves_most.empty());
}

TEST(Predict, TakesLittleTimeOnOneCore) {
  const trainmeter::Run run = library().run("megatron-a100-gpt3-1024");
  const RateBook book = published_book(*run.system);
  const auto seconds = [&](int samples) {
    const std::clock_t start = std::clock();  // of this process, not of its neighbours
    (void)predict(run, *run.system, book, knowledge(), {.samples = samples});
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  };
  EXPECT_LT(std::min({seconds(0), seconds(0), seconds(0)}), 0.05);
  EXPECT_LT(seconds(1000), 1);
}

TEST(Predict, JsonHasAllThatTheRunFileClaims) {
  json run = read_json("runs", "megatron-h100-16b");
  run["published"] = {{"mfu", 0.4}, {"mfu_peak_flops", 9.89e14}, {"mfu_attention", "full"}};
  EXPECT_EQ(json(to_json(predicted(run, {.samples = 0})).at("published")), run["published"]);
}

TEST(Predict, JsonHasTheKeysThatOthersReadFor) {
  json run = read_json("runs", "megatron-h100-16b");
  run["tokens"] = 1e12;
  run["price_usd_per_gpu_hour"] = 2;
  const auto out = to_json(predicted(run));
  for (const char* key :
       {"run_id", "system_id", "estimates", "null_model", "breakdown_s", "published", "error_pct",
        "rates", "factors", "assumptions", "moves_most"}) {
    EXPECT_TRUE(out.contains(key)) << key;
  }
  for (const char* group : {"estimates", "null_model"}) {
    for (const char* key : {"step_time_s", "gpu_hours", "mfu", "tflops_per_gpu", "cost_usd"}) {
      const auto& e = out.at(group).at(key);
      EXPECT_EQ(e.size(), 3U);
      EXPECT_TRUE(ordered({e.at("p05"), e.at("p50"), e.at("p95")})) << group << "." << key;
    }
  }
  EXPECT_EQ(out.at("published").at("tflops_per_gpu"), 489.1);
  double sum = 0;
  for (const auto& [name, seconds] : out.at("breakdown_s").items()) sum += seconds.get<double>();
  EXPECT_NEAR(sum / out.at("estimates").at("step_time_s").at("p50").get<double>(), 1, 1e-9);
  for (const auto& rate : out.at("rates")) {
    EXPECT_FALSE(rate.at("origin").get<std::string>().empty());
    EXPECT_GT(rate.at("value"), 0);
    EXPECT_FALSE(rate.at("for").get<std::string>().empty());
    EXPECT_FALSE(rate.at("how").get<std::string>().empty());
  }
  for (const auto& input : out.at("moves_most")) {
    EXPECT_GT(input.at("variance_share"), 0);
    EXPECT_FALSE(input.at("input").get<std::string>().empty());
  }
  EXPECT_EQ(out.dump().find(":null"), std::string::npos);  // no NaN either
}

// Small models of every kind, laid out in every legal way.
TEST(Predict, AnyRunGivesFiniteOrderedEstimates) {
  std::mt19937_64 random(7);
  const auto pick = [&](std::initializer_list<std::int64_t> of) {
    return of.begin()[std::uniform_int_distribution<std::size_t>(0, of.size() - 1)(random)];
  };
  const auto word = [&](std::initializer_list<const char*> of) {
    return of.begin()[std::uniform_int_distribution<std::size_t>(0, of.size() - 1)(random)];
  };
  const auto sometimes = [&] { return pick({0, 1}) == 1; };
  int done = 0;
  for (int i = 0; i < 150; ++i) {
    json model = {{"id", "m"},
                  {"layers", pick({4, 6, 12, 13})},
                  {"hidden", 1024},
                  {"heads", 8},
                  {"head_dim", 128},
                  {"attention", word({"mha", "gqa", "mla"})},
                  {"ffn", 4096},
                  {"ffn_kind", word({"swiglu", "gelu", "relu2"})},
                  {"vocab", 32000},
                  {"tied_embeddings", sometimes()},
                  {"mtp_depth", pick({0, 0, 1})}};
    if (model["attention"] == "gqa") model["kv_heads"] = pick({1, 2, 4, 8});
    if (model["attention"] == "mla") {
      model["q_lora_rank"] = 512;
      model["kv_lora_rank"] = 256;
      model["qk_nope_head_dim"] = 128;
      model["qk_rope_head_dim"] = 64;
      model["v_head_dim"] = 128;
    }
    const bool moe = sometimes();
    if (moe) {
      model["moe"] = {{"experts", 16},
                      {"experts_per_token", pick({1, 2, 4})},
                      {"shared_experts", pick({0, 1})},
                      {"expert_ffn", 512},
                      {"dense_layers", pick({0, 1})}};
    }
    json run = {{"id", "any"},
                {"title", "Any"},
                {"model", model},
                {"system", word({"h100", "h800", "a100", "b200", "h200"})},
                {"precision", word({"bf16", "fp8", "bf16"})},
                {"stack", word({"megatron", "fsdp", "other", "deepseek"})},
                {"seq_len", pick({512, 2048, 8192})}};
    const std::int64_t tp = pick({1, 2, 4}), pp = pick({1, 1, 2, 4}), cp = pick({1, 1, 2}),
                       dp = pick({1, 2, 8}), ep = moe ? pick({1, 2, 4}) : 1;
    run["gpus"] = tp * pp * cp * dp;
    run["global_batch_sequences"] = dp * pick({4, 8, 16});
    run["parallel"] = {{"tp", tp}, {"pp", pp}, {"cp", cp}, {"ep", ep}};
    if (sometimes()) run["parallel"]["recompute"] = word({"none", "selective", "full"});
    if (sometimes()) run["parallel"]["zero"] = pick({0, 1, 2, 3});
    if (sometimes()) run["parallel"]["microbatch_sequences"] = pick({1, 2});
    if (sometimes()) run["parallel"]["overlap"] = {"dp", "ep"};
    if (sometimes()) run["tokens"] = 1e9;
    SCOPED_TRACE(run.dump());
    try {
      const Prediction p = predicted(run, {.samples = 100, .seed = static_cast<std::uint64_t>(i)});
      ++done;
      const RunEstimates& e = p.estimates;
      EXPECT_TRUE(ordered(e.step_time_s) && ordered(e.mfu) && ordered(e.tflops_per_gpu));
      EXPECT_LT(e.mfu.p95, 1.5);  // against the bf16 peak; fp8 may exceed it
      EXPECT_EQ(e.gpu_hours.has_value(), run.contains("tokens"));
      if (e.gpu_hours) {
        EXPECT_TRUE(ordered(*e.gpu_hours));
      }
      EXPECT_EQ(p.slot_time_s.has_value(), pp > 1);
      if (p.slot_time_s) {
        EXPECT_TRUE(ordered(*p.slot_time_s));
      }
      for (const auto& [name, seconds] : p.breakdown_s) {
        EXPECT_TRUE(std::isfinite(seconds) && seconds > 0) << name;
      }
    } catch (const BadInput& error) {  // ep must divide dp x cp x tp; DualPipe needs a long batch
      EXPECT_THAT(error.what(), HasSubstr("parallel."));
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(done, 90);
}
