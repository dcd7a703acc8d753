// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The GEMMs of a step in a record: which row stands for each, and their sum.
#include "report/step_gemms.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

namespace {

Measurement of_step(Measurement m, const std::string& in_step,
                    const std::string& step = "gpt2-124m tokens:1024 tp:1") {
  m.notes["in_step"] = in_step;
  m.notes["step"] = step;
  return m;
}

std::vector<StepGemms> steps_in(const std::vector<Measurement>& rows) {
  return steps_of({record_of(rows)}, published_library());
}

std::string text_of(const std::vector<StepGemms>& steps) {
  return to_text(to_document(steps), {});
}

TEST(StepGemms, OfTheFastestBackendByNameAndTogether) {
  const std::string qkv = "gpt2-124m qkv fprop x 12";
  const auto steps =
      steps_in({of_step(gemm_at(1e12, 1024, 2304, 768), qkv),
                of_step(gemm_at(2e12, 1024, 2304, 768, "bf16", "other"), qkv),
                of_step(gemm_at(1e12, 1024, 50257, 768), "gpt2-124m lm_head fprop x 1"),
                of_step(gemm_at(1e11, 1024, 2304, 768, "fp32"), qkv)});
  ASSERT_THAT(steps, SizeIs(2));
  const StepGemms& bf16 = steps[0];
  EXPECT_EQ(bf16.model, "gpt2-124m");
  EXPECT_EQ(bf16.step, "1024 tokens, tp 1");
  EXPECT_EQ(bf16.type, "bf16");
  ASSERT_THAT(bf16.gemms, SizeIs(2));
  EXPECT_EQ(bf16.gemms[0].name, "qkv");
  EXPECT_EQ(bf16.gemms[0].pass, "fprop");
  EXPECT_EQ(bf16.gemms[0].point.backend, "other");
  const double all = 12 * gemm_flops(1024, 2304, 768) + gemm_flops(1024, 50257, 768);
  EXPECT_NEAR(bf16.flops(), all, 1);
  EXPECT_NEAR(bf16.time_s(),
              12 * gemm_flops(1024, 2304, 768) / 2e12 + gemm_flops(1024, 50257, 768) / 1e12, 1e-9);
  EXPECT_THAT(bf16.missing, Contains("qkv wgrad"));
  EXPECT_THAT(bf16.missing, Not(Contains("qkv fprop")));
  EXPECT_EQ(steps[1].type, "fp32");
  const std::string text = text_of(steps);
  EXPECT_THAT(text, HasSubstr("gpt2-124m: 1024 tokens, tp 1"));
  EXPECT_THAT(text, HasSubstr("2.00 TFLOP/s (other)"));
  EXPECT_THAT(text, HasSubstr("wasn't measured: qkv dgrad, qkv wgrad, "));
  EXPECT_EQ(to_json(bf16).at("gemms").size(), 2U);
  EXPECT_THAT(to_document(std::vector<StepGemms>{}), IsEmpty());
}

// In one launch of all experts, and added to a sum, however fast the others are.
TEST(StepGemms, WhatTrainingDoesStandsForAGemm) {
  Measurement groups = gemm_at(1e12, 8192, 4096, 7168);
  groups.operation = "grouped_gemm";
  groups.shape["groups"] = 4;
  Measurement added = gemm_at(1e12, 4096, 7168, 8192);
  added.shape["accumulate"] = 1;
  const std::string step = "deepseek-v3 tokens:4096 tp:1 ep:64";
  const auto steps =
      steps_in({of_step(gemm_at(2e12, 2048, 4096, 7168), "deepseek-v3 expert_up fprop x 232", step),
                of_step(groups, "deepseek-v3 expert_up fprop x 58", step),
                of_step(gemm_at(3e12, 2048, 4096, 7168, "bf16", "other"),
                        "deepseek-v3 expert_up fprop x 232", step),
                of_step(gemm_at(2e12, 4096, 7168, 8192), "deepseek-v3 q_b wgrad x 61", step),
                of_step(added, "deepseek-v3 q_b wgrad x 61", step),
                of_step(gemm_at(3e12, 4096, 7168, 8192), "deepseek-v3 q_b wgrad x 61", step)});
  ASSERT_THAT(steps, SizeIs(1));
  ASSERT_THAT(steps[0].gemms, SizeIs(2));
  EXPECT_EQ(steps[0].gemms[0].point.operation, "grouped_gemm");
  EXPECT_EQ(steps[0].gemms[0].count, 58);
  EXPECT_NEAR(steps[0].gemms[1].point.value, 1e12, 1e6);
  EXPECT_EQ(steps[0].step, "4096 tokens, tp 1, ep 64");
}

// Experts of unequal sizes add up; each number of sequences is a step of its own.
TEST(StepGemms, ADecodeStep) {
  const std::string step = "deepseek-v3 decode tp:1 ep:1";
  auto steps = steps_in(
      {of_step(gemm_at(1e9, 1, 4096, 7168),
               "deepseek-v3 shared_up decode:1 x 58; deepseek-v3 expert_up decode:40 x 58", step),
       of_step(gemm_at(1e9, 2, 4096, 7168), "deepseek-v3 expert_up decode:40 x 116", step)});
  ASSERT_THAT(steps, SizeIs(2));
  EXPECT_EQ(steps[0].step, "decoding 1 sequence, tp 1, ep 1");
  EXPECT_THAT(steps[1].gemms, SizeIs(2));
  EXPECT_NEAR(steps[1].flops(), 58 * gemm_flops(1 + 2 * 2, 4096, 7168), 1);
  EXPECT_THAT(steps[1].missing, Contains("kv_b_key"));
  steps[1].gemms[0].bytes = steps[1].gemms[1].bytes = 1e9;
  EXPECT_NEAR(steps[1].bytes(), (58 + 116) * 1e9, 1);
  EXPECT_THAT(text_of(steps), HasSubstr(" GB/s"));
}

TEST(StepGemms, OfAnotherStartOrMethodAreNotMixed) {
  Record record = record_of({of_step(gemm_at(1e12, 64, 64, 64), "m.json qkv fprop x 2", ""),
                             of_step(gemm_at(1e12, 128, 64, 64), "m.json qkv fprop x 2", "")});
  record.headers.push_back(record.headers[0]);
  record.headers[1].session = record.lines[1].measurement.session = "test-2";
  record.lines[1].session = 1;
  const auto steps = steps_of({record}, published_library());
  ASSERT_THAT(steps, SizeIs(2));
  EXPECT_THAT(steps[0].missing, IsEmpty());  // of a model that isn't known
  EXPECT_THAT(text_of(steps), HasSubstr("m.json, a micro-batch"));
  record.headers[1].discipline.cache = "hot";
  EXPECT_THAT(steps_of({record}, published_library()), SizeIs(1));
}

TEST(StepGemms, TextThatSaysNoGemmIsLeftOut) {
  for (const char* text : {"", "; ", "x", "a b c x", "a b c x 1y", "a b c x -1", "a b c x nan",
                           "a b c x inf", "a b c y 1"})
    EXPECT_THAT(steps_in({of_step(gemm_at(1e12, 64, 64, 64), text)}), IsEmpty()) << text;
}

}  // namespace
