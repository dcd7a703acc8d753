// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Claims that print several figures of their speed: each is judged, and those that go together.
#include "report/claims.hpp"
#include "report/page.hpp"

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

// Llama 3 70B, 15 T tokens (+- 0.5) in 7 M hours (+- 0.5): 595 tokens/s and 267 TFLOP/s per GPU.
Verdict llama_with(const std::string& printed, const std::string& keys = R"("gpus": 2048,)") {
  const Library library = published_library();
  const json claim = json::parse("{" + keys + R"("id": "mine", "title": "Mine",
    "source": {"title": "t", "locator": "l", "url": "u", "read_on": "2026-11-25"},
    "model": "llama-3-70b", "system": "h100", "tokens": 15e12, "seq_len": 8192,
    "global_batch_sequences": 2048, "published": {"gpu_hours": 7000000)" +
                                 printed + "}}");
  return judge(read_claim(claim, "claim.json", library), library);
}

}  // namespace

TEST(ClaimRates, TheFigureThatAsksForTheMostIsJudged) {
  const Verdict hours = llama_with("");
  EXPECT_EQ(hours.verdict, "consistent");
  EXPECT_FALSE(hours.implied.at(0).whole_run_share);
  // 5,000 tokens/s x 449.2 GFLOP.
  const Verdict tokens = llama_with(R"(, "tokens_per_s_per_gpu": 5000)");
  EXPECT_EQ(tokens.rule, "above_measured");
  EXPECT_NEAR(tokens.implied.at(0).flops_per_s_per_gpu / 2.246e15, 1, 1e-3);
  EXPECT_THAT(tokens.reason, HasSubstr("needs 2.25 PFLOP/s per GPU"));
  EXPECT_EQ(llama_with(R"(, "step_time_s": 1)").rule, "above_measured");
  EXPECT_EQ(llama_with(R"(, "tokens_per_day": 1e12)").rule, "above_measured");
  EXPECT_EQ(llama_with(R"(, "tflops_per_gpu": 900)").rule, "above_measured");
  EXPECT_EQ(llama_with(R"(, "mfu": 0.9)").rule, "above_measured");
  EXPECT_EQ(llama_with(R"(, "mfu": 0.8)").rule, "within_measured");
}

TEST(ClaimRates, AStepTimeOfAnUnknownNumberOfGpusSaysNothing) {
  const Verdict v = llama_with(R"(, "step_time_s": 1, "tokens_per_day": 1e12)", "");
  EXPECT_EQ(v.verdict, "consistent");
  EXPECT_EQ(v.implied.at(0).rates.size(), 1U);
}

TEST(ClaimRates, TheWholeRunAsAShareOfItsSteadyRate) {
  const Verdict slow = llama_with(R"(, "step_time_s": 5)");  // 1,638.4 tokens/s
  EXPECT_EQ(slow.verdict, "consistent");
  EXPECT_NEAR(*slow.implied.at(0).whole_run_share, 595.24 / 1638.4, 1e-5);
  EXPECT_THAT(slow.reason, HasSubstr("36.3 % of its steady rate"));
  EXPECT_THAT(to_text(to_document({slow}), {.width = 500}),
              HasSubstr("GPU-hours; 36.3 % of its steady rate"));
  const Verdict usual = llama_with(R"(, "mfu": 0.45)");
  EXPECT_NEAR(*usual.implied.at(0).whole_run_share, 267.4 / 445.05, 1e-3);
  EXPECT_THAT(usual.reason, testing::Not(HasSubstr("steady")));
}

TEST(ClaimRates, NoWholeRunIsFasterThanItsSteps) {
  // Rounding leaves 528 tokens/s and more, 220 TFLOP/s in 6ND.
  EXPECT_EQ(llama_with(R"(, "tokens_per_s_per_gpu": 500)").verdict, "consistent");  // +- 50
  const Verdict fast = llama_with(R"(, "tokens_per_s_per_gpu": 400)");
  EXPECT_EQ(fast.rule, "faster_than_steady");
  EXPECT_EQ(fast.verdict, "contradictory");
  EXPECT_THAT(fast.reason, HasSubstr("= 595.24 tokens/s per GPU, not 400 tokens/s: no average"));
  EXPECT_EQ(llama_with(R"(, "step_time_s": 16.1)").verdict, "contradictory");  // 509 tokens/s
  EXPECT_EQ(llama_with(R"(, "tokens_per_day": 8.8e10)").verdict, "contradictory");
  EXPECT_EQ(llama_with(R"(, "tflops_per_gpu": 215)").verdict, "consistent");  // x 1.05
  EXPECT_EQ(llama_with(R"(, "tflops_per_gpu": 205)").verdict, "contradictory");
  EXPECT_EQ(llama_with(R"(, "mfu": 0.15)").verdict, "contradictory");
  // Of which peak isn't known.
  EXPECT_EQ(llama_with(R"(, "mfu": 0.15)", R"("gpus": 2048, "precision": "fp8",)").verdict,
            "consistent");
  // What the script and the title print of GPT-2 is the same within rounding.
  EXPECT_GT(*judged("gpt-2-90-minutes").implied.at(0).whole_run_share, 1);
  EXPECT_EQ(judged("gpt-2-90-minutes").verdict, "consistent");
}

TEST(ClaimRates, TwoRatesOfOneRunAgree) {
  // 2,048 x 8,192 tokens on 2,048 GPUs are 8,192 a step.
  EXPECT_EQ(llama_with(R"(, "step_time_s": 10, "tokens_per_s_per_gpu": 820)").verdict,
            "consistent");
  const Verdict apart = llama_with(R"(, "step_time_s": 10.1, "tokens_per_s_per_gpu": 911)");
  EXPECT_EQ(apart.rule, "steady_rates_apart");
  EXPECT_EQ(apart.verdict, "contradictory");
  EXPECT_THAT(apart.reason,
              HasSubstr("10.1 s a step: 811.09 tokens/s per GPU by its step time, not "
                        "911 tokens/s: that is the rate by its tokens/s"));
  EXPECT_EQ(llama_with(R"(, "step_time_s": 10.1, "tokens_per_day": 1.7e11)").rule,
            "steady_rates_apart");
  EXPECT_EQ(llama_with(R"(, "mfu": 0.45, "hfu": 0.45)").verdict, "consistent");
  const Verdict less = llama_with(R"(, "mfu": 0.45, "hfu": 0.31)");
  EXPECT_EQ(less.rule, "steady_rates_apart");
  EXPECT_THAT(less.reason, HasSubstr("an HFU of 31.0 %, not 45 % MFU or more"));
}

TEST(ClaimRates, HoursOutsideTheirPredictionAreSaid) {
  const auto place = [](const Verdict& v) { return v.predicted.at(0).place(); };
  EXPECT_EQ(place(judged("deepseek-v3")), "within");
  const Verdict short_one = judged("gpt-2-90-minutes");
  EXPECT_EQ(place(short_one), "below");
  EXPECT_THAT(to_json(short_one).at("predicted").at(0).at("claimed_is"), "below");
  EXPECT_THAT(to_text(to_document({short_one}), {.width = 500}),
              HasSubstr("; claimed: 12, below that range"));
  EXPECT_EQ(place(judged("deepseek-v3-step")), "");
}

// Of three stages one says what it did.
TEST(ClaimRates, StagesThatNobodyCouldTestAreSaid) {
  const Verdict r1 = judged("deepseek-r1");
  EXPECT_THAT(r1.reason, HasSubstr("; tested so: 1 of 3 stages, 101,000 of 147,000 GPU-hours"));
  EXPECT_THAT(judged("deepseek-r1-zero").reason, testing::Not(HasSubstr("stages")));
  const Document document = to_document({r1});
  for (const std::string& text :
       {to_text(document, {.width = 500}), to_markdown(document), to_html(document, {}, "")}) {
    EXPECT_THAT(text, HasSubstr("; claimed: 101,000, within that range"));
    EXPECT_THAT(text, HasSubstr("not predicted: deepseek-r1-sft-data (5,000 GPU-hours): seq_len"));
    EXPECT_THAT(text, HasSubstr("not predicted: deepseek-r1-rl (41,000 GPU-hours): rl.phases"));
  }
}
