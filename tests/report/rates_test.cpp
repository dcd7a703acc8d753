// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Rates from records and publications.
#include "report/rates.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using testing::HasSubstr;

TEST(Rates, ComeFromTheMedian) {
  const Record record = record_of({gemm_at(2e12, 512, 512, 512)});
  EXPECT_NEAR(rate_of(record.lines[0].measurement, record.headers[0]) / 2e12, 1, 1e-12);
  EXPECT_NEAR(noise_of(record.lines[0].measurement), 1.4826 * 0.005,
              1e-9);  // deviations 0 0 0 .005 .005 .01 .01
}

TEST(Rates, OfACollectiveAreBusBandwidth) {
  const Record record = small_cpu();
  const Line& line = record.lines.back();
  EXPECT_NEAR(rate_of(line.measurement, record.headers[0]),
              (1 << 20) / 1e-3 * bus_factor("allreduce", 2), 1);
}

TEST(Rates, TakeTheVeryShapeElseTheNearestAndTheBestBackend) {
  RateBook book;
  book.add(
      record_of({gemm_at(1e12, 1024, 1024, 1024), gemm_at(3e12, 1024, 1024, 1024, "bf16", "other"),
                 gemm_at(9e12, 64, 64, 64)}));
  const auto exact = book.gemm("bf16", "nt", 1024, 1024, 1024);
  ASSERT_TRUE(exact);
  EXPECT_NEAR(exact->value, 3e12, 1);
  EXPECT_EQ(exact->shape, 0);
  EXPECT_EQ(exact->how, "exact shape");
  EXPECT_EQ(exact->origin, "test.jsonl:3");
  const auto near = book.gemm("bf16", "nt", 2048, 1024, 1024);
  EXPECT_NEAR(near->value, 3e12, 1);
  EXPECT_GE(near->shape, 0.05);
  EXPECT_THAT(near->how, HasSubstr("nearest shape 1024x1024x1024"));
  EXPECT_NEAR(book.gemm("bf16", "nt", 100, 64, 64)->value, 9e12, 1);
  EXPECT_FALSE(book.gemm("fp64", "nt", 64, 64, 64));
}

TEST(Rates, LearnTheErrorOfNeighboursFromTheRecord) {
  RateBook smooth;
  smooth.add(record_of({gemm_at(1e12, 512, 512, 512), gemm_at(1e12, 1024, 512, 512),
                        gemm_at(1e12, 512, 1024, 512)}));
  RateBook rough;
  rough.add(record_of({gemm_at(1e12, 512, 512, 512), gemm_at(2e12, 1024, 512, 512),
                       gemm_at(2e12, 512, 1024, 512)}));
  EXPECT_DOUBLE_EQ(smooth.gemm("bf16", "nt", 600, 512, 512)->shape, 0.05);
  EXPECT_NEAR(rough.gemm("bf16", "nt", 600, 512, 512)->shape, std::log(2),
              1e-9);  // each is off by a factor of two
}

TEST(Rates, LeaveOutWhatFailedOrDidNotRunAlone) {
  Measurement wrong = gemm_at(5e12, 1024, 1024, 1024);
  wrong.verified = false;
  Measurement busy = gemm_at(5e12, 1024, 1024, 1024);
  busy.beside = "allreduce";
  RateBook book;
  book.add(record_of({wrong, busy}));
  EXPECT_TRUE(book.points().empty());
}

TEST(Rates, MemoryIsTriadFirst) {
  RateBook book;
  book.add(small_cpu());
  EXPECT_NEAR(book.memory()->value, 20e9, 1);
  EXPECT_FALSE(RateBook().memory());
  EXPECT_NEAR(book.register_peak("bf16")->value, 2e12, 1);
}

TEST(Rates, PublishedOnesOfTheH800NameTheirSource) {
  const Library library = published_library();
  RateBook book;
  book.add_published(library, library.system("h800"));
  const auto fp8 = book.best_gemm("fp8");
  ASSERT_TRUE(fp8);
  EXPECT_TRUE(fp8->transferred.empty());
  EXPECT_GT(fp8->value, 1.3e15);
  EXPECT_LT(fp8->value, 1.979e15);  // below its peak
  EXPECT_THAT(fp8->origin, HasSubstr("DeepGEMM"));
  const auto bf16 = book.best_gemm("bf16");  // nobody published one for the H800
  ASSERT_TRUE(bf16);
  EXPECT_FALSE(bf16->transferred.empty());
  EXPECT_LT(bf16->value, 989e12);
  ASSERT_TRUE(book.memory());
  EXPECT_LT(book.memory()->value, 3.36e12);
}
