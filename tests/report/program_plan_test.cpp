// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The program's plans: what they print, the run file they write, what they refuse.
#include "fixtures.hpp"
#include "program_runs.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using testing::HasSubstr;

TEST(Program, PlanNeedsNoMoreThanModelSystemAndGpus) {
  const Outcome o = run_program("plan --samples 0 --model llama-3-70b --system h100 --gpus 512");
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(o.err, "");
  EXPECT_THAT(o.out, HasSubstr("llama-3-70b: layouts on 512 x h100, GEMMs in bf16"));
  EXPECT_THAT(o.out, HasSubstr("global_batch_sequences isn't said: 1024 assumed"));
  EXPECT_THAT(o.out, testing::ContainsRegex("tp +cp +pp +virtual +dp +micro-batch +schedule"));
}

TEST(Program, APlanSaysWhatItsGemmsAreInAndHowManyDays) {
  const std::string asked =
      "plan --samples 0 --model llama-3-70b --system a100 --gpus 64 --tokens 15e12 --precision "
      "fp8 ";
  const Outcome o = run_program(asked);
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("GEMMs in bf16"));  // which has no fp8
  EXPECT_THAT(o.out, testing::ContainsRegex("hours [^$]*, [0-9],[0-9][0-9][0-9]\\s+days"));
  const auto json = nlohmann::json::parse(run_program(asked + "--format json").out);
  EXPECT_EQ(json.at("precision"), "bf16");
}

TEST(Program, APlansRunFilePredictsTheSame) {
  const std::string file = file_of_test("best.json").string();
  const Outcome plan = run_program(
      fmt::format("plan --samples 200 --model llama-3-8b --system h100 --gpus 32 --tokens 1e12 "
                  "--price 2.5 --write_run '{}' --format json",
                  file));
  ASSERT_EQ(plan.code, 0) << plan.err;
  const auto planned = nlohmann::json::parse(plan.out).at("layouts").at(0);
  const Outcome prediction =
      run_program(fmt::format("predict --samples 200 --run '{}' --format json", file));
  ASSERT_EQ(prediction.code, 0) << prediction.err;
  EXPECT_EQ(nlohmann::json::parse(prediction.out).at("estimates"), planned.at("estimates"));
}

TEST(Program, APlanOfSeveralNumbersOfGpusHasOneForEach) {
  const std::string asked =
      "plan --samples 0 --model llama-3-70b --system h100 --tokens 15e12 --gpus 8,64,256 ";
  const Outcome text = run_program(asked);
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("the fastest layout by number of GPUs"));
  EXPECT_THAT(text.out, HasSubstr("layouts of 8 GPUs fits h100"));
  const auto json = nlohmann::json::parse(run_program(asked + "--format json").out);
  ASSERT_EQ(json.size(), 3U);
  EXPECT_EQ(json[0].at("gpus"), 8);
  EXPECT_TRUE(json[0].contains("why_not"));
  const auto step = [&](std::size_t i) {
    return json[i].at("layouts").at(0).at("estimates").at("step_time_s").at("p50").get<double>();
  };
  EXPECT_GT(step(1), 3 * step(2));  // a quarter of the GPUs for the same batch
  EXPECT_EQ(json[1].at("global_batch_sequences"), json[2].at("global_batch_sequences"));
  // What is of one of them is said of it.
  const Outcome experts =
      run_program("plan --samples 0 --model qwen3-235b-a22b --system h100 --gpus 64,4096");
  EXPECT_THAT(experts.out, HasSubstr("4096 GPUs: beyond the sizes of published runs"));
  EXPECT_THAT(run_program("plan --samples 0 --model llama-3-8b --system mi300x --gpus 8,16").err,
              HasSubstr("nvlink_bytes_per_s isn't known"));
  expect_refused("plan --samples 0 --model llama-3-405b --system h100 --gpus 4,8",
                 "layouts of 4 GPUs fits h100");
}

TEST(Program, APlanIsOfTheMeasuredMachineToo) {
  const Outcome o = run_program(fmt::format(
      "plan --samples 0 --model gpt2-124m --system measured --gpus 1 --rates '{}' --format json",
      record_file()));
  ASSERT_EQ(o.code, 0) << o.err;
  const auto json = nlohmann::json::parse(o.out);
  EXPECT_EQ(json.at("layouts").at(0).at("parallel").at("dp"), 1);
}

TEST(Program, PlanRefusesWhatItCannotPlan) {
  expect_refused("plan", "plan: expected --model or --run");
  expect_refused("plan --model llama-3-70b --system h100", "plan: --gpus: missing");
  expect_refused("plan --model llama-3-70b --gpus 8", "system: missing");
  expect_refused("plan --model llama-3-70b --system h100 --gpus 0", "--gpus");
  expect_refused("plan --model llama-3-70b --system h100 --gpus 8 --seq_len 0", "--seq_len");
  expect_refused("plan --run deepseek-r1-zero", "rl: expected none");
  expect_refused("plan --run deepseek-v3-context", "stages: expected none");
  expect_refused("plan --model llama-3-70b --system h100 --gpus 64,128 --write_run /tmp/x",
                 "--write_run: expected one number of --gpus");
  expect_refused("plan --model llama-3-70b --system h100 --gpus 83 --global_batch_sequences 5",
                 "no layout of 83 GPUs with 5 sequences a step is possible; the last one tried");
  expect_refused("plan --model llama-3-8b --system h100 --gpus 8 --write_run x.json -o x.json",
                 "--write_run: expected a file of its own");
  expect_refused("plan --model llama-3-8b --system h100 --gpus 8 --write_run /dev/stdout",
                 "--write_run: expected a file of its own");
  const std::string run =
      write_text(slurp(published_library().file("runs", "llama-3-405b-8k")), "run.json").string();
  expect_refused(fmt::format("plan --run '{0}' --write_run '{0}'", run), "is read by this command");
}
