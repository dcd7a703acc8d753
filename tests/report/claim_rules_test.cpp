// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Each rule of a claim's verdict on both sides of its boundary.
#include "report/claim_rules.hpp"

#include "claim_texts.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

Verdict with(double flops, double ceiling, bool upper_bound = false) {
  Verdict out;
  out.implied = {{.stage = "s",
                  .flops_per_s_per_gpu = flops,
                  .upper_bound = upper_bound,
                  .how = "",
                  .precision = "bf16",
                  .conventions = {},
                  .rates = {}}};
  if (ceiling > 0)
    out.ceilings = {
        {.flops_per_s = ceiling, .dtype = "bf16", .origin = "", .how = "", .figure = ""}};
  return out;
}

}  // namespace

TEST(ClaimRules, SumsAgreeWhereTheirRoundingsTouch) {
  // 512 x 80 h may be 512 x 75 = 38,400 to 512 x 85 = 43,520.
  const char* const text = R"("gpus": 512, "published": {"wall_hours": 80, "gpu_hours": %s})";
  const auto at = [&](const std::string& hours) {
    std::string keys = text;
    return judged_text(keys.replace(keys.find("%s"), 2, hours)).rule;
  };
  EXPECT_NE(at("43520"), "sums_disagree");
  EXPECT_EQ(at("43521"), "sums_disagree");
  EXPECT_EQ(at("38399"), "sums_disagree");
}

// Nobody trains on one GPU what doesn't say on how many.
TEST(ClaimRules, WithoutTheNumberOfGpusNoHoursFollow) {
  const auto at = [](const std::string& printed, const std::string& gpus = "") {
    return judged_text(R"("model": "deepseek-v3", "system": "h800", "precision": "fp8",
      "tokens": 14.8e12, "seq_len": 4096, "global_batch_sequences": 15360, "published": )" +
                       printed + gpus);
  };
  EXPECT_EQ(at(R"({"gpu_hours": 2.788e6, "wall_hours": 1361})").rule, "within_measured");
  EXPECT_EQ(at(R"({"wall_hours": 1361})", R"(, "gpus": 2048)").rule, "within_measured");
  for (const char* printed :
       {R"({"wall_hours": 1361})", R"({"step_time_s": 20})", R"({"tokens_per_day": 2.6e11})"}) {
    const Verdict v = at(printed);
    EXPECT_EQ(v.rule, "work_not_printed") << printed;
    EXPECT_THAT(v.reason, HasSubstr("the number of GPUs")) << printed;
    EXPECT_FALSE(v.cost) << printed;
  }
  EXPECT_EQ(judged_text(R"("stages": [{"id": "a", "title": "A", "price_usd_per_gpu_hour": 2,
    "published": {"wall_hours": 100, "cost_usd": 400000}}])")
                .rule,
            "work_not_printed");
}

TEST(ClaimRules, NamedSums) {
  const auto at = [](const std::string& printed) {
    return judged_text(R"("sums": [{"title": "days", "multiply": [1400], "divide": [35], "exact": 2,
      "unit": "days", "printed": )" +
                       printed + "}]")
        .rule;
  };
  // 1400 +- 50 over 35 +- 0.5, doubled: up to 1450 / 34.5 x 2 = 84.06.
  EXPECT_EQ(at("84.5"), "sums_disagree");
  EXPECT_EQ(at("84.1"), "work_not_printed");
}

TEST(ClaimRules, WorkWithinFivePercentOfAConvention) {
  // Llama 3 8B: 45.03 GFLOP a token without attention; 10,000 tokens/s are 450.3 TFLOP/s.
  const auto at = [](const std::string& tflops) {
    return judged_text(R"("model": "llama-3-8b", "system": "h100", "gpus": 8,
      "published": {"tokens_per_s_per_gpu": 10000, "tflops_per_gpu": )" +
                       tflops + "}");
  };
  EXPECT_EQ(at("429").rule, "within_measured");
  EXPECT_EQ(at("428").rule, "work_disagrees");
  EXPECT_EQ(at("472").rule, "within_measured");
  EXPECT_EQ(at("474").rule, "work_disagrees");
  EXPECT_THAT(at("150").reason, HasSubstr("forward pass alone"));
  EXPECT_THAT(at("160").reason, testing::Not(HasSubstr("forward pass alone")));
}

TEST(ClaimRules, TheDenominatorIsADensePeak) {
  const auto at = [](const std::string& precision, const std::string& peak) {
    return judged_text(R"("system": "h100", "precision": ")" + precision +
                       R"(", "published": {"mfu": 0.3, "mfu_peak_flops": )" + peak + "}");
  };
  EXPECT_EQ(at("bf16", "989e12").rule, "within_measured");
  EXPECT_EQ(at("fp8", "989e12").rule, "within_measured");
  EXPECT_EQ(at("fp8", "1979e12").rule, "within_measured");
  EXPECT_EQ(at("bf16", "1979e12").rule, "wrong_denominator");
  EXPECT_THAT(at("bf16", "1979e12").reason, HasSubstr("2:4 sparsity"));
  EXPECT_EQ(at("bf16", "994e12").rule, "within_measured");
  EXPECT_EQ(at("bf16", "995e12").rule, "wrong_denominator");
  EXPECT_THAT(at("bf16", "1200e12").reason, testing::Not(HasSubstr("sparsity")));
}

TEST(ClaimRules, AboveAndWithinTheMeasured) {
  EXPECT_FALSE(above_measured(with(800e12, 800e12)));
  EXPECT_TRUE(within_measured(with(800e12, 800e12), {}));
  const auto above = above_measured(with(808e12, 800e12));
  ASSERT_TRUE(above);
  EXPECT_EQ(above->verdict, "exceeds_measured");
  EXPECT_THAT(above->reason, HasSubstr("1.0 % above it"));
  EXPECT_FALSE(within_measured(with(808e12, 800e12), {}));
  EXPECT_FALSE(above_measured(with(808e12, 0)));
}

// An fp8 run's attention and head run at bf16's rate: 1 / (0.8 / 1500 + 0.2 / 800).
TEST(ClaimRules, EachPartOfTheWorkHasItsOwnCeiling) {
  Verdict v = with(1276e12, 800e12);
  v.implied[0].precision = "fp8";
  v.ceilings.push_back(
      {.flops_per_s = 1500e12, .dtype = "fp8", .origin = "", .how = "", .figure = ""});
  EXPECT_TRUE(within_measured(v, {}));
  v.implied[0].bf16_share = 0.2;
  EXPECT_TRUE(within_measured(v, {}));
  v.implied[0].flops_per_s_per_gpu = 1280e12;
  EXPECT_FALSE(within_measured(v, {}));
  const auto above = above_measured(v);
  ASSERT_TRUE(above);
  EXPECT_THAT(above->reason, HasSubstr("with the 20.0 % of the work that is in bf16 at the best "
                                       "800 TFLOP/s together 1.28 PFLOP/s: 0.3 % above it"));
}

TEST(ClaimRules, ABoundBeyondTheCeilingProvesNothing) {
  EXPECT_FALSE(above_measured(with(900e12, 800e12, true)));
  EXPECT_EQ(nothing_to_test(with(900e12, 800e12, true), {}).rule, "bound_too_wide");
  EXPECT_TRUE(within_measured(with(700e12, 800e12, true), {}));
  EXPECT_EQ(nothing_to_test(with(900e12, 0), {}).rule, "no_measurement");
}

TEST(ClaimRules, AContradictionGoesFirst) {
  Verdict v = with(900e12, 800e12);
  v.arithmetic = {{.what = "1 + 1 = 2 days", .computed = 2, .printed = 3, .unit = "days"}};
  const auto found = contradiction(v);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->reason, "1 + 1 = 2 days, not 3 days");
  v.arithmetic[0].agrees = true;
  EXPECT_FALSE(contradiction(v));
}
