// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One run's prediction against sums done by hand, what the bill refuses and assumes, the sampling's
// promises, and the JSON that others read.
#include "report/predict.hpp"

#include "workload/step.hpp"

#include "fixtures.hpp"
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
using testing::Not;

namespace {

const Library& library() {
  static const Library kLibrary = published_library();
  return kLibrary;
}

const Knowledge& knowledge() {
  static const Knowledge kKnowledge = load_knowledge(library());
  return kKnowledge;
}

Run gpt2() {
  trainmeter::Run run = library().run("gpt2-124m-10b");
  run.gpus = 1;
  Parallel layout;
  layout.microbatch_sequences = 4;
  layout.recompute = "none";
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
  book.describe(small_system());
  book.add(small_cpu());
  return book;
}

RateBook published_book(const System& system) {
  RateBook book;
  book.add_published(library(), system);
  return book;
}

Prediction predicted(const trainmeter::Run& run, const PredictOptions& options = {}) {
  return predict(run, small_system(), small_book(), knowledge(), options);
}

// A published system and a run in one JSON, as a user would write it.
Prediction predicted(const json& run_json, const PredictOptions& options = {}) {
  const trainmeter::Run run = read_run(StrictObject(run_json, "mine.json"), library());
  return predict(run, *run.system, published_book(*run.system), knowledge(), options);
}

json read_json(const char* kind, const std::string& id) {
  return json::parse(slurp(library().root() / kind / (id + ".json")));
}

double factor(const trainmeter::Run& run, Factor f) {
  return std::exp(at(knowledge().calibration.for_family(run.family).log_mean, f));
}

double part(const Prediction& p, const std::string& name) {
  for (const auto& [key, seconds] : p.breakdown_s) {
    if (key == name) return seconds;
  }
  return NAN;
}

double whole(const Prediction& p) {
  double sum = 0;
  for (const auto& [name, seconds] : p.breakdown_s) sum += seconds;
  return sum;
}

bool ordered(const Estimate& e) {
  return std::isfinite(e.p05) && std::isfinite(e.p95) && 0 < e.p05 && e.p05 <= e.p50 &&
         e.p50 <= e.p95;
}

}  // namespace

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

TEST(Predict, APowerCapSlowsHopperDown) {
  json run = read_json("runs", "megatron-h100-16b");
  const Prediction free = predicted(run);
  run["context"]["power_cap_w"] = 350;
  const Prediction capped = predicted(run);
  EXPECT_THAT(capped.assumptions, Contains(HasSubstr("power cap of 350 W")));
  EXPECT_NEAR(part(capped, "gemm") / part(free, "gemm"), std::sqrt(2), 1e-9);
  EXPECT_NEAR(part(capped, "memory_bound") / part(free, "memory_bound"), 1, 1e-9);
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
  run.parallel->recompute = "full";  // hardware FLOPs count the second forward pass
  EXPECT_NEAR(step({.hfu = tokens * flops * 4 / 3 / 20 / 2048 / 989e12}), 20, 1e-9);
  run.tokens = 100 * tokens;
  EXPECT_NEAR(step({.gpu_hours = 100 * 20 * 2048 / 3600.0}), 20, 1e-9);
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
  const Prediction mine = predict(run, small_system(), small_book(), made_up, {});
  run.family = "somebody else's";
  const Prediction all = predict(run, small_system(), small_book(), made_up, {});
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
  EXPECT_NEAR(sum / out.at("estimates").at("step_time_s").at("p50").get<double>(), 1, 0.1);
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
