// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The verdicts on the published claims, and on made-up ones of each kind.
#include "report/claims.hpp"

#include "record/error.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using nlohmann::json;
using testing::HasSubstr;

namespace {

Verdict judged(const std::string& id) {
  const Library library = published_library();
  return judge(library.claim(id), library);
}

Verdict judged_text(const std::string& text) {
  const Library library = published_library();
  const json value = json::parse(text);
  return judge(read_run(StrictObject(value, "claim.json"), library), library);
}

}  // namespace

TEST(Claims, DeepSeekV3IsConsistent) {
  const Verdict v = judged("deepseek-v3");
  EXPECT_EQ(v.verdict, "consistent") << v.reason;
  EXPECT_EQ(v.gpu_hours, 2'788'000);
  EXPECT_EQ(v.cost_usd, 5'576'000);
  EXPECT_FALSE(v.arithmetic.empty());
  for (const Arithmetic& a : v.arithmetic) EXPECT_TRUE(a.agrees) << a.what;
  ASSERT_FALSE(v.implied.empty());
  // 14.8 T tokens x 249.81 GFLOP / (2.664 M h x 3600 s): worked out by hand.
  EXPECT_NEAR(v.implied[0].flops_per_s_per_gpu / 385.5e12, 1, 2e-3);
  ASSERT_FALSE(v.ceilings.empty());
  EXPECT_EQ(v.ceilings[0].dtype, "fp8");
}

TEST(Claims, DeepSeekR1AddsUp) {
  const Verdict v = judged("deepseek-r1");
  EXPECT_EQ(v.gpu_hours, 147'000);
  EXPECT_EQ(v.cost_usd, 294'000);
  EXPECT_TRUE(v.verdict == "consistent") << v.reason;
  bool wall_hours = false;
  for (const Arithmetic& a : v.arithmetic) {
    EXPECT_TRUE(a.agrees) << a.what;
    wall_hours =
        wall_hours || a.what.find("512 GPUs x 198 h = 101,376 GPU-hours") != std::string::npos;
  }
  EXPECT_TRUE(wall_hours);
}

TEST(Claims, ThePressLineContradictsItself) {
  const Verdict v = judged("r1-press");
  EXPECT_EQ(v.verdict, "contradictory");
  EXPECT_EQ(v.cost_usd, 294'000);
  EXPECT_THAT(v.reason, HasSubstr("$81,920, not $294,000"));
  EXPECT_TRUE(v.fails());
}

TEST(Claims, MoreThanAnybodyMeasured) {
  const Verdict v =
      judged_text(R"({"id": "boast", "title": "V3 in a tenth of the hours", "model": "deepseek-v3",
    "system": "h800", "gpus": 2048, "tokens": 14.8e12, "seq_len": 4096, "precision": "fp8",
    "published": {"gpu_hours": 266400}})");
  EXPECT_EQ(v.verdict, "exceeds_measured") << v.reason;
  EXPECT_THAT(v.reason, HasSubstr("PFLOP/s"));
}

TEST(Claims, HoursTimesPriceAloneIsUntestable) {
  const Verdict v =
      judged_text(R"({"id": "vague", "title": "It was cheap", "system": "h800", "gpus": 8,
    "price_usd_per_gpu_hour": 2, "published": {"gpu_hours": 1000, "cost_usd": 2000}})");
  EXPECT_EQ(v.verdict, "untestable");
  ASSERT_EQ(v.arithmetic.size(), 1U);
  EXPECT_TRUE(v.arithmetic[0].agrees);
}

TEST(Claims, StagesThatDontAddUp) {
  const Verdict v = judged_text(R"({"id": "sum", "title": "Two stages", "system": "h800", "gpus": 8,
    "published": {"gpu_hours": 1500}, "stages": [{"title": "a", "gpu_hours": 700}, {"title": "b", "gpu_hours": 600}]})");
  EXPECT_EQ(v.verdict, "contradictory");
  EXPECT_THAT(v.reason, HasSubstr("700 + 600 = 1,300 GPU-hours, not 1,500 GPU-hours"));
}

TEST(Claims, RoundingIsGranted) {
  // 512 x 198 = 101,376 prints as 101,000; 80 h may have been 75 to 85.
  const Verdict v = judged_text(R"({"id": "round", "title": "r", "system": "h800", "gpus": 512,
    "published": {"wall_hours": 80, "gpu_hours": 43000}})");
  EXPECT_NE(v.verdict, "contradictory") << v.reason;
}

TEST(Claims, JsonHasTheKeysThatOthersReadFor) {
  const auto value = to_json(judged("deepseek-r1"));
  for (const char* key : {"id", "verdict", "reason", "arithmetic", "implied", "ceiling",
                          "predicted", "gpu_hours", "cost_usd"}) {
    EXPECT_TRUE(value.contains(key)) << key;
  }
}
