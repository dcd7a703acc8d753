// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMMs of a record beside those that others published of the same shapes.
#include "report/beside_published.hpp"

#include "report/story.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

using namespace trainmeter;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

namespace {

Measurement fp8_at(double flops_per_s, std::int64_t m, std::int64_t n, std::int64_t k,
                   const std::string& backend = "hopper") {
  Measurement out = gemm_at(flops_per_s, m, n, k, "fp8", backend);
  out.scaling = "block128";
  return out;
}

std::vector<BesidePublished> rows_of(const std::vector<Measurement>& measurements,
                                     const char* system = "h200", const char* regime = "burst") {
  Record record = record_of(measurements);
  Device device;
  device.kind = "gpu";
  device.name = system;
  device.sms = 132;
  put_on(device, record);
  record.headers[0].discipline.regime = regime;
  return beside_published({record}, published_library().system(system), published_library());
}

// DeepGEMM's table has 1,304 at first, then 1,265; its pull request 81 has 1,377.
TEST(BesidePublished, IsTheHighestOfItsShapeOnTheSameChip) {
  const auto rows = rows_of({fp8_at(1.2393e15, 4096, 4096, 7168)});
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].figure.id, "deepgemm-pr81-256x128-4096x4096x7168");
  EXPECT_EQ(rows[0].system, "h800");
  EXPECT_EQ(rows[0].method, "burst");
  EXPECT_NEAR(rows[0].ratio(), 0.9, 1e-9);
  EXPECT_THAT(rows_of({fp8_at(1e14, 4096, 4096, 7168)}, "a100"), IsEmpty());
}

TEST(BesidePublished, OtherWorkIsNotCompared) {
  Measurement per_tensor = fp8_at(1e15, 4096, 4096, 7168);
  per_tensor.scaling = "tensor";
  Measurement added = fp8_at(1e15, 4096, 4096, 7168);
  added.shape["accumulate"] = 1;
  Measurement transposed = fp8_at(1e15, 4096, 4096, 7168);
  transposed.layout = "nn";
  Measurement side_by_side = fp8_at(1e15, 8192, 4096, 7168);
  side_by_side.shape["groups"] = 4;
  Measurement wrong = fp8_at(1e15, 4096, 4096, 7168);
  wrong.verified = false;
  EXPECT_THAT(
      rows_of({per_tensor, added, transposed, side_by_side, wrong, fp8_at(1e15, 4096, 4096, 7040)}),
      IsEmpty());
}

TEST(BesidePublished, GroupsHaveTheirRowsEach) {
  Measurement grouped = fp8_at(1.346e15, 4 * 8192, 4096, 7168);
  grouped.operation = "grouped_gemm";
  grouped.shape["groups"] = 4;
  const auto rows = rows_of({grouped});
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_NEAR(rows[0].ratio(), 1, 1e-9);
  EXPECT_THAT(to_text(to_document(rows), {}), HasSubstr("32768 x 4096 x 7168 in 4 groups"));
  grouped.notes["skew"] = "zipf";
  EXPECT_THAT(rows_of({grouped}), IsEmpty());
}

TEST(BesidePublished, SaysMeanAndLowestOfEachBackend) {
  const auto rows = rows_of({fp8_at(1.377e15, 4096, 4096, 7168),
                             fp8_at(1.3e15, 4096, 4096, 7168),  // the same case, slower and faster:
                             fp8_at(1.6e15, 4096, 4096, 7168),  // the median is its rate
                             fp8_at(0.81 * 1.185e15, 4096, 7168, 2048),
                             fp8_at(1.185e15, 4096, 7168, 2048, "cublaslt")});
  ASSERT_THAT(rows, SizeIs(3));
  const std::string text =  // as one line
      std::regex_replace(to_text(to_document(rows), {}), std::regex("\\s+"), " ");
  EXPECT_THAT(text, HasSubstr("hopper fp8, burst: 0.900 of deepgemm's in geometric mean over 2 "
                              "shapes, the lowest 0.810 (4096 x 7168 x 2048)"));
  EXPECT_THAT(text, HasSubstr("cublaslt fp8, burst: 1.000"));
  EXPECT_THAT(text, HasSubstr("1.38 PFLOP/s"));
}

TEST(BesidePublished, PowerIsShownWhereItHadSettled) {
  Measurement climbing = fp8_at(1.18e15, 4096, 7168, 2048);
  climbing.power_w = {131, 131, 187, 240, 346, 395, 448, 448, 500};
  Measurement settled = fp8_at(1.2e15, 4096, 4096, 7168);
  settled.power_w = {500, 600, 690, 690, 690, 690, 691, 690, 691};
  const auto rows = rows_of({climbing, settled});
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].point.power_w, 0);
  EXPECT_TRUE(to_json(rows[0]).at("power_w").is_null());
  EXPECT_EQ(to_json(rows[1]).at("power_w"), 691);
  const std::string text = to_text(to_document(rows), {});
  EXPECT_THAT(text, HasSubstr("691 W"));
  EXPECT_THAT(text, HasSubstr("n/a"));
}

// What is later than the runs that are predicted is compared with, and predicts none.
TEST(BesidePublished, SuchFiguresAloneGiveNoRates) {
  RateBook book;
  const Library library = published_library();
  book.add_published(library, library.system("h800"));
  for (const RatePoint& point : book.points()) EXPECT_FALSE(point.name.starts_with("deepgemm-pr"));
}

}  // namespace
