// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Runs that list their software's operations: each at its own rate, instead of what is assumed; the
// in-place ratio given; what such a list refuses.
#include "report/in_place.hpp"
#include "report/story.hpp"

#include "eager_run.hpp"
#include "fixtures.hpp"
#include "predict_fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

using namespace trainmeter;
using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

namespace {

trainmeter::Run read(const json& run) {
  return read_run(StrictObject(run, "mine.json"), library());
}

InPlaceRatios every(double ratio) {
  InPlaceRatios out;
  out.add("", "", {.ratio = ratio, .sigma = 0, .pairs = 1, .origins = {}});
  return out;
}

// Without samples parts are as they are: not scaled to the median of draws.
Prediction predicted_eager(const json& run, InPlaceRatios in_place,
                           const PredictOptions& options = {.samples = 0}) {
  RateBook book = small_book();
  // 10 GB/s at the size asked for, 40 at another.
  book.add(record_of(
      {measured("eager_gelu", "bf16", "pytorch", {{"rows", 1024}, {"cols", 3072}}, 3e7, 3e-3),
       measured("eager_gelu", "bf16", "pytorch", {{"rows", 256}, {"cols", 3072}}, 1e6, 25e-6)}));
  book.set_in_place(std::move(in_place));
  return predict(read(run), small_system(), book, knowledge(), options);
}

}  // namespace

TEST(Operations, StandInsteadOfWhatIsAssumed) {
  const Prediction p = predicted_eager(eager_run(), InPlaceRatios::all_one());
  EXPECT_NEAR(part(p, "operations"), 12 * 3e-3, 1e-12);
  EXPECT_NEAR(part(p, "operation_gemms"), 100 * 2.0 * 1024 * 1024 * 1024 / 1e12, 1e-9);
  EXPECT_TRUE(std::isnan(part(p, "attention_core")));  // there is none
  EXPECT_TRUE(std::isnan(part(p, "memory_bound")));    // there is none
  double sum = 0;
  for (const auto& [name, seconds] : p.breakdown_s) sum += seconds;
  EXPECT_LT(std::abs(p.estimates.step_time_s.p50 / sum - 1), 0.05);
}

// The part that the host takes longer than the device is waiting; no overhead is assumed beside it.
TEST(Operations, AStepIsNoShorterThanItsLaunching) {
  json run = eager_run();
  run["host_s"] = 1e-6;
  const Prediction fast = predicted_eager(run, InPlaceRatios::all_one());
  EXPECT_TRUE(std::isnan(part(fast, "waiting_for_host")));        // there is none
  EXPECT_TRUE(std::isnan(part(fast, "optimizer_and_overhead")));  // there is none
  EXPECT_GT(part(predicted_eager(eager_run(), InPlaceRatios::all_one()), "optimizer_and_overhead"),
            0);
  run["host_s"] = 100;
  const Prediction slow = predicted_eager(run, InPlaceRatios::all_one());
  double sum = 0;
  for (const auto& [name, seconds] : slow.breakdown_s) sum += seconds;
  EXPECT_NEAR(sum, 100, 1e-9);
  EXPECT_GT(part(slow, "waiting_for_host"), 0);
  EXPECT_LT(std::abs(slow.estimates.step_time_s.p50 / 100 - 1), 0.01);
}

TEST(Operations, OneThatWasNotMeasuredTakesMemoryBandwidthAndSaysSo) {
  json run = eager_run();
  run["operations"][0]["operation"] = "eager_softmax";
  const Prediction p = predicted_eager(run, InPlaceRatios::all_one());
  EXPECT_NEAR(part(p, "operations"), 12 * 3e7 / 20e9, 1e-9);
  EXPECT_THAT(p.assumptions, Contains(HasSubstr("eager_softmax bf16 was not measured")));
  EXPECT_THAT(predicted_eager(eager_run(), InPlaceRatios::all_one()).assumptions,
              Not(Contains(HasSubstr("not measured"))));
}

TEST(Operations, TheInPlaceRatioDividesGemmsAlone) {
  const Prediction alone = predicted_eager(eager_run(), InPlaceRatios::all_one());
  const Prediction half = predicted_eager(eager_run(), every(0.5));
  EXPECT_NEAR(part(half, "gemm") / part(alone, "gemm"), 2, 1e-9);
  EXPECT_NEAR(part(half, "operation_gemms") / part(alone, "operation_gemms"), 2, 1e-9);
  EXPECT_NEAR(part(half, "operations"), part(alone, "operations"), 1e-12);
  // What is assumed otherwise lies between, and its range makes the step's wider.
  const Prediction assumed = predicted_eager(eager_run(), {});
  EXPECT_LT(part(alone, "gemm"), part(assumed, "gemm"));
  EXPECT_LT(part(assumed, "gemm"), part(half, "gemm"));
  const auto width = [](InPlaceRatios ratios) {
    const Prediction p = predicted_eager(eager_run(), std::move(ratios), {});
    return p.estimates.step_time_s.p95 / p.estimates.step_time_s.p05;
  };
  EXPECT_LT(width(InPlaceRatios::all_one()), width({}));
}

TEST(Operations, ARateIsTheNearestSizes) {
  RateBook book;
  book.add(record_of({measured("eager_gelu", "bf16", "pytorch", {{"rows", 8}}, 1e6, 1e-3),
                      measured("eager_gelu", "bf16", "pytorch", {{"rows", 80}}, 1e8, 1e-2)}));
  EXPECT_EQ(book.kernel("eager_gelu", "bf16", 1e6)->value, 1e9);
  EXPECT_EQ(book.kernel("eager_gelu", "bf16", 1e6)->shape, 0);
  EXPECT_EQ(book.kernel("eager_gelu", "bf16", 5e7)->value, 1e10);
  EXPECT_GT(book.kernel("eager_gelu", "bf16", 5e7)->shape, 0);
  EXPECT_FALSE(book.kernel("eager_gelu", "fp32", 1e6));
}

TEST(Operations, BadListsAreRefusedByFileAndKey) {
  const auto refusal = [](const char* key, const json& value) -> std::string {
    json run = eager_run();
    run["operations"][1][key] = value;
    try {
      (void)read(run);
    } catch (const BadInput& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refusal("count", 0), HasSubstr("mine.json: operations[1].count"));
  EXPECT_THAT(refusal("bytes", -1), HasSubstr("mine.json: operations[1].bytes"));
  EXPECT_THAT(refusal("dtype", "bf17"), HasSubstr("mine.json: operations[1].dtype"));
  EXPECT_THAT(refusal("shape", {{"m", 8}, {"n", 8}}), HasSubstr("operations[1].shape.k"));
  EXPECT_THAT(refusal("often", 3), HasSubstr("operations[1].often: unknown key"));
  json run = eager_run();
  run["gpus"] = 2;
  run["parallel"]["tp"] = 2;
  EXPECT_THROW((void)read(run), BadInput);
}

TEST(InPlace, IsTheTimeAloneOverTheTimeInALayer) {
  const auto in_layer = [](double seconds, std::int64_t m) {
    Measurement out = gemm_at(1, m, 1024, 1024);
    out.beside = "layer";
    out.time_s = {seconds, seconds, seconds};
    return out;
  };
  const double alone_s = gemm_flops(1024, 1024, 1024) / 1e12;
  const std::vector<Record> records = {
      small_cpu(), record_of({in_layer(2 * alone_s, 1024), in_layer(1.0, 999)})};
  RateBook book;
  for (const Record& record : records) book.add(record);
  // The second has no such shape alone, and none of them is a rate of its own.
  const InPlaceRatios ratios = measured_in_place(records);
  const InPlace* ratio = ratios.of("bf16", "nt");
  ASSERT_NE(ratio, nullptr);
  EXPECT_NEAR(ratio->ratio, 0.5, 1e-9);
  EXPECT_NEAR(ratio->sigma, 0.1, 1e-9);  // one GEMM's tells little of the others'
  EXPECT_THAT(ratio->origins, testing::ElementsAre("test.jsonl:2", "test.jsonl:2"));
  EXPECT_NEAR(book.best_gemm("bf16")->value, 1e12, 1);

  const std::vector<Record> two = {
      small_cpu(), record_of({in_layer(2 * alone_s, 1024), in_layer(alone_s, 1024)})};
  const InPlaceRatios of_two = measured_in_place(two);
  EXPECT_NEAR(of_two.of("bf16", "")->ratio, 2.0 / 3, 1e-9);
  EXPECT_GT(of_two.of("bf16", "")->sigma, 0.1);
  EXPECT_TRUE(measured_in_place({small_cpu()}).empty());
}

TEST(InPlace, IsOfTheSameSessionWhereItMeasuredBothInTurn) {
  const auto timed = [](const char* operation, const char* dtype, double seconds,
                        const char* beside, std::int64_t places) {
    Measurement out = gemm_at(1, 1024, 1024, 1024);
    out.operation = operation;
    out.dtype = dtype;
    out.name = std::string(operation) + "/" + dtype;
    out.beside = beside;
    out.time_s = {seconds, seconds, seconds};
    out.runs_per_sample = places;
    return out;
  };
  // The book has this shape at another rate, and no grouped GEMM at all.
  std::vector<Record> records = {
      small_cpu(),
      record_of({timed("gemm", "bf16", 2, "layer", 3), timed("gemm", "bf16", 1, "none", 2),
                 timed("grouped_gemm", "bf16", 4, "layer", 1),
                 timed("grouped_gemm", "bf16", 3, "none", 2), timed("gemm", "fp8", 5, "layer", 1),
                 timed("gemm", "fp8", 1, "none", 2)})};
  const InPlaceRatios ratios = measured_in_place(records);
  EXPECT_NEAR(ratios.of("bf16", "nt")->ratio, (3 * 1 + 3) / (3 * 2 + 4.0), 1e-9);
  EXPECT_NEAR(ratios.of("fp8", "nt")->ratio, 1 / 5.0, 1e-9);
  EXPECT_EQ(ratios.of("fp16", "nt"), ratios.of("bf16", "nt"));  // one datapath
  EXPECT_EQ(ratios.of("fp32", "nt"), nullptr);  // another dtype's says nothing of it
  records[1].headers[0].discipline.cache = "hot";
  EXPECT_TRUE(measured_in_place(records).empty());
}

TEST(InPlace, IsKeptByPass) {
  std::vector<Measurement> lines;
  for (const auto& [layout, in_place] : {std::pair("nt", 2.0), std::pair("nn", 4.0)}) {
    for (const char* beside : {"layer", "none"}) {
      Measurement m = gemm_at(1, 1024, 1024, 1024);
      m.layout = layout;
      m.name += layout;
      m.beside = beside;
      m.time_s = std::vector<double>(3, m.beside == "layer" ? in_place : 1);
      lines.push_back(m);
    }
  }
  const InPlaceRatios ratios = measured_in_place({record_of(lines)});
  EXPECT_NEAR(ratios.of("bf16", "nt")->ratio, 1 / 2.0, 1e-9);
  EXPECT_NEAR(ratios.of("bf16", "nn")->ratio, 1 / 4.0, 1e-9);
  EXPECT_NEAR(ratios.of("bf16", "tn")->ratio, 2 / 6.0, 1e-9);  // not in the layer: of all
  EXPECT_GT(ratios.of("bf16", "nt")->sigma, ratios.of("bf16", "tn")->sigma);  // of fewer
}

TEST(InPlace, ReachesGemmsOfItsPassAlone) {
  InPlaceRatios ratios;
  ratios.add("bf16", "", {.ratio = 1, .sigma = 0, .pairs = 1, .origins = {}});
  ratios.add("bf16", "nt", {.ratio = 0.5, .sigma = 0, .pairs = 1, .origins = {}});
  json run = eager_run();
  run["operations"][1]["layout"] = "nt";
  const double nt = part(predicted_eager(run, ratios), "operation_gemms");
  run["operations"][1]["layout"] = "tn";
  EXPECT_NEAR(nt / part(predicted_eager(run, ratios), "operation_gemms"), 2, 0.01);
  const Prediction p = predicted_eager(run, ratios);
  EXPECT_THAT(p.in_place, testing::Each(testing::Field(&InPlaceLink::basis, "measured")));
  EXPECT_THAT(p.in_place, Contains(testing::Field(&InPlaceLink::what, "bf16 GEMMs fprop")));
  for (const UsedFactor& f : p.factors) EXPECT_NE(f.factor, Factor::in_place_other);
}

TEST(InPlace, OfOneDtypeLeavesTheOthersAssumption) {
  RateBook book;
  const System h800 = library().system("h800");
  book.add_published(library(), h800);
  InPlaceRatios ratios;
  ratios.add("fp8", "", {.ratio = 0.9, .sigma = 0.01, .pairs = 2, .origins = {}});
  book.set_in_place(ratios);
  const Prediction p =
      predict(library().run("deepseek-v3-step"), h800, book, load_knowledge(library()), {});
  std::map<std::string, std::string> basis;
  for (const InPlaceLink& link : p.in_place) basis[link.what] = link.basis;
  EXPECT_EQ(basis.at("fp8 GEMMs fprop"), "measured");
  EXPECT_EQ(basis.at("fp8 GEMMs wgrad"), "measured");
  EXPECT_NE(basis.at("bf16 GEMMs"), "measured");
}

TEST(InPlace, ACpusRanksAreDevicesOfOneNode) {
  RateBook book;
  book.add(small_cpu());
  std::vector<std::string> notes;
  EXPECT_EQ(measured_system({small_cpu()}, book, library(), notes).gpus_per_node, 2);
}
