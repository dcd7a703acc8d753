// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Of several lines of one case, which is its rate: starts of one device, and devices of a node.
#include "report/rate_lines.hpp"

#include "report/numbers.hpp"
#include "report/story.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

namespace {

Measurement gemm_of(double flops_per_s) {
  return gemm_at(flops_per_s, 1024, 1024, 1024);
}

// One start for each rate.
Record starts(const std::vector<double>& rates) {
  std::vector<Measurement> all;
  for (const double rate : rates) all.push_back(gemm_of(rate));
  return record_of(all);
}

double rate_by(const std::vector<Record>& records) {
  RateBook book;
  book.add(records);
  return book.gemm("bf16", "nt", 1024, 1024, 1024)->value;
}

// What gpu `uuid` measured by itself: everything of a small machine at `speed` of the others'.
Record of_gpu(const std::string& uuid, double speed) {
  Record record = small_cpu();
  record.lines.pop_back();  // the all-reduce, of several at once
  Device device = h200();
  device.details["uuid"] = uuid;
  put_on(device, record);
  record.file = uuid + ".jsonl";
  for (Line& line : record.lines) {
    for (double& seconds : line.measurement.time_s) seconds /= speed;
  }
  return record;
}

std::vector<Record> node(double speed_of_the_seventh) {
  std::vector<Record> out;
  for (int gpu = 0; gpu < 8; ++gpu)
    out.push_back(of_gpu("GPU-" + std::to_string(gpu), gpu == 6 ? speed_of_the_seventh : 1));
  return out;
}

}  // namespace

TEST(RateLines, OfACasesStartsTheMedianAndNotTheLuckiestIsTheRate) {
  EXPECT_NEAR(rate_by({starts({1.00e12})}) / 1.00e12, 1, 1e-9);
  EXPECT_NEAR(rate_by({starts({1.02e12, 1.00e12, 1.05e12})}) / 1.02e12, 1, 1e-9);
  EXPECT_NEAR(rate_by({starts({1.05e12, 1.01e12, 0.9e12, 1.02e12})}) / 1.01e12, 1, 1e-9);
  // In several records as in one.
  EXPECT_NEAR(rate_by({starts({1.02e12}), starts({1.00e12}), starts({1.05e12})}) / 1.02e12, 1,
              1e-9);
  // More of the same makes nothing faster.
  std::vector<double> rates;
  for (int i = 0; i < 5; ++i) rates.insert(rates.end(), {0.97e12, 1.0e12, 1.03e12});
  EXPECT_NEAR(rate_by({starts(rates)}) / 1e12, 1, 1e-9);
}

TEST(RateLines, TheBestBackendIsChosenAfterwards) {
  Record record = starts({1.0e12, 1.3e12, 1.1e12});
  for (const double rate : {1.2e12, 0.8e12, 1.15e12})
    record.lines.push_back({gemm_at(rate, 1024, 1024, 1024, "bf16", "other"), 0, 90});
  EXPECT_NEAR(rate_by({record}) / 1.15e12, 1, 1e-9);
  RateBook book;
  book.add(record);
  EXPECT_EQ(book.points().size(), 2U);
}

TEST(RateLines, MemoryAndTheBestGemmAreMediansTooAndACeilingIsNone) {
  std::vector<Measurement> all;
  for (const double rate : {1.0, 1.2, 1.1}) {
    all.push_back(measured("triad", "fp64", "openmp", {{"bytes", 1 << 27}}, rate * 20e9, 1));
    all.push_back(measured("fma", "bf16", "registers", {{"cores", 2}}, rate * 2e12, 1));
    all.push_back(gemm_of(rate * 1e12));
  }
  RateBook book;
  book.add(record_of(all));
  EXPECT_NEAR(book.memory()->value / 22e9, 1, 1e-9);
  EXPECT_NEAR(book.best_gemm("bf16")->value / 1.1e12, 1, 1e-9);
  EXPECT_NEAR(book.register_peak("bf16")->value / 2.4e12, 1, 0.02);
}

TEST(RateLines, BurstsAreACaseOfTheirOwn) {
  Record burst = starts({1.4e12});
  burst.headers[0].discipline.regime = "burst";
  RateBook book;
  book.add({burst, starts({1.0e12})});
  EXPECT_EQ(book.points().size(), 2U);
}

TEST(RateLines, OfSeveralGpusTheSlowestIsTheRate) {
  EXPECT_NEAR(rate_by(node(0.5)) / 0.5e12, 1, 1e-9);
  EXPECT_NEAR(rate_by(node(1)) / 1e12, 1, 1e-9);
  // A lucky start of the slow one is no rate of it.
  std::vector<Record> records = node(0.5);
  records.push_back(of_gpu("GPU-6", 0.6));
  records.push_back(of_gpu("GPU-6", 0.5));
  EXPECT_NEAR(rate_by(records) / 0.5e12, 1, 1e-9);
}

TEST(RateLines, DevicesSideBySideAreToldApartByTheirNotes) {
  std::vector<Measurement> rows;
  for (int device = 0; device < 4; ++device) {
    Measurement m = gemm_of(device == 2 ? 0.7e12 : 1e12);
    m.shape["device"] = device;
    m.name += "/device:" + std::to_string(device);
    m.notes["device"] = "cores " + std::to_string(device);
    rows.push_back(m);
  }
  const Record record = record_of(rows);
  EXPECT_NEAR(rate_by({record}) / 0.7e12, 1, 1e-9);
  const auto apart = devices_apart({record});
  ASSERT_TRUE(apart);
  EXPECT_EQ(apart->shown(),
            "4 devices; the slowest (cores 2) is 30.0 % below the fastest at "
            "gemm/bf16/onednn/k:1024/m:1024/n:1024/device:2: of each case the slowest one's rate "
            "is taken");
}

TEST(RateLines, DevicesThatDifferAreNamed) {
  EXPECT_FALSE(devices_apart({of_gpu("GPU-0", 1)}));
  EXPECT_FALSE(devices_apart({small_cpu(), small_cpu()}));
  EXPECT_FALSE(devices_apart(node(0.96))->differ());
  const auto apart = devices_apart(node(0.5));
  ASSERT_TRUE(apart);
  EXPECT_TRUE(apart->differ());
  EXPECT_EQ(apart->devices, 8U);
  EXPECT_EQ(apart->slowest, "GPU-6");
  EXPECT_NEAR(apart->below, 0.5, 1e-9);
  EXPECT_THAT(apart->shown(), HasSubstr("8 GPUs; the slowest (GPU-6) is 50.0 % below"));
}

TEST(RateLines, AReportOfANodeSaysHowManyGpusAndHowFarApart) {
  const Story story = tell(node(0.5), published_library(), {});
  EXPECT_THAT(story.warnings, Contains(HasSubstr("8 GPUs; the slowest (GPU-6) is 50.0 % below")));
  const std::string text = to_text(to_document(story), {.width = 10'000});
  EXPECT_THAT(text,
              HasSubstr("8 x NVIDIA H200 SXM 141GB, by the slowest of them: the best bf16 GEMM"));
  EXPECT_THAT(text, HasSubstr("500 GFLOP/s"));
  const Story alike = tell(node(0.99), published_library(), {});
  EXPECT_THAT(alike.warnings, Not(Contains(HasSubstr("8 GPUs"))));
  EXPECT_THAT(alike.notes, Contains(HasSubstr("8 GPUs; the slowest")));
}

TEST(RateLines, ARatesIdIsItsLines) {
  Record record = small_cpu();
  for (const double rate : {1.3e12, 1.1e12})
    record.lines.push_back({gemm_of(rate), 0, record.lines.size() + 2});
  const Story story = tell({record}, published_library(), {});
  const Numbers numbers = numbers_of(story);
  const std::string id = "gemm/bf16/onednn/k:1024/m:1024/n:1024:rate";
  ASSERT_NE(numbers.find(id), nullptr);
  EXPECT_NEAR(numbers.find(id)->value / 1.1e12, 1, 1e-9);
  EXPECT_NE(numbers.find(id + "@test.jsonl:2"), nullptr);
  EXPECT_NE(numbers.find(id + "@test.jsonl:9"), nullptr);
}
