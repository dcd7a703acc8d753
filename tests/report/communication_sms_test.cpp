// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What communication with SMs of its own costs, from layers beside a co-runner: which count, and
// what they do to a prediction of DeepSeek-V3's step.
#include "report/communication_sms.hpp"

#include "report/candidates.hpp"
#include "report/predict.hpp"

#include "../layer_beside.hpp"
#include "predict_fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

constexpr double kLeft = 112. / 132;

// In the layer GEMMs take 1.2 times as long on 112 SMs and 1.1 times that beside traffic, other
// kernels 1.05 and 1.25 times, attention 1.3 times and no more beside it.
LayerBeside layer_in(const std::string& dtype) {
  LayerBeside out(dtype);
  out.part("gemm", 2, {1, 1, 1.2, 1.1, 1.2 * 1.1, 1.2});
  out.part("rmsnorm", 1, {4, 4, 4.2, 4.1, 4.2 * 1.25, 5});
  out.part("attention_forward", 1, {1, 1, 1.3, 1.2, 1.3, 1.2});
  out.whole({6, 7, 8, 0.1, 0.2});
  out.record.file = "layer.jsonl";
  out.record.headers.emplace_back();
  return out;
}

}  // namespace

TEST(CommunicationSms, AreMeasuredByLayersBesideACoRunner) {
  const auto measured = layers_beside_communication({layer_in("fp8").record});
  const CommunicationSms sms = communication_sms(measured, "fp8", kLeft);
  EXPECT_NEAR(sms.gemms.fewer, 1.2, 1e-12);
  EXPECT_NEAR(sms.gemms.traffic, 1.1, 1e-12);
  EXPECT_NEAR(sms.others.fewer, 1.05, 1e-12);
  EXPECT_NEAR(sms.others.traffic, 1.25, 1e-12);
  EXPECT_NEAR(sms.attention.fewer, 1.3, 1e-12);
  EXPECT_EQ(sms.origins.size(), 15U);
  EXPECT_THAT(sms.origins, testing::Contains("layer.jsonl:3"));
  EXPECT_THAT(in_words(sms),
              HasSubstr("of 1 layer in fp8 beside a co-runner on 15.2 % of the SMs"));
  EXPECT_EQ(inputs_of(sms).size(), 5U);  // but attention beside traffic
}

TEST(CommunicationSms, TwoLayersAreAddedUp) {
  LayerBeside longer = layer_in("fp8");
  for (Line& line : longer.record.lines)
    if (line.measurement.operation == "gemm") line.measurement.time_s.front() *= 3;
  for (Line& line : longer.record.lines)  // three times as long, and not slowed by fewer SMs
    if (line.measurement.beside == in_layer_beside(kIdle) && line.measurement.operation == "gemm")
      line.measurement.time_s = {3};
  const auto measured = layers_beside_communication({layer_in("fp8").record, longer.record});
  EXPECT_NEAR(communication_sms(measured, "fp8", kLeft).gemms.fewer, (2.4 + 6) / (2 + 6), 1e-12);
}

TEST(CommunicationSms, AreInProportionWhereNobodyMeasuredThem) {
  const auto measured = layers_beside_communication({layer_in("fp8").record});
  for (const auto& [dtype, left] : {std::pair("bf16", kLeft), std::pair("fp8", 1 - 24. / 132)}) {
    const CommunicationSms sms = communication_sms(measured, dtype, left);
    EXPECT_NEAR(sms.gemms.fewer, 1 / left, 1e-12);
    EXPECT_NEAR(sms.attention.fewer, 1 / left, 1e-12);
    EXPECT_EQ(sms.others.fewer, 1);
    EXPECT_EQ(sms.gemms.traffic, 1);
    EXPECT_EQ(inputs_of(sms).size(), 2U);
  }
  EXPECT_TRUE(inputs_of(communication_sms(measured, "fp8", 1)).empty());
}

// A pace that somebody set, a layer with its operands in the caches, a part that failed.
TEST(CommunicationSms, WhatStandsForNoDispatchDoesNotCount) {
  LayerBeside paced = layer_in("fp8");
  for (Line& line : paced.record.lines) line.measurement.shape[kCoRate] = 1000;
  LayerBeside hot = layer_in("fp8");
  hot.record.headers.front().discipline.cache = "hot";
  LayerBeside failed = layer_in("fp8");
  failed.record.lines.front().measurement.verified = false;
  LayerBeside without("fp8");  // an attention core
  without.part("gemm", 1, {1, 1, 1, 1, 1, 1});
  without.part("rmsnorm", 1, {1, 1, 1, 1, 1, 1});
  without.whole({2, 2, 2, 1, 1});
  without.record.headers.emplace_back();
  EXPECT_TRUE(layers_beside_communication({paced.record, hot.record, failed.record, without.record})
                  .empty());
}

TEST(CommunicationSms, StandInAPredictionForTheProportion) {
  const trainmeter::Run run = library().run("deepseek-v3-step");
  RateBook book = published_book(*run.system);
  const FactorValues factors = knowledge().calibration.all.medians();
  const auto step = [&] {
    const Bill bill = candidates(run, *run.system, book, factors).front().bill;
    return std::pair(step_time(bill, factors).total_s, bill.links);
  };
  const auto input = [](const std::vector<UsedInput>& all, const char* what) {
    const auto found = std::ranges::find(all, what, &UsedInput::what);
    return found == all.end() ? UsedInput{} : *found;
  };
  const auto [before, assumed] = step();
  EXPECT_EQ(input(assumed, "sms.gemms").kind, "assumed");
  EXPECT_NEAR(input(assumed, "sms.gemms").value, 1 / kLeft, 1e-12);

  book.set_layers_beside(layers_beside_communication({layer_in("fp8").record}));
  const auto [after, known] = step();
  EXPECT_EQ(input(known, "sms.gemms").kind, "measured");
  EXPECT_NEAR(input(known, "sms.others_beside").value, 1.25, 1e-12);
  EXPECT_GT(after, before);

  // Where it costs what the proportion says, the step is what it was.
  LayerBeside same("fp8");
  same.part("gemm", 1, {1, 1, 1 / kLeft, 1, 1 / kLeft, 1});
  same.part("rmsnorm", 1, {1, 1, 1, 1, 1, 1});
  same.part("attention_forward", 1, {1, 1, 1 / kLeft, 1, 1 / kLeft, 1});
  same.whole({2, 2, 2, 1, 1});
  same.record.headers.emplace_back();
  book.set_layers_beside(layers_beside_communication({same.record}));
  EXPECT_NEAR(step().first, before, 1e-9 * before);
}
