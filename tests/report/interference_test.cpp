// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a report says of overlaps: of several sizes, and of two backends in turn.
#include "report/interference.hpp"

#include "record/overlap.hpp"
#include "report/in_turn.hpp"

#include "fixtures.hpp"
#include "overlap_fixture.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

using namespace trainmeter;

namespace {

// A GEMM's five rows, `slower` times the usual ones beside the traffic.
std::vector<Measurement> overlap(std::int64_t k, const std::string& backend, double slower,
                                 const std::string& versus = "") {
  const auto named = [k](const std::string& by) {
    return "gemm/bf16/" + by + "/m:64/n:64/k:" + std::to_string(k) + "/memory_mover/co_sms:1";
  };
  Measurement alone = gemm_at(1e12, 64, 64, k, "bf16", backend);
  alone.name = named(backend);
  if (!versus.empty()) alone.paired_with = named(versus);
  return overlap_of(alone, "memory_mover", slower);
}

Record of(const std::vector<std::vector<Measurement>>& cases) {
  return record_of(joined(cases));
}

}  // namespace

TEST(InterferenceTable, SizesAreSaidWhereThereAreSeveral) {
  const auto one = interference_json({of({overlap(64, "hopper", 2)})});
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].at("operation"), "gemm bf16 hopper");
  EXPECT_NEAR(one[0].at("keeps").get<double>(), 0.5, 1e-9);
  // The larger one keeps more and moves as much, but is another problem: both are the best.
  const auto two = interference_json({of({overlap(64, "hopper", 2), overlap(128, "hopper", 1.5)})});
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(two[0].at("operation"), "gemm bf16 hopper 64 x 64 x 128");
  EXPECT_EQ(two[1].at("operation"), "gemm bf16 hopper 64 x 64 x 64");
  for (const auto& row : two) EXPECT_TRUE(row.at("best").get<bool>());
}

TEST(InterferenceTable, TwoBackendsInTurnAreAPairBesideTheTraffic) {
  const Record record =
      of({overlap(64, "hopper", 2, "cublaslt"), overlap(64, "cublaslt", 3, "hopper")});
  EXPECT_EQ(interference_json({record}).size(), 2U);
  const auto pairs = in_turn_json({record});
  ASSERT_EQ(pairs.size(), 1U);
  EXPECT_EQ(pairs[0].at("operation"), "gemm beside memory_mover");
  EXPECT_THAT(pairs[0].at("problem").get<std::string>(), testing::StartsWith("64 x 64 x 64"));
  EXPECT_NEAR(pairs[0].at("speed").get<double>(), 1.5, 1e-9);
  EXPECT_NEAR(pairs[0].at("one_rate").get<double>(), 0.5e12, 1e9);
  // The same rows of no pair.
  EXPECT_TRUE(in_turn_json({of({overlap(64, "hopper", 2), overlap(64, "cublaslt", 3)})}).empty());
}
