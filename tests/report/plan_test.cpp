// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Plans: the order of layouts, that they agree with predictions, and how far published runs whose
// authors tuned them are from the fastest.
#include "report/plan.hpp"

#include "record/error.hpp"
#include "report/plan_request.hpp"

#include "predict_fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

using namespace trainmeter;
using testing::HasSubstr;
using testing::ThrowsMessage;

namespace {

const System& h100() {
  static const System kSystem = library().system("h100");
  return kSystem;
}

// Llama 3 8B on 64 H100: small enough for many layouts to fit.
PlanFile asked() {
  PlanFile file =
      read_request({.run = "", .model = "llama-3-8b", .gpus = 64, .tokens = 1e12}, library());
  fill_in(file, h100());
  return file;
}

LayoutPlan planned(const trainmeter::Run& run, const PlanOptions& options = {}) {
  static const RateBook kBook = published_book(h100());
  return make_plan(run, h100(), kBook, knowledge(), options);
}

const LayoutPlan& plan_of_64() {
  static const LayoutPlan kPlan = planned(asked().run);
  return kPlan;
}

double middle_step(const PlannedLayout& planned) {
  return planned.prediction.estimates.step_time_s.p50;
}

}  // namespace

TEST(Plan, TheFastestComesFirstAndEverySizeOnce) {
  const LayoutPlan& plan = plan_of_64();
  ASSERT_EQ(plan.best.size(), PlanOptions{}.most);
  EXPECT_TRUE(std::ranges::is_sorted(plan.best, {}, middle_step));
  std::set<std::string> sizes;
  for (const PlannedLayout& planned : plan.best) {
    const Parallel& p = planned.layout.parallel;
    sizes.insert(fmt::format("{} {} {} {}", p.tp, p.pp, p.cp, p.ep));
    EXPECT_LE(planned.layout.held_bytes, *h100().memory_bytes);
  }
  EXPECT_EQ(sizes.size(), plan.best.size());
  EXPECT_GE(plan.legal, plan.fitting);
  EXPECT_GT(plan.fitting, plan.sizes);
}

// Of all that fit, priced here one by one.
TEST(Plan, NothingThatFitsIsFasterThanTheFirst) {
  const PlanOptions middle{.predict = kMiddle, .most = 1};
  const trainmeter::Run run = asked().run;
  const LayoutPlan plan = planned(run, middle);
  const RateBook book = published_book(h100());
  const FactorValues centre = step_belief(run, h100(), book, knowledge()).centre;
  trainmeter::Run with = run;
  double least = std::numeric_limits<double>::infinity();
  for (const FittingLayout& layout : search_layouts(run, h100()).fitting) {
    with.parallel = layout.parallel;
    least = std::min(least, central_step_s(candidates(with, h100(), book, centre), centre));
  }
  EXPECT_DOUBLE_EQ(middle_step(plan.best.front()), least);
}

TEST(Plan, AgreesWithThePredictionOfItsRunFile) {
  const PlanFile file = asked();
  const LayoutPlan& plan = plan_of_64();
  const nlohmann::json json =
      run_file(file, plan.best.front().layout.parallel, "h100", h100(), library(), std::nullopt);
  const trainmeter::Run run = read_run(StrictObject(json, "best.json"), library());
  const Prediction p = predict(run, *run.system, published_book(h100()), knowledge(), {});
  const RunEstimates& e = plan.best.front().prediction.estimates;
  EXPECT_EQ(p.estimates.step_time_s.p05, e.step_time_s.p05);
  EXPECT_EQ(p.estimates.step_time_s.p50, e.step_time_s.p50);
  EXPECT_EQ(p.estimates.cost_usd->p95, e.cost_usd->p95);
  // Planned again it is its own best layout.
  const LayoutPlan again = planned(run);
  ASSERT_TRUE(again.own);
  EXPECT_EQ(again.own->why_not, "");
  EXPECT_EQ(again.own->faster, 0U);
  EXPECT_DOUBLE_EQ(again.own->over_best, 1);
}

TEST(Plan, ComparesDrawByDraw) {
  const LayoutPlan& plan = plan_of_64();
  double chances = 0;
  for (const PlannedLayout& planned : plan.best) {
    chances += planned.chance_fastest.value();
    const double over = middle_step(planned) / middle_step(plan.best.front());
    EXPECT_NEAR(planned.over_first.p50, over, 0.03);
    // What both have in common cancels.
    const Estimate& step = planned.prediction.estimates.step_time_s;
    EXPECT_LE(planned.over_first.p95 / planned.over_first.p05,
              step.p95 / step.p05 * step.p95 / step.p05);
  }
  EXPECT_NEAR(chances, 1, 1e-9);
  EXPECT_EQ(plan.best.front().over_first.p05, 1);
  EXPECT_EQ(plan.best.front().over_first.p95, 1);
  EXPECT_GT(*plan.best.front().chance_fastest, *plan.best.back().chance_fastest);
  EXPECT_FALSE(planned(asked().run, {.predict = kMiddle}).best.front().chance_fastest);
}

// What isn't known of the software is the same in two layouts: their ratio is no wider for it.
TEST(Plan, LayoutsShareWhatIsNotKnownOfTheSoftware) {
  PlanFile file = asked();
  file.run.seq_len = 32768;  // mostly attention
  file.run.global_batch_sequences = 128;
  const auto width = [&](const char* software) {
    file.run.context.software = software;
    const LayoutPlan plan = planned(file.run);
    double widest = 0;
    for (const PlannedLayout& planned : plan.best)
      widest = std::max(widest, planned.over_first.p95 / planned.over_first.p05);
    return widest;
  };
  EXPECT_LT(width("Megatron-Core 0.7"), 1.3 * width("Megatron-Core 0.9"));
}

TEST(Plan, UnderAPipelineShardingTwiceIsOneLayout) {
  PlanFile file = read_request({.run = "llama-3-405b-8k", .model = "", .stack = "fsdp"}, library());
  const LayoutPlan plan = planned(file.run, {.predict = kMiddle});
  for (std::size_t i = 1; i < plan.best.size(); ++i)
    EXPECT_NE(middle_step(plan.best[i]), middle_step(plan.best[i - 1])) << i;
}

TEST(Plan, IsTheSameForAnyNumberOfThreads) {
  const auto json = [](int threads) {
    return to_json(planned(asked().run, {.predict = kMiddle, .threads = threads})).dump();
  };
  EXPECT_EQ(json(1), json(3));
}

TEST(Plan, SaysWhatDoesNotFit) {
  PlanFile file = read_request({.run = "", .model = "llama-3-405b", .gpus = 8}, library());
  fill_in(file, h100());
  EXPECT_THAT([&] { planned(file.run); },
              ThrowsMessage<BadInput>(HasSubstr("layouts of 8 GPUs fits h100; the nearest, tp 8")));
}

// Whoever trained these chose their layouts with care and plenty of tries. A search that finds much
// faster ones, by an engine that predicts their steps well, would be wrong about what it prefers.
// docs/planning.md prints what is compared here.
TEST(Plan, LayoutsThatTheirAuthorsTunedAreNearTheFastest) {
  const std::string page =
      slurp(std::filesystem::path(TRAINMETER_SOURCE_DIR) / "docs" / "planning.md");
  const std::regex row(R"(\| `([\w.-]+)` \| ([\d.]+) \| (\d+) of (\d+) \|)");
  const auto exceptions = static_cast<std::ptrdiff_t>(page.find("### Where it isn't so"));
  ASSERT_GT(exceptions, 0);
  int tuned = 0, others = 0;
  for (std::sregex_iterator at(page.begin(), page.end(), row), end; at != end; ++at) {
    const trainmeter::Run run = library().run((*at)[1]);
    const LayoutPlan plan = make_plan(run, *run.system, published_book(*run.system), knowledge(),
                                      {.predict = kMiddle, .most = 1});
    ASSERT_TRUE(plan.own) << run.id;
    EXPECT_EQ(plan.own->why_not, "") << run.id;
    ++(at->position() < exceptions ? tuned : others);
    if (at->position() < exceptions) {
      EXPECT_LT(plan.own->over_best, 1.10)
          << run.id << ": " << shown(plan.best.front().layout.parallel);
    }
    EXPECT_EQ(fmt::format("| `{}` | {:.2f} | {} of {} |", run.id, plan.own->over_best,
                          plan.own->faster, plan.sizes),
              (*at)[0]);
  }
  EXPECT_GE(tuned, 20);
  EXPECT_GE(others, 10);
}

TEST(Plan, ARunsPublishedFiguresHaveNoPartInIt) {
  const trainmeter::Run run = library().run("llama-3-405b-8k");
  const LayoutPlan plan = planned(run, {.predict = kMiddle, .most = 1});
  EXPECT_FALSE(plan.best.front().prediction.published_step_time_s);
  EXPECT_FALSE(plan.run.source);
}

TEST(PlanRequest, OptionsComeBeforeTheRunsKeys) {
  const PlanFile own = read_request({.run = "llama-3-405b-8k", .model = ""}, library());
  EXPECT_EQ(own.run.gpus, 8192);
  ASSERT_TRUE(own.run.parallel);
  const PlanFile other = read_request({.run = "llama-3-405b-8k",
                                       .model = "",
                                       .gpus = 4096,
                                       .seq_len = 16384,
                                       .global_batch_sequences = 1024,
                                       .tokens = 2e12,
                                       .precision = "fp8",
                                       .stack = "fsdp"},
                                      library());
  EXPECT_EQ(other.run.gpus, 4096);
  EXPECT_EQ(other.run.parallel->tp, own.run.parallel->tp);  // for other GPUs:
  EXPECT_FALSE(other.run.parallel->dp);
  EXPECT_EQ(other.run.seq_len, 16384);
  EXPECT_EQ(other.run.global_batch_sequences, 1024);
  EXPECT_EQ(other.run.tokens, 2e12);
  EXPECT_EQ(other.run.precision, "fp8");
  EXPECT_EQ(other.run.stack, TrainingStack::fsdp);
}

TEST(PlanRequest, TheStackIsTheRunsWithoutItsLayout) {
  // No stack is printed: ZeRO 3 says which.
  nlohmann::json json = read_json_file(library().file("runs", "llama-3-405b-8k"));
  json["id"] = "sharded";
  json.erase("stack");
  json.erase("source");
  json["parallel"] = {{"zero", 3}};
  const auto file = write_text(json.dump(), "sharded.json");
  const PlanFile plan = read_request({.run = file.string(), .model = "", .gpus = 1024}, library());
  EXPECT_EQ(plan.run.stack, TrainingStack::fsdp);
}

TEST(PlanRequest, TheUsualBatchHasAShareForEveryGpu) {
  const auto batch = [](std::int64_t gpus, const std::vector<std::int64_t>& counts,
                        std::optional<std::int64_t> seq_len = std::nullopt) {
    PlanFile file = read_request(
        {.run = "", .model = "llama-3-8b", .gpus = gpus, .seq_len = seq_len}, library());
    fill_in(file, h100(), counts);
    EXPECT_EQ(file.notes.size(), seq_len ? 1U : 2U);
    return *file.run.global_batch_sequences;
  };
  EXPECT_EQ(batch(64, {}), kUsualStepTokens / kUsualSequence);
  EXPECT_EQ(batch(96, {96}), 1056);      // 11 each
  EXPECT_EQ(batch(32, {24, 32}), 1056);  // a multiple of 96
  EXPECT_EQ(batch(8, {8}, 1000), 4200);  // of 4,194
  EXPECT_EQ(batch(4096, {4096}), 1024);  // more GPUs than sequences: 2 for each node
  EXPECT_EQ(batch(4104, {4104}), 1026);  // 513 nodes
}

TEST(PlanRequest, RefusesWhatIsNotOneModelsSteps) {
  const auto refused = [](const PlanRequest& request, const char* message) {
    EXPECT_THAT([&] { read_request(request, library()); },
                ThrowsMessage<BadInput>(HasSubstr(message)));
  };
  refused({.run = "", .model = ""}, "expected --model or --run");
  refused({.run = "", .model = "llama-3-8b"}, "--gpus: missing");
  refused({.run = "deepseek-r1-zero", .model = ""}, "rl: expected none");
  const auto with = [](const char* key, const nlohmann::json& value) {
    nlohmann::json json = {
        {"id", "r"}, {"title", "R"}, {"model", "llama-3-8b"}, {"system", "h100"}};
    json[key] = value;
    return write_text(json.dump(), "with.json").string();
  };
  refused({.run = with("host_s", 30), .model = "", .gpus = 8}, "host_s: expected none");
  refused({.run = with("tokens", 1e12), .model = ""}, "gpus: missing; say how many with --gpus");
  refused({.run = "deepseek-v3-pretrain", .model = "no-such-model"}, "no such id in models");
}

TEST(PlanRequest, ARunFileHoldsWhatItsNamesMean) {
  const auto folder = file_of_test("folder");
  std::filesystem::create_directories(folder);
  nlohmann::json model = read_json_file(library().file("models", "llama-3-8b"));
  model["id"] = "mine";
  model.erase("source");
  std::ofstream(folder / "mine.json") << model.dump();
  std::ofstream(folder / "run.json")
      << nlohmann::json{{"id", "r"},        {"title", "R"}, {"model", "./mine.json"},
                        {"system", "h100"}, {"gpus", 8},    {"price_usd_per_gpu_hour", 2}}
             .dump();
  PlanFile file = read_request({.run = (folder / "run.json").string(), .model = ""}, library());
  fill_in(file, h100());
  const Parallel layout{.dp = 8};
  const nlohmann::json own = run_file(file, layout, "", h100(), library(), std::nullopt);
  EXPECT_EQ(own["model"]["id"], "mine");
  EXPECT_EQ(own["system"], "h100");
  EXPECT_EQ(own["price_usd_per_gpu_hour"], 2);
  EXPECT_EQ(own["parallel"]["dp"], 8);
  const nlohmann::json named = run_file(file, layout, "h100", h100(), library(), std::nullopt);
  EXPECT_EQ(named["price_usd_per_gpu_hour"], 2);
  // Another system's price isn't this one's.
  const System h800 = library().system("h800");
  const nlohmann::json carried = run_file(file, layout, "h800", h800, library(), std::nullopt);
  EXPECT_EQ(carried["system"], "h800");
  EXPECT_FALSE(carried.contains("price_usd_per_gpu_hour"));
  EXPECT_EQ(run_file(file, layout, "h800", h800, library(), 3.0)["price_usd_per_gpu_hour"], 3.0);
  EXPECT_FALSE(
      run_file(file, layout, "measured", h800, library(), std::nullopt).contains("system"));
}
