// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// In-place ratios: each GEMM's own, what wasn't timed in turn, and operations that aren't GEMMs.
#include "report/in_place.hpp"

#include "report/predict.hpp"

#include "eager_run.hpp"
#include "fixtures.hpp"
#include "predict_fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

using namespace trainmeter;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

namespace {

constexpr double kOneSize = 1024.0 * 1024 * 1024;

// A line in a layer and the same alone behind it; `spread` is of the samples in place.
std::vector<Measurement> in_turn(std::int64_t n, double ratio, double spread = 0) {
  Measurement in_place = gemm_at(1e12, 1024, n, 1024);
  Measurement alone = in_place;
  const double alone_s = in_place.flops / 1e12;
  in_place.beside = "layer";
  in_place.time_s.clear();
  for (const double off : {-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5})
    in_place.time_s.push_back(alone_s / ratio * (1 + spread * off));
  alone.time_s = std::vector<double>(7, alone_s);
  return {in_place, alone};
}

// One GEMM of 1024 x n x 1024, a hundred times, and an operation of a run's own list.
Prediction predicted_eager(const std::vector<Record>& records, std::int64_t n = 1024,
                           const PredictOptions& options = {.samples = 0}) {
  RateBook book = small_book();
  book.add(record_of({measured("eager_gelu", "bf16", "pytorch", {{"rows", 1024}}, 3e7, 3e-3)}));
  for (const Record& record : records) book.add(record);
  book.set_in_place(measured_in_place(records));
  return predict(read_run(StrictObject(eager_run(n), "mine.json"), library()), small_system(), book,
                 knowledge(), options);
}

}  // namespace

// A head that takes half a layer's time says nothing of the layer's own GEMMs.
TEST(InPlaceOfOne, IsEachGemmsOwn) {
  const std::vector<Record> records = {
      record_of(joined({in_turn(1024, 0.9), in_turn(65536, 1.2)}))};
  const InPlaceRatios ratios = measured_in_place(records);
  EXPECT_NEAR(ratios.of("bf16", "nt", {1024, 1024, 1024, 1})->ratio, 0.9, 1e-9);
  EXPECT_NEAR(ratios.of("bf16", "nt", {1024, 65536, 1024, 1})->ratio, 1.2, 1e-9);
  EXPECT_NEAR(ratios.of("fp16", "nt", {1024, 65536, 1024, 1})->ratio, 1.2, 1e-9);
  // In no layer, or in another layout: as all of its pass, or of its dtype.
  const double all = (1 + 64) / (1 / 0.9 + 64 / 1.2);
  EXPECT_NEAR(ratios.of("bf16", "nt", {1024, 4096, 1024, 1})->ratio, all, 1e-9);
  EXPECT_NEAR(ratios.of("bf16", "tn", {1024, 1024, 1024, 1})->ratio, all, 1e-9);

  const Prediction p = predicted_eager(records);
  EXPECT_NEAR(part(p, "operation_gemms"), 100 * 2 * kOneSize / 1e12 / 0.9, 1e-4);
  EXPECT_NEAR(part(predicted_eager(records, 65536), "operation_gemms"),
              64 * 100 * 2 * kOneSize / 1e12 / 1.2, 1e-2);
}

TEST(InPlaceOfOne, IsTheNearerToItsPasssTheLessItsSamplesTell) {
  const auto own = [](double spread) {
    const InPlaceRatios ratios = measured_in_place({record_of(
        joined({in_turn(1024, 0.9, spread), in_turn(2048, 1.1, 0), in_turn(4096, 1, 0)}))});
    return *ratios.of("bf16", "nt", {1024, 1024, 1024, 1});
  };
  const double of_pass = (1 + 2 + 4) / (1 / 0.9 + 2 / 1.1 + 4.0);
  EXPECT_NEAR(own(0).ratio, 0.9, 1e-9);
  EXPECT_NEAR(own(0.001).ratio, 0.9, 0.001);
  EXPECT_GT(own(0.1).ratio, 0.91);
  EXPECT_LT(own(0.1).ratio, of_pass);
  EXPECT_GT(own(0.1).sigma, own(0.001).sigma);
  // So noisy that no ratio is told from another's: the pass's.
  EXPECT_NEAR(own(0.6).ratio, of_pass, 1e-9);
}

// Two programs at two times: what differs may be the clock.
TEST(InPlaceInTurn, WhatIsNotIsTakenAsAlone) {
  std::vector<Measurement> layer = in_turn(1024, 1.25);
  layer.pop_back();
  const std::vector<Record> apart = {small_cpu(), record_of(layer)};
  const InPlace known = *measured_in_place(apart).of("bf16", "nt", {1024, 1024, 1024, 1});
  EXPECT_FALSE(known.in_turn);
  EXPECT_NEAR(known.ratio, 1.25, 1e-9);
  const Prediction p = predicted_eager(apart);
  EXPECT_NEAR(part(p, "operation_gemms"), 100 * 2 * kOneSize / 1e12, 1e-4);
  EXPECT_THAT(p.assumptions, Contains(HasSubstr("weren't timed alone in turn")));
  const auto link = std::ranges::find(p.in_place, "bf16 GEMMs fprop", &InPlaceLink::what);
  ASSERT_NE(link, p.in_place.end());
  EXPECT_EQ(link->basis, "as alone");
  EXPECT_EQ(link->ratio, 1);
  // How far the ratio is from 1 is the error, beside what one GEMM leaves open of others.
  const double sigma = std::log(link->high / link->low) / kSigmasOf90Percent;
  EXPECT_GE(sigma, std::log(1.25) - 1e-9);
  EXPECT_LE(sigma, std::hypot(std::log(1.25), 0.1) + 1e-9);

  const std::vector<Record> together = {small_cpu(), record_of(in_turn(1024, 1.25))};
  const Prediction q = predicted_eager(together);
  EXPECT_NEAR(part(q, "operation_gemms"), 100 * 2 * kOneSize / 1e12 / 1.25, 1e-4);
  EXPECT_THAT(q.assumptions, Not(Contains(HasSubstr("in turn"))));
}

TEST(InPlaceInTurn, GoesBeforeWhatIsNot) {
  std::vector<Measurement> layer = in_turn(1024, 0.5);
  layer.pop_back();
  const InPlaceRatios ratios =
      measured_in_place({small_cpu(), record_of(layer), record_of(joined({in_turn(2048, 0.8)}))});
  EXPECT_NEAR(ratios.of("bf16", "nt", {1024, 1024, 1024, 1})->ratio, 0.8, 1e-9);
  EXPECT_TRUE(ratios.of("bf16", "nt")->in_turn);
}

TEST(InPlaceOfOthers, IsOfTheOperationsThatWereInTheLayer) {
  Measurement others = measured("layer_others", "bf16", "pytorch", {{"operations", 2}}, 1e8, 4e-3);
  others.beside = "layer";
  others.notes = {{"of", "eager_gelu eager_layernorm"}};
  Measurement alone = others;
  alone.beside = "none";
  alone.notes["in_turn"] = "layer";
  alone.time_s = std::vector<double>(7, 3e-3);
  const std::vector<Record> records = {record_of({others, alone})};
  const InPlaceRatios ratios = measured_in_place(records);
  EXPECT_NEAR(ratios.other("bf16", "eager_gelu")->ratio, 0.75, 1e-9);
  EXPECT_NEAR(ratios.other("bf16", "eager_layernorm")->ratio, 0.75, 1e-9);
  EXPECT_GT(ratios.other("bf16", "eager_gelu")->sigma, 0);
  EXPECT_EQ(ratios.other("bf16", "eager_softmax"), nullptr);
  EXPECT_EQ(ratios.other("fp32", "eager_gelu"), nullptr);

  const Prediction p = predicted_eager(records);
  EXPECT_NEAR(part(p, "operations"), 12 * 3e-3 / 0.75, 1e-9);
  const auto link = std::ranges::find(p.in_place, "bf16 operations", &InPlaceLink::what);
  ASSERT_NE(link, p.in_place.end());
  EXPECT_NEAR(link->ratio, 0.75, 1e-9);
  EXPECT_THAT(link->why, HasSubstr("of 1 operation"));
  EXPECT_NEAR(part(predicted_eager({}), "operations"), 12 * 3e-3, 1e-9);
}

// layer_bench names each.
TEST(InPlaceOfOthers, IsEachOnesOwnWhereItHasALineOfItsOwn) {
  Measurement norm = measured("rmsnorm", "bf16", "cuda", {{"rows", 8}}, 1e8, 2e-3);
  norm.beside = "layer";
  Measurement alone = norm;
  alone.beside = "none";
  alone.time_s = std::vector<double>(7, 1e-3);
  EXPECT_NEAR(measured_in_place({record_of({norm, alone})}).other("bf16", "rmsnorm")->ratio, 0.5,
              1e-9);
  EXPECT_EQ(measured_in_place({record_of({norm})}).other("bf16", "rmsnorm"), nullptr);
}

// At the layer's clock, for the ratio alone: the rate is what runs of its own say.
TEST(InPlaceInTurn, WhatIsForTheRatioGivesNoRate) {
  std::vector<Measurement> lines = in_turn(2048, 1);
  const std::size_t before = [&] {
    RateBook book;
    book.add(record_of(lines));
    return book.points().size();
  }();
  lines[1].notes["in_turn"] = "layer";
  RateBook book;
  book.add(record_of(lines));
  EXPECT_EQ(book.points().size() + 1, before);
}
