// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a claim's file may say, and what of it is refused.
#include "claim_texts.hpp"
#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using nlohmann::json;
using testing::HasSubstr;

namespace {

namespace fs = std::filesystem;

std::string refused(const std::string& keys) {
  return refusal([&] { (void)claim_of(keys); });
}

}  // namespace

TEST(ClaimFile, BadOnesAreRefusedWithFileAndKey) {
  EXPECT_EQ(refused(R"("schema": 2)"),
            "claim.json: schema: expected at most 1, which this program reads; schema 2 needs a "
            "newer trainmeter, found 2");
  EXPECT_THAT(refused(R"("published": {"gpu_hours": -5})"), HasSubstr("published.gpu_hours"));
  EXPECT_THAT(refused(R"("published": {"wall_hours": 1e7})"), HasSubstr("published.wall_hours"));
  EXPECT_THAT(refused(R"("published": {"gpu_hours": 1e99})"),
              HasSubstr("published.gpu_hours: expected GPU-hours, at most 1e+12"));
  EXPECT_THAT(refused(R"("published": {"cost_usd": 1e99})"), HasSubstr("published.cost_usd"));
  EXPECT_THAT(refused(R"("published": {"step_time_s": 1e99})"), HasSubstr("published.step_time_s"));
  EXPECT_THAT(refused(R"("stages": [{"title": "a", "gpu_hours": 1e99}])"),
              HasSubstr("stages[0].gpu_hours"));
  EXPECT_THAT(refused(R"("cost": {"amount": 1e99, "currency": "USD"})"), HasSubstr("cost.amount"));
  EXPECT_THAT(refused(R"("sums": [{"title": "a", "multiply": [2, 3], "printed": 1e99,
                                   "unit": "GPU-hours"}])"),
              HasSubstr("sums[0].printed"));
  EXPECT_THAT(refused(R"("sums": [{"title": "a", "multiply": [1e99, 3], "printed": 6,
                                   "unit": "GPU-hours"}])"),
              HasSubstr("sums[0].multiply"));
  EXPECT_THAT(refused(R"("published": {"tflops_per_gpu": 4e14})"),
              HasSubstr("published.tflops_per_gpu"));
  EXPECT_THAT(refused(R"("published": {"mfu": 38.9})"), HasSubstr("published.mfu"));
  EXPECT_THAT(refused(R"("price_usd_per_gpu_hour": 2000000)"), HasSubstr("price_usd_per_gpu_hour"));
  EXPECT_EQ(refused(R"("cost": {"amount": 2e6, "currency": "CNY"})"),
            "claim.json: cost.usd_per_unit: missing; a cost in CNY needs its rate in USD");
  EXPECT_THAT(
      refused(R"("sums": [{"title": "a", "multiply": [1], "printed": 1, "unit": "furlongs"}])"),
      HasSubstr("sums[0].unit"));
  EXPECT_THAT(refused(R"("sums": [{"title": "a", "printed": 1, "unit": "days"}])"),
              HasSubstr("sums[0].multiply"));
  EXPECT_THAT(refused(R"("cost": {"amount": 2e6, "currency": "CNY", "usd_per_unit": 1e300})"),
              HasSubstr("cost.usd_per_unit: expected USD, at most 1e+06"));
  const std::string cost = R"("cost": {"amount": 2e6, "currency": "USD"}, "published": )";
  for (const char* none : {"[]", "\"x\"", "null"}) {
    EXPECT_EQ(refused(cost + none),
              std::string("claim.json: published: expected an object, found ") + none);
  }
  EXPECT_THAT(refused(R"("run": "deepseek-v3-pretrian")"),
              HasSubstr("claim.json: run: 'deepseek-v3-pretrian': no such file, and no such id"));
  EXPECT_THAT(refused(R"("said_on": "last week")"), HasSubstr("said_on"));
  EXPECT_THAT(refused(R"("sentense": "x")"),
              HasSubstr("sentense: unknown key (did you mean 'sentence'?)"));
  EXPECT_THAT(refused(R"("costs": {"amount": 1})"), HasSubstr("(did you mean 'cost'?)"));
  const std::string run = R"("run": "deepseek-v3-pretrain", )";
  EXPECT_THAT(refused(run + R"("costs": 1)"), HasSubstr("(did you mean 'cost'?)"));
  EXPECT_EQ(refused(run + R"("tokens": null)"), "claim.json: tokens: expected a value, found null");
  EXPECT_EQ(refused(run + R"("parallel": {"pp": null})"),
            "claim.json: parallel.pp: expected a value, found null");
  EXPECT_EQ(refused(R"("cost": {"amount": 2e6, "currency": "USD"}, "published": {"cost_usd": 1})"),
            "claim.json: cost: expected either this or published.cost_usd");
  EXPECT_THAT(refusal([] { (void)judged_text(R"("about": "deepseek-r9")"); }),
              HasSubstr("claim.json: about: 'deepseek-r9': no such file"));
  EXPECT_THAT(
      refusal([] {
        (void)read_claim(json{{"id", "a"}, {"title", "b"}}, "claim.json", published_library());
      }),
      HasSubstr("claim.json: source: missing"));
}

TEST(ClaimFile, AKernelsRateIsOfItsOperationInItsUnit) {
  const auto kernel = [](const std::string& keys) { return refused("\"kernel\": {" + keys + "}"); };
  const std::string gemm = R"("operation": "gemm", "dtype": "fp8", )";
  const std::string allreduce = R"("operation": "allreduce", "dtype": "fp32", "ranks": 8, )";
  EXPECT_EQ(kernel(gemm + R"("flops_per_s": 1550e12)"), "nothing was refused");
  EXPECT_EQ(kernel(allreduce + R"("bus_bytes_per_s": 480e9)"), "nothing was refused");
  EXPECT_EQ(kernel(R"("operation": "gemm", "dtype": "fp8")"),
            "claim.json: kernel.flops_per_s: missing");
  EXPECT_THAT(kernel(gemm + R"("flops_per_s": 1550)"),  // TFLOP/s
              HasSubstr("kernel.flops_per_s: expected FLOP/s of one GPU, 1e+09 to 1e+17"));
  EXPECT_THAT(kernel(allreduce + R"("bus_bytes_per_s": 480)"),  // GB/s
              HasSubstr("kernel.bus_bytes_per_s: expected bytes/s, one way"));
  EXPECT_THAT(kernel(gemm + R"("bus_bytes_per_s": 2e12)"),
              HasSubstr("kernel.bus_bytes_per_s: expected flops_per_s, the rate of gemm"));
  EXPECT_THAT(kernel(allreduce + R"("flops_per_s": 2e12)"),
              HasSubstr("kernel.flops_per_s: expected bus_bytes_per_s, the rate of allreduce"));
  for (const char* operation : {"gem", "all_reduce", "copy"}) {
    EXPECT_THAT(
        kernel(fmt::format(R"("operation": "{}", "dtype": "fp8", "flops_per_s": 1e15)", operation)),
        HasSubstr("kernel.operation: expected one of gemm, allreduce, "));
  }
  EXPECT_THAT(kernel(R"("operation": "gemm", "dtype": "FP8", "flops_per_s": 1e15)"),
              HasSubstr("kernel.dtype: expected one of fp64, "));
}

TEST(ClaimFile, AKernelsFigureIsPublished) {
  const auto kernel = [](const char* keys) {
    return refused(
        fmt::format(R"("kernel": {{"operation": "gemm", "flops_per_s": 1550e12, {}}})", keys));
  };
  EXPECT_EQ(kernel(R"("dtype": "fp8", "figure": "deepgemm-headline-1550")"), "nothing was refused");
  EXPECT_EQ(kernel(R"("dtype": "fp8", "figure": "deepgemm-headline-155")"),
            "claim.json: kernel.figure: expected the id of a published micro figure of this "
            "operation, dtype and ranks (nearest: 'deepgemm-headline-1550'), found "
            "\"deepgemm-headline-155\"");
  EXPECT_THAT(kernel(R"("dtype": "bf16", "figure": "deepgemm-headline-1550")"),
              HasSubstr("kernel.figure: expected"));
}

TEST(ClaimFile, AKernelStandsAlone) {
  const std::string kernel =
      R"("kernel": {"operation": "gemm", "dtype": "fp8", "flops_per_s": 1e15}, )";
  for (const char* other :
       {R"("published": {"wall_hours": 10})", R"("tokens": 14.8e12)", R"("rl": {})",
        R"("stages": [{"title": "a"}])", R"("cost": {"amount": 2, "currency": "USD"})",
        R"("run": "deepseek-v3-pretrain")"}) {
    EXPECT_THAT(refused(kernel + other),
                HasSubstr(": expected none of a training run's figures beside `kernel`"))
        << other;
  }
  EXPECT_EQ(refused(kernel + R"("system": "h100", "model": "deepseek-v3")"), "nothing was refused");
}

// Files of the same names beside the claim are others.
TEST(ClaimFile, WhatARunNamesLiesInTheRunsOwnFolder) {
  const fs::path folder = file_of_test("claim_in_a_folder");
  fs::remove_all(folder);
  fs::create_directories(folder / "runs/parts");
  const auto put = [&](const char* file, const json& value) {
    std::ofstream(folder / file) << value;
  };
  json model = json::parse(slurp(published_library().root() / "models/gpt2-124m.json"));
  json system = json::parse(slurp(published_library().root() / "systems/h100.json"));
  put("runs/model.json", model);
  put("runs/parts/system.json", system);
  model["id"] = "another";
  put("model.json", model);
  const json run = {
      {"id", "r"},       {"title", "A run"}, {"model", "model.json"},        {"gpus", 8},
      {"seq_len", 1024}, {"tokens", 1e9},    {"system", "parts/system.json"}};
  put("runs/part.json", run);
  json whole = run;
  json inner = run;
  inner["id"] = "inner";
  whole["stages"] = {"part.json", inner, "deepseek-v3-pretrain", {{"title", "numbers"}}};
  put("runs/run.json", whole);
  put("claim.json",
      {{"id", "c"},
       {"title", "A claim"},
       {"run", "runs/run.json"},
       {"source", {{"title", "t"}, {"locator", "l"}, {"url", "u"}, {"read_on", "2026-11-25"}}}});
  const Claim claim = published_library().claim((folder / "claim.json").string());
  EXPECT_EQ(claim.run.model->id, "gpt2-124m");
  EXPECT_EQ(claim.run.system->id, "h100");
  ASSERT_EQ(claim.run.stages.size(), 4U);
  EXPECT_EQ(claim.run.stages[0].run->model->id, "gpt2-124m");
  EXPECT_EQ(claim.run.stages[1].run->model->id, "gpt2-124m");
  EXPECT_EQ(claim.run.stages[2].run->id, "deepseek-v3-pretrain");
  EXPECT_EQ(claim.run_below.file, (folder / "runs/run.json").string());
}
