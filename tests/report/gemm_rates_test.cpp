// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which rows give a GEMM's rate: of its pass, of groups, by the scales of its type; of which chip
// ratios may be; and what of the clock and the pass is in a rate already.
#include "report/in_place.hpp"
#include "report/predict.hpp"
#include "report/rate_lines.hpp"
#include "report/rates.hpp"
#include "report/transfer.hpp"

#include "../refusal.hpp"
#include "predict_fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

using namespace trainmeter;
using testing::HasSubstr;
using testing::Not;

namespace {

// As gemm_bench writes fp8: operands K-major, a weight gradient adds to C.
Measurement fp8(double flops_per_s, std::int64_t m, std::int64_t n, std::int64_t k, bool adds,
                const std::string& scaling = "block128") {
  Measurement out = gemm_at(flops_per_s, m, n, k, "fp8", "hopper");
  out.scaling = scaling;
  if (adds) out.shape["accumulate"] = 1;
  return out;
}

Measurement grouped(double flops_per_s, std::int64_t m, std::int64_t n, std::int64_t k,
                    std::int64_t groups, const std::string& skew = "balanced") {
  Measurement out = gemm_at(flops_per_s, m, n, k, "bf16", "hopper");
  out.operation = "grouped_gemm";
  out.shape["groups"] = groups;
  out.notes["skew"] = skew;
  return out;
}

RateBook book_of(const std::vector<Measurement>& measurements) {
  RateBook book;
  book.add(record_of(measurements));
  return book;
}

Record on_gpu(Record record, const std::string& name) {
  record.headers.front().device.kind = "gpu";
  record.headers.front().device.name = name;
  record.headers.front().device.sms = 132;
  record.headers.front().device.memory_bytes = 80LL << 30;
  for (Line& line : record.lines) line.measurement.sms = 132;
  return record;
}

double seconds_of(const StepTime& step, const std::string& part) {
  double out = 0;
  for (const auto& [name, seconds] : step.breakdown_s) out += name == part ? seconds : 0;
  return out;
}

}  // namespace

TEST(GemmRates, AnFp8RowIsOfItsPass) {
  const RateBook book =
      book_of({fp8(12e12, 4096, 7168, 2048, false), fp8(11e12, 4096, 2048, 7168, false),
               fp8(8e12, 7168, 2048, 4096, true)});
  const auto forward = book.gemm("fp8", "nt", 4096, 7168, 2048);
  const auto data = book.gemm("fp8", "nn", 4096, 2048, 7168);
  const auto weight = book.gemm("fp8", "tn", 7168, 2048, 4096);
  EXPECT_EQ(forward->how, "exact shape");
  EXPECT_EQ(data->how, "exact shape");
  EXPECT_EQ(weight->how, "exact shape");
  EXPECT_NEAR(data->value, 11e12, 1);
  EXPECT_NEAR(weight->value, 8e12, 1);
  EXPECT_TRUE(weight->of_weight_gradients);
  EXPECT_FALSE(data->of_weight_gradients);
  // The weight gradient stands in for no other GEMM, not even of its very shape.
  const auto other = book.gemm("fp8", "nt", 7168, 2048, 4096);
  EXPECT_GT(other->value, 10e12);
}

TEST(GemmRates, AWeightGradientFarAwaySaysNothing) {
  Measurement tiny = gemm_at(1e10, 64, 64, 64);
  tiny.layout = "tn";
  const RateBook book = book_of({gemm_at(1e12, 4096, 4096, 4096), tiny});
  const auto far = book.gemm("bf16", "tn", 4096, 4096, 4096);
  EXPECT_NEAR(far->value, 1e12, 1e10);
  EXPECT_FALSE(far->of_weight_gradients);  // so weight_pass is what it loses
  EXPECT_TRUE(book.gemm("bf16", "tn", 64, 64, 96)->of_weight_gradients);
}

// Not near enough to interpolate, but what it loses to other passes holds.
TEST(GemmRates, WeightGradientsOfOtherSizesSayWhatTheyReach) {
  const RateBook book =
      book_of({fp8(10e12, 4096, 7168, 2048, false), fp8(10e12, 4096, 4096, 4096, false),
               fp8(7e12, 4096, 4096, 4096, true)});
  const Rate forward = *book.gemm("fp8", "nn", 512, 4096, 16384);
  const Rate weight = *book.gemm("fp8", "tn", 512, 4096, 16384);
  EXPECT_NEAR(weight.value / forward.value, 0.7, 1e-9);
  EXPECT_TRUE(weight.of_weight_gradients);  // weight_pass isn't taken on top
  EXPECT_GT(weight.shape, forward.shape);
  EXPECT_THAT(weight.how, HasSubstr("x 0.70, what the weight gradients"));
}

// Megatron adds weight gradients up in fp32; FSDP doesn't.
TEST(GemmRates, AWeightGradientIsAddedUpOrNot) {
  Measurement alone = gemm_at(10e12, 4096, 4096, 4096);
  alone.layout = "tn";
  Measurement added = gemm_at(8e12, 4096, 4096, 4096);
  added.layout = "tn";
  added.shape["accumulate"] = 1;
  for (const auto& rows : {std::vector{alone, added}, std::vector{added, alone}}) {
    const RateBook book = book_of(rows);
    EXPECT_NEAR(book.gemm("bf16", "tn", 4096, 4096, 4096)->value, 8e12, 1);
    EXPECT_NEAR(book.gemm("bf16", "tn", 4096, 4096, 4096, 1, false)->value, 10e12, 1);
  }
  EXPECT_NEAR(book_of({alone}).gemm("bf16", "tn", 4096, 4096, 4096)->value, 10e12, 1);
}

// m, in a weight gradient k, is of all groups.
TEST(GemmRates, GroupsAreMeasuredAsOneLaunch) {
  Measurement weight = grouped(3e12, 2048, 7168, 16384, 4);
  weight.layout = "tn";
  const RateBook book =
      book_of({gemm_at(9e12, 4096, 7168, 2048), weight, grouped(5e12, 16384, 7168, 2048, 4),
               grouped(7e12, 8192, 7168, 2048, 4, "zipf")});
  EXPECT_EQ(book.gemm("bf16", "nt", 4096, 7168, 2048, 4)->how, "exact shape");
  EXPECT_NEAR(book.gemm("bf16", "nt", 4096, 7168, 2048, 4)->value, 5e12, 1);
  EXPECT_NEAR(book.gemm("bf16", "tn", 2048, 7168, 4096, 4)->value, 3e12, 1);
  // Uneven ones are the factor's, not the rate's.
  EXPECT_THAT(book.gemm("bf16", "nt", 2048, 7168, 2048, 4)->how, HasSubstr("between shapes"));
}

TEST(GemmRates, ATensorsScaleStandsInOnlyForNothing) {
  const Record blocks = record_of({fp8(8e12, 512, 512, 512, false)});
  const Record tensor = record_of({fp8(9e12, 512, 512, 512, false, "tensor")});
  EXPECT_EQ(rate_lines(std::vector<Record>{blocks, tensor}).size(), 1U);  // in two files, too
  EXPECT_EQ(rate_lines(std::vector<Record>{tensor}).size(), 1U);

  // And so where rates are carried to a system.
  const System h200 = library().system("h200");
  const std::vector<Record> both = {on_gpu(blocks, h200.gpu), on_gpu(tensor, h200.gpu)};
  RateBook book;
  book.describe(h200);
  add_projected(book, both, h200, library());
  EXPECT_NEAR(book.gemm("fp8", "nt", 512, 512, 512)->value, 8e12, 1);
}

TEST(GemmRates, ACollectiveBetweenHostsIsNoNodes) {
  Measurement between = measured("allreduce", "bf16", "nccl", {{"bytes", 1 << 20}}, 1 << 20, 1e-3);
  between.ranks = 2;
  between.notes["hosts"] = "a b";
  const System h200 = library().system("h200");
  RateBook book;
  book.describe(h200);
  add_projected(book, {on_gpu(record_of({between}), h200.gpu)}, h200, library());
  EXPECT_TRUE(book.points().empty());
}

TEST(GemmRates, RatiosAreOfTheirChip) {
  const System h200 = library().system("h200");
  const Record own = on_gpu(record_of({gemm_at(1e12, 512, 512, 512)}), h200.gpu);
  const Record sibling =  // the same chip
      on_gpu(record_of({gemm_at(2e12, 512, 512, 512)}), library().system("h800").gpu);
  Record other = on_gpu(record_of({gemm_at(3e12, 512, 512, 512)}), "NVIDIA A100-SXM4-80GB");
  other.headers.front().device.sms = 108;
  const auto kept = of_chip({own, other, sibling}, h200, library());
  EXPECT_EQ(kept.at(0).lines.size(), 1U);
  EXPECT_EQ(kept.at(1).lines.size(), 0U);
  EXPECT_EQ(kept.at(2).lines.size(), 1U);
}

// A sweep is one program's: neither of two is what a line through both says.
TEST(GemmRates, ASweepIsOfTheFasterBackend) {
  std::vector<Measurement> rows;
  for (const auto& [backend, bytes_per_s] : {std::pair("shm", 8e9), std::pair("mpi", 4e9)}) {
    for (const std::int64_t bytes : {1 << 20, 1 << 22, 1 << 24}) {
      Measurement m =
          measured("allreduce", "fp32", backend, {{"bytes", bytes}}, static_cast<double>(bytes),
                   static_cast<double>(bytes) / bytes_per_s);
      m.ranks = 2;
      rows.push_back(m);
    }
  }
  const auto sweep = book_of(rows).sweep("allreduce", false);
  ASSERT_TRUE(sweep);
  EXPECT_NEAR(sweep->bus_bytes_per_s, 8e9, 1e7);
  EXPECT_EQ(sweep->points.size(), 3U);
}

// Of weight gradients only those whose rate is another pass's lose weight_pass; and a rate that was
// measured under the power cap has the clock of minutes already.
TEST(GemmRates, WhatIsInARateIsNoFactorAgain) {
  const trainmeter::Run run = library().run("megatron-h100-1.7b");
  const System& system = *run.system;
  const FactorValues factors = knowledge().calibration.all.medians();
  const auto bill_of = [&](const std::string& layout, const std::string& regime) {
    std::vector<Measurement> rows = {
        measured("triad", "fp64", "cuda", {{"bytes", 1 << 27}}, 3e9, 1e-3)};
    for (const std::int64_t n : {1024, 4096, 16384}) {
      rows.push_back(gemm_at(6e14, 8192, n, 4096, "bf16", "cublaslt"));
      rows.push_back(gemm_at(6e14, n, 4096, 8192, "bf16", "cublaslt"));
      rows.back().layout = layout;
    }
    Record record = on_gpu(record_of(rows), system.gpu);
    record.headers.front().discipline.regime = regime;
    RateBook book;
    book.describe(system);
    book.add(record);
    return candidates(run, system, book, factors).front().bill;
  };
  const Bill plain = bill_of("nt", "");
  ASSERT_TRUE(plain.gemm.sustained);
  EXPECT_EQ(bill_of("nt", "burst").gemm.sustained, plain.gemm.sustained);
  EXPECT_FALSE(bill_of("nt", "sustained").gemm.sustained);
  FactorValues slow = factors;
  at(slow, Factor::weight_pass) *= 0.5;
  const auto gemm_s = [&](const Bill& bill, const FactorValues& f) {
    return seconds_of(step_time(bill, f), "gemm");
  };
  EXPECT_GT(gemm_s(plain, slow), 1.2 * gemm_s(plain, factors));
  EXPECT_LT(gemm_s(bill_of("tn", ""), slow), 1.2 * gemm_s(bill_of("tn", ""), factors));
}

// One GEMM in a layer: its own ratio is known, that of all others is not.
TEST(GemmRates, ALoneInPlaceRatioIsUncertainForOthers) {
  Measurement alone = gemm_at(1e12, 1024, 1024, 1024);
  Measurement in_place = alone;
  in_place.beside = "layer";
  for (double& time_s : in_place.time_s) time_s /= 0.9;
  const InPlaceRatios ratios = measured_in_place({record_of({in_place, alone})});
  const InPlace& own = *ratios.of("bf16", "nt", {1024, 1024, 1024, 1});
  const InPlace& others = *ratios.of("bf16", "nt", {4096, 1024, 1024, 1});
  EXPECT_NEAR(own.ratio, 0.9, 1e-3);
  EXPECT_NEAR(others.ratio, 0.9, 1e-9);
  EXPECT_LT(own.sigma, 0.02);
  EXPECT_GT(others.sigma, 0.05);
}

// No card does more than its tensor cores: the record or the system is wrong.
TEST(GemmRates, AboveTheDensePeakIsRefused) {
  const System h200 = library().system("h200");
  const double peak = h200.peak_flops.at("bf16");
  const auto refused = [&](double flops_per_s) {
    const RateBook book = book_of({gemm_at(flops_per_s, 8192, 8192, 8192)});
    return refusal([&] { refuse_impossible(book, h200); });
  };
  EXPECT_EQ(refused(0.99 * peak), "nothing was refused");
  EXPECT_THAT(refused(1.1 * peak), HasSubstr("test.jsonl:2: 1.09 PFLOP/s in bf16: expected"));
}
