// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A story from a record alone.
#include "report/story.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using testing::HasSubstr;
using testing::Not;

TEST(Story, TellsWhatWasAchievedBesideWhatIsPossible) {
  const Story story = tell({small_cpu()}, published_library(), {});
  const auto gemm = std::ranges::find_if(
      story.achieved, [](const Achieved& a) { return a.point.operation == "gemm"; });
  ASSERT_NE(gemm, story.achieved.end());
  EXPECT_NEAR(*gemm->possible / 2e12, 1, 0.01);  // the register loop, its fastest samples
  if (gemm->interval) {
    EXPECT_LE(gemm->interval->low, gemm->point.value);
    EXPECT_GE(gemm->interval->high, gemm->point.value);
  }
  ASSERT_TRUE(story.prediction) << story.why_no_prediction;
  EXPECT_EQ(story.collectives.size(), 1U);
  EXPECT_GE(story.verdicts.size(), 3U);
  const std::string text = to_text(to_document(story), {});
  for (const char* expected : {"1.00 TFLOP/s", "49.6 %", "step time", "null model",
                               "$81,920, not $294,000", "contradictory"}) {
    EXPECT_THAT(text, HasSubstr(expected));
  }
  for (const char c : {'\033', '\t'}) EXPECT_EQ(text.find(c), std::string::npos);
}

TEST(Story, ListsAStepsKernelsByTheirSizes) {
  Record record = small_cpu();
  record.lines.push_back(
      {measured("rmsnorm", "bf16", "openmp", {{"rows", 8}, {"cols", 64}}, 5e9, 1), 0, 99});
  const Story story = tell({record}, published_library(), {});
  EXPECT_NEAR(story.rates.memory()->value, 20e9, 1);  // triad's, as without it
  const std::string text = to_text(to_document(story), {});
  EXPECT_THAT(text, HasSubstr("rmsnorm"));
  EXPECT_THAT(text, HasSubstr("cols:64 rows:8"));
  EXPECT_THAT(text, HasSubstr("5.00 GB/s"));
}

TEST(Story, SaysWhereACeilingIsNone) {
  const auto text_of = [](double ceiling) {
    Record record = small_cpu();
    record.lines[3].measurement = measured("fma", "bf16", "registers", {{"cores", 2}}, ceiling, 1);
    return to_text(to_document(tell({record}, published_library(), {})), {});
  };
  EXPECT_THAT(text_of(0.98e12), Not(HasSubstr("exceeds what is given as possible")));
  EXPECT_THAT(text_of(0.5e12), HasSubstr("exceeds what is given as possible"));
}

TEST(Story, ShowsFailuresAndCountsThemNowhere) {
  Record record = small_cpu();
  Measurement wrong = gemm_at(9e12, 1024, 1024, 1024, "int8");
  wrong.verified = false;
  wrong.failure = "wrong result: error 3 exceeds 0.5";
  record.lines.push_back({wrong, 0, 99});
  const Story story = tell({record}, published_library(), {});
  ASSERT_EQ(story.failures.size(), 1U);
  EXPECT_THAT(story.failures[0], HasSubstr("test.jsonl:99"));
  for (const Achieved& a : story.achieved) EXPECT_NE(a.point.dtype, "int8");
}

TEST(Story, WithoutMemoryBandwidthThereIsNoPredictionButTheRestHolds) {
  const Story story =
      tell({record_of({gemm_at(1e12, 512, 512, 512),
                       measured("fma", "bf16", "registers", {{"cores", 2}}, 2e12, 1)})},
           published_library(), {});
  EXPECT_FALSE(story.prediction);
  EXPECT_THAT(story.why_no_prediction, HasSubstr("no memory bandwidth"));
  EXPECT_THAT(to_text(to_document(story), {}), HasSubstr("No prediction: "));
  EXPECT_FALSE(story.verdicts.empty());
}

TEST(Story, AGpuIsKnownByItsName) {
  Record record = small_cpu();
  record.headers[0].device.kind = "gpu";
  record.headers[0].device.name = "NVIDIA H100 80GB HBM3";
  record.headers[0].device.sms = 132;
  record.headers[0].device.memory_bytes = 81'559LL << 20;  // as the driver counts 80 GB
  const Story story = tell({record}, published_library(), {});
  EXPECT_EQ(story.machine.id, "h100");
  EXPECT_THAT(story.notes.at(0), HasSubstr("h100"));
}

TEST(Story, JsonIsWhole) {
  const auto json = to_json(tell({small_cpu()}, published_library(), {}));
  for (const char* key : {"records", "machine", "achieved", "collectives", "prediction", "claims"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_EQ(nlohmann::json::parse(json.dump()), json);  // no NaN turned into null
  EXPECT_EQ(json.dump().find("null,\"low"), std::string::npos);
}

TEST(Story, WithoutAGemmOfTheMachineThereIsNoTrainingHeadline) {
  Record record =
      record_of({measured("triad", "fp64", "own", {{"bytes", 1 << 30}}, 3.0 * (1 << 30), 1e-3)});
  put_on({.kind = "gpu",
          .name = "NVIDIA H200",
          .count = 1,
          .sms = 132,
          .memory_bytes = 150'100'000'000,
          .last_level_cache_bytes = 0,
          .details = {}},
         record);
  const Story story = tell({record}, published_library(), {});
  EXPECT_EQ(story.machine.id, "h200");
  EXPECT_FALSE(story.prediction);
  EXPECT_THAT(story.why_no_prediction, HasSubstr("no GEMM of this machine was measured"));
}

TEST(Story, ARunThatNobodyKnowsIsNoStory) {
  EXPECT_THAT(refusal([] { (void)tell({small_cpu()}, published_library(), {.run = "nope"}); }),
              HasSubstr("'nope': no such file, and no such id in runs"));
}
