// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What each file format refuses, with file, key and what was expected.
#include "record/error.hpp"
#include "workload/micro.hpp"
#include "workload/run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

using namespace trainmeter;
using nlohmann::json;
using testing::HasSubstr;

namespace {

const json kModel =
    json::parse(R"({"id": "m", "layers": 2, "hidden": 64, "heads": 4, "kv_heads": 2, "head_dim": 16,
  "attention": "gqa", "ffn": 128, "ffn_kind": "swiglu", "vocab": 100})");
const json kRun = json::parse(
    R"({"id": "r", "title": "A run", "model": "gpt2-124m", "system": "h100", "gpus": 8, "tokens": 1e9,
  "seq_len": 1024, "global_batch_sequences": 64})");

Library library() {
  return Library(std::filesystem::path(TRAINMETER_SOURCE_DIR) / "results" / "published");
}

json with(json value, const std::string& pointer, const json& replacement) {
  value[json::json_pointer(pointer)] = replacement;
  return value;
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const BadInput& error) {
    return error.what();
  }
  return "nothing was refused";
}

std::string model_refusal(const json& value) {
  return refusal([&] { (void)read_model(StrictObject(value, "m.json")); });
}

std::string run_refusal(const json& value) {
  return refusal([&] { (void)read_run(StrictObject(value, "r.json"), library()); });
}

std::string system_refusal(const std::string& text) {
  const json value = json::parse(text);
  return refusal([&] { (void)read_system(StrictObject(value, "s.json")); });
}

}  // namespace

TEST(ModelFile, Reads) {
  const Model m = read_model(StrictObject(kModel, "m.json"));
  EXPECT_EQ(m.kv_heads, 2);
  EXPECT_EQ(m.ffn_kind, FfnKind::swiglu);
  EXPECT_FALSE(m.tied_embeddings);
}

TEST(ModelFile, Refuses) {
  EXPECT_EQ(model_refusal(with(kModel, "/hiden", 1)),
            "m.json: hiden: unknown key (did you mean 'hidden'?)");
  EXPECT_THAT(model_refusal(with(kModel, "/layers", -2)),
              HasSubstr("m.json: layers: expected a whole number of at least 1, found -2"));
  EXPECT_THAT(model_refusal(with(kModel, "/layers", 1.5)),
              HasSubstr("layers: expected a whole number"));
  EXPECT_THAT(model_refusal(with(kModel, "/attention", "linear")),
              HasSubstr("attention: expected one of mha, gqa, mla"));
  EXPECT_THAT(model_refusal(with(kModel, "/attention", "mla")), HasSubstr("q_lora_rank: missing"));
  EXPECT_THAT(model_refusal(with(kModel, "/kv_heads", 3)),
              HasSubstr("kv_heads: expected a divisor of `heads`"));
  EXPECT_THAT(model_refusal(
                  with(kModel, "/moe",
                       json::parse(R"({"experts": 4, "experts_per_token": 8, "expert_ffn": 9})"))),
              HasSubstr("moe.experts_per_token: expected at most `experts`, found 8"));
  EXPECT_THAT(model_refusal(with(kModel, "/mtp_depth", -1)), HasSubstr("mtp_depth"));
  json no_vocab = kModel;
  no_vocab.erase("vocab");
  EXPECT_EQ(model_refusal(no_vocab), "m.json: vocab: missing");
}

TEST(RunFile, ReadsIdsAndInlineObjects) {
  const trainmeter::Run by_id = read_run(StrictObject(kRun, "r.json"), library());
  EXPECT_EQ(by_id.model->id, "gpt2-124m");
  EXPECT_EQ(by_id.stack, "megatron");
  const json inlined = with(kRun, "/model", kModel);
  EXPECT_EQ(read_run(StrictObject(inlined, "r.json"), library()).model->id, "m");
  const json sharded = with(kRun, "/parallel", json::parse(R"({"zero": 3})"));
  EXPECT_EQ(read_run(StrictObject(sharded, "r.json"), library()).stack, "fsdp");
}

TEST(RunFile, StagesAreIdsRunsOrNumbers) {
  const json value =
      with(kRun, "/stages",
           json::parse(R"(["deepseek-r1-zero", {"title": "more", "gpus": 8, "gpu_hours": 5}])"));
  const trainmeter::Run run = read_run(StrictObject(value, "r.json"), library());
  ASSERT_EQ(run.stages.size(), 2U);
  EXPECT_EQ(run.stages[0].wall_hours, 198);
  ASSERT_TRUE(run.stages[0].run);
  EXPECT_FALSE(run.stages[1].run);
  EXPECT_EQ(run.stages[1].gpu_hours, 5);
  const json inlined = with(kRun, "/stages", json::array({kRun}));
  EXPECT_EQ(read_run(StrictObject(inlined, "r.json"), library()).stages[0].gpus, 8);
}

TEST(RunFile, Refuses) {
  EXPECT_EQ(run_refusal(with(kRun, "/sequence_len", 1)),
            "r.json: sequence_len: unknown key (did you mean 'seq_len'?)");
  EXPECT_THAT(run_refusal(with(kRun, "/model", "gpt3-124m")),
              HasSubstr("did you mean 'gpt2-124m'?"));
  EXPECT_THAT(run_refusal(with(kRun, "/system", "h801")), HasSubstr("did you mean 'h"));
  EXPECT_THAT(run_refusal(with(kRun, "/tokens", -5)),
              HasSubstr("tokens: expected a number above 0, found -5"));
  EXPECT_THAT(run_refusal(with(kRun, "/gpus", 0)), HasSubstr("gpus: expected"));
  EXPECT_THAT(run_refusal(with(kRun, "/goodput", 1.5)), HasSubstr("goodput: expected a fraction"));
  EXPECT_THAT(run_refusal(with(kRun, "/precision", "fp4")),
              HasSubstr("precision: expected one of bf16, fp16, fp32, fp8"));
  EXPECT_THAT(run_refusal(with(kRun, "/parallel", json::parse(R"({"zero": 4})"))),
              HasSubstr("parallel.zero: expected 0, 1, 2 or 3"));
  EXPECT_THAT(run_refusal(with(kRun, "/parallel", json::parse(R"({"overlap": ["nic"]})"))),
              HasSubstr("parallel.overlap"));
  EXPECT_THAT(run_refusal(with(kRun, "/published", json::parse(R"({"mfu": 38.9})"))),
              HasSubstr("published.mfu: expected a fraction"));
  EXPECT_THAT(run_refusal(with(kRun, "/stages", json::parse(R"([{"title": "a", "hours": 3}])"))),
              HasSubstr("stages[0].hours: unknown key"));
  EXPECT_THAT(
      run_refusal(with(kRun, "/rl", json::parse(R"({"phases": [{"max_output_tokens": 5}]})"))),
      HasSubstr("rl.phases[0].steps: missing"));
  EXPECT_THAT(run_refusal(with(kRun, "/seq_len", nullptr)),
              HasSubstr("seq_len: expected a whole number, found null"));
}

TEST(SystemFile, Refuses) {
  EXPECT_THAT(system_refusal(R"({"id": "s", "gpu": "x", "peak_flops": {"fp4": 1}})"),
              HasSubstr("peak_flops.fp4: unknown key"));
  EXPECT_THAT(system_refusal(R"({"id": "s", "gpu": "x", "peak_flops": {"bf16": 0}})"),
              HasSubstr("peak_flops.bf16: expected a number above 0"));
  EXPECT_THAT(system_refusal(R"({"id": "s", "gpu": "x", "memory_GBps": 1})"),
              HasSubstr("memory_GBps: unknown key (did you mean 'memory_bytes'?)"));
  EXPECT_THAT(system_refusal(R"({"id": "s", "gpu": "x", "kind": "tpu"})"),
              HasSubstr("kind: expected one of gpu, cpu"));
}

TEST(MicroFile, ExactlyOneRate) {
  const json figure = json::parse(
      R"({"id": "m", "system": "h100", "title": "t", "figures": [{"id": "f", "operation": "gemm",
    "dtype": "bf16", "backend": "x", "source": {"title": "t", "locator": "l", "url": "u", "read_on": "2026-11-24"}}]})");
  EXPECT_THAT(refusal([&] { (void)read_micro(StrictObject(figure, "m.json")); }),
              HasSubstr("figures[0].flops_per_s: expected exactly one"));
}
