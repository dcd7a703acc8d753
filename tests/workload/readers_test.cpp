// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the files of models, systems and runs are refused for, with file, key and what was expected.
#include "workload/run.hpp"

#include "../refusal.hpp"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

using namespace trainmeter;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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

std::string model_refusal(const json& value) {
  return refusal([&] { (void)read_model(StrictObject(value, "m.json")); });
}

std::string run_refusal(const json& value) {
  return refusal([&] { (void)read_run(StrictObject(value, "r.json"), library()); });
}

trainmeter::Run run_with(const std::string& key, const std::string& text) {
  const json value = with(kRun, "/" + key, json::parse(text));
  return read_run(StrictObject(value, "r.json"), library());
}

std::string refusal_with(const std::string& key, const std::string& text) {
  return refusal([&] { (void)run_with(key, text); });
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
  EXPECT_THAT(model_refusal(with(kModel, "/hidden", 9007199254740990)),
              HasSubstr("hidden: expected a whole number of at most 100000000, found"));
  EXPECT_THAT(model_refusal(with(kModel, "/id", " ")),
              HasSubstr("id: expected a string that isn't empty"));
  EXPECT_THAT(model_refusal(with(kModel, "/tied_embeddings", "yes")),
              HasSubstr("tied_embeddings: expected true or false, found \"yes\""));
  json no_vocab = kModel;
  no_vocab.erase("vocab");
  EXPECT_EQ(model_refusal(no_vocab), "m.json: vocab: missing");
}

TEST(RunFile, ReadsIdsAndInlineObjects) {
  const trainmeter::Run by_id = read_run(StrictObject(kRun, "r.json"), library());
  EXPECT_EQ(by_id.model->id, "gpt2-124m");
  EXPECT_EQ(by_id.stack, TrainingStack::megatron);
  const json inlined = with(kRun, "/model", kModel);
  EXPECT_EQ(read_run(StrictObject(inlined, "r.json"), library()).model->id, "m");
  const json sharded = with(kRun, "/parallel", json::parse(R"({"zero": 3})"));
  EXPECT_EQ(read_run(StrictObject(sharded, "r.json"), library()).stack, TrainingStack::fsdp);
}

TEST(RunFile, WhatALayoutLeavesOutStaysOpen) {
  const Parallel open = *run_with("parallel", R"({"tp": 2})").parallel;
  EXPECT_EQ(open.tp, 2);
  EXPECT_EQ(open.pp * open.cp * open.ep * open.etp, 1);
  EXPECT_FALSE(open.vpp || open.dp || open.zero || open.microbatch_sequences || open.sp);
  EXPECT_FALSE(open.schedule || open.recompute || open.overlap);
  const trainmeter::Run none = read_run(StrictObject(kRun, "r.json"), library());
  EXPECT_FALSE(none.parallel);
}

TEST(RunFile, ReadsEveryFieldOfALayout) {
  const Parallel p =
      *run_with("parallel", R"({"tp": 2, "pp": 2, "cp": 1, "dp": 2, "ep": 2, "etp": 1,
    "vpp": 3, "sp": false, "zero": 0, "schedule": "interleaved", "microbatch_sequences": 4,
    "recompute": "selective", "overlap": ["ep", "tp"]})")
           .parallel;
  EXPECT_EQ(p.tp, 2);
  EXPECT_EQ(p.pp, 2);
  EXPECT_EQ(p.dp, 2);
  EXPECT_EQ(p.ep, 2);
  EXPECT_EQ(p.vpp, 3);
  EXPECT_EQ(p.sp, false);
  EXPECT_EQ(p.zero, 0);
  EXPECT_EQ(p.schedule, Schedule::interleaved);
  EXPECT_EQ(p.microbatch_sequences, 4);
  EXPECT_EQ(p.recompute, Recompute::selective);
  EXPECT_THAT(*p.overlap, ElementsAre("ep", "tp"));
  // An empty list says that nothing overlaps; no list says nothing.
  EXPECT_THAT(*run_with("parallel", R"({"overlap": []})").parallel->overlap, IsEmpty());
}

TEST(RunFile, RefusesWordsAndSizesOfALayout) {
  EXPECT_EQ(refusal_with("parallel", R"({"tp": 0})"),
            "r.json: parallel.tp: expected a whole number of at least 1, found 0");
  EXPECT_EQ(refusal_with("parallel", R"({"vpp": -1})"),
            "r.json: parallel.vpp: expected a whole number of at least 1, found -1");
  EXPECT_EQ(refusal_with("parallel", R"({"microbatch_sequences": 0.5})"),
            "r.json: parallel.microbatch_sequences: expected a whole number, found 0.5");
  EXPECT_EQ(refusal_with("parallel", R"({"sp": 1})"),
            "r.json: parallel.sp: expected true or false, found 1");
  EXPECT_EQ(refusal_with("parallel", R"({"schedule": "gpipe"})"),
            "r.json: parallel.schedule: expected one of 1f1b, interleaved, zb, dualpipe, found "
            "\"gpipe\"");
  EXPECT_EQ(refusal_with("parallel", R"({"recompute": "some"})"),
            "r.json: parallel.recompute: expected one of none, selective, full, found \"some\"");
  EXPECT_EQ(refusal_with("parallel", R"({"overlap": "tp"})"),
            "r.json: parallel.overlap: expected a list of strings, found \"tp\"");
  EXPECT_EQ(refusal_with("parallel", R"({"overlap": ["nic"]})"),
            "r.json: parallel.overlap: expected a list of tp, dp, pp, ep, found [\"nic\"]");
  EXPECT_EQ(refusal_with("parallel", R"({"vppp": 2})"),
            "r.json: parallel.vppp: unknown key (did you mean 'vpp'?)");
  EXPECT_EQ(refusal_with("parallel", R"({"zero": null})"),
            "r.json: parallel.zero: expected a whole number, found null");
}

TEST(RunFile, ReadsAnRlStage) {
  const Rl rl = *run_with("rl", R"({"questions_per_step": 32, "samples_per_question": 16,
    "outputs_per_rollout": 8192, "minibatches": 16, "reference_model": false,
    "phases": [{"steps": 8200, "mean_output_tokens": 6000.5, "max_output_tokens": 32768},
               {"steps": 2200}]})")
                     .rl;
  EXPECT_EQ(rl.questions_per_step, 32);
  EXPECT_EQ(rl.samples_per_question, 16);
  EXPECT_EQ(rl.outputs_per_rollout, 8192);
  EXPECT_EQ(rl.minibatches, 16);
  EXPECT_FALSE(rl.reference_model);
  ASSERT_EQ(rl.phases.size(), 2U);
  EXPECT_EQ(rl.phases[0].steps, 8200);
  EXPECT_EQ(rl.phases[0].mean_output_tokens, 6000.5);
  EXPECT_EQ(rl.phases[0].max_output_tokens, 32768);
  EXPECT_FALSE(rl.phases[1].mean_output_tokens || rl.phases[1].max_output_tokens);

  const Rl bare = *run_with("rl", "{}").rl;
  EXPECT_EQ(bare.questions_per_step * bare.samples_per_question, 1);
  EXPECT_FALSE(bare.outputs_per_rollout || bare.minibatches);
  EXPECT_TRUE(bare.reference_model);
  EXPECT_THAT(bare.phases, IsEmpty());
}

TEST(RunFile, RefusesAnRlStage) {
  EXPECT_EQ(refusal_with("rl", "[]"), "r.json: rl: expected an object, found []");
  EXPECT_EQ(refusal_with("rl", R"({"question_per_step": 3})"),
            "r.json: rl.question_per_step: unknown key (did you mean 'questions_per_step'?)");
  for (const char* key :
       {"questions_per_step", "samples_per_question", "outputs_per_rollout", "minibatches"}) {
    EXPECT_EQ(refusal_with("rl", fmt::format(R"({{"{}": 0}})", key)),
              fmt::format("r.json: rl.{}: expected a whole number of at least 1, found 0", key));
    EXPECT_EQ(refusal_with("rl", fmt::format(R"({{"{}": 1.5}})", key)),
              fmt::format("r.json: rl.{}: expected a whole number, found 1.5", key));
  }
  EXPECT_EQ(refusal_with("rl", R"({"reference_model": "yes"})"),
            "r.json: rl.reference_model: expected true or false, found \"yes\"");
  EXPECT_EQ(refusal_with("rl", R"({"phases": {}})"),
            "r.json: rl.phases: expected a list of objects, found {}");
  EXPECT_EQ(refusal_with("rl", R"({"phases": [3]})"),
            "r.json: rl.phases[0]: expected an object, found 3");
  EXPECT_EQ(refusal_with("rl", R"({"phases": [{"steps": 1}, {"steps": 0}]})"),
            "r.json: rl.phases[1].steps: expected a whole number of at least 1, found 0");
  EXPECT_EQ(refusal_with("rl", R"({"phases": [{"steps": 1, "mean_output_tokens": 0}]})"),
            "r.json: rl.phases[0].mean_output_tokens: expected a number above 0, found 0");
  EXPECT_EQ(refusal_with("rl", R"({"phases": [{"steps": 1, "max_output_tokens": -4}]})"),
            "r.json: rl.phases[0].max_output_tokens: expected a number above 0, found -4");
  EXPECT_EQ(refusal_with("rl", R"({"phases": [{"steps": 1, "tokens": 4}]})").substr(0, 42),
            "r.json: rl.phases[0].tokens: unknown key (");
}

TEST(RunFile, ReadsHowAFigureWasTaken) {
  const Context all =
      run_with("context", R"({"power_cap_w": 500, "software": "torch 2.3", "compiled": true})")
          .context;
  EXPECT_EQ(all.power_cap_w, 500);
  EXPECT_EQ(all.software, "torch 2.3");
  EXPECT_EQ(all.compiled, true);
  const Context none = read_run(StrictObject(kRun, "r.json"), library()).context;
  EXPECT_FALSE(none.power_cap_w || none.software || none.compiled);
}

TEST(RunFile, RefusesHowAFigureWasTaken) {
  EXPECT_EQ(refusal_with("context", R"("H100")"),
            "r.json: context: expected an object, found \"H100\"");
  EXPECT_EQ(refusal_with("context", R"({"power_cap_w": 0})"),
            "r.json: context.power_cap_w: expected a number above 0, found 0");
  EXPECT_EQ(refusal_with("context", R"({"power_cap": 500})"),
            "r.json: context.power_cap: unknown key (did you mean 'power_cap_w'?)");
  EXPECT_EQ(refusal_with("context", R"({"software": 2.3})"),
            "r.json: context.software: expected a string, found 2.3");
  EXPECT_EQ(refusal_with("context", R"({"compiled": "yes"})"),
            "r.json: context.compiled: expected true or false, found \"yes\"");
}

TEST(RunFile, TheExampleInTheDocsReads) {
  std::ifstream in(std::filesystem::path(TRAINMETER_SOURCE_DIR) / "docs" / "files.md");
  const std::string page{std::istreambuf_iterator<char>(in), {}};
  const auto start = page.find("```json\n");
  ASSERT_NE(start, std::string::npos);
  const auto end = page.find("```", start + 8);
  const json example = json::parse(page.substr(start + 8, end - start - 8));
  const trainmeter::Run run = read_run(StrictObject(example, "docs/files.md"), library());
  EXPECT_EQ(run.system->id, "h100");
  EXPECT_EQ(run.model->layers, 32);
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
  EXPECT_EQ(run_refusal(with(kRun, "/model", "gpt3-124m")),
            "r.json: model: 'gpt3-124m': no such file, and no such id in models (did you mean "
            "'gpt2-124m'?)");
  EXPECT_THAT(run_refusal(with(kRun, "/stages", json::array({"deepseek-r1-zer"}))),
              HasSubstr("r.json: stages[0]: 'deepseek-r1-zer': no such file"));
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

TEST(RunFile, RefusesALayoutThatDoesNotFitItsGpus) {
  const auto layout = [](const char* text) {
    return run_refusal(with(kRun, "/parallel", json::parse(text)));
  };
  EXPECT_EQ(layout(R"({"tp": 2, "dp": 4})"), "nothing was refused");
  EXPECT_EQ(layout(R"({"tp": 2})"), "nothing was refused");  // dp follows
  EXPECT_THAT(layout(R"({"tp": 2, "dp": 3})"),
              HasSubstr("parallel.dp: expected tp x pp x cp x dp = the run's 8 GPUs, found 3"));
  EXPECT_THAT(
      layout(R"({"tp": 4, "pp": 4})"),
      HasSubstr(
          "parallel: expected tp x pp x cp of at most the run's 8 GPUs, found 4 x 4 x 1 = 16"));
  EXPECT_THAT(layout(R"({"tp": 9007199254740990, "pp": 9007199254740990})"),
              HasSubstr("parallel.tp: expected a whole number of at most 1000000000"));
}

TEST(RunFile, RefusesAbsurdSizes) {
  EXPECT_THAT(run_refusal(with(kRun, "/tokens", 1e300)),
              HasSubstr("tokens: expected at most 1e18"));
  EXPECT_THAT(run_refusal(with(kRun, "/gpus", 9007199254740990)),
              HasSubstr("gpus: expected a whole number of at most 1000000000"));
  EXPECT_THAT(run_refusal(with(kRun, "/rl", json::parse(R"({"phases": [{"steps": 1,
    "mean_output_tokens": 9, "max_output_tokens": 2}]})"))),
              HasSubstr("rl.phases[0].mean_output_tokens: expected at most `max_output_tokens`"));
  for (const char* key : {"mean_output_tokens", "max_output_tokens"}) {
    EXPECT_EQ(
        refusal_with("rl", fmt::format(R"({{"phases": [{{"steps": 1, "{}": 1e20}}]}})", key)),
        fmt::format("r.json: rl.phases[0].{}: expected tokens, at most 1e+09, found 1e+20", key));
  }
  EXPECT_EQ(refusal_with("host_s", "1e300"),
            "r.json: host_s: expected seconds, at most 1e+06, found 1e+300");
  const json operation = json::parse(
      R"([{"operation": "rope", "dtype": "bf16", "shape": {}, "bytes": 1, "count": 1}])");
  for (const char* key : {"bytes", "count"}) {
    EXPECT_THAT(
        run_refusal(with(kRun, "/operations", with(operation, std::string("/0/") + key, 1e300))),
        HasSubstr(fmt::format("r.json: operations[0].{}: expected ", key)));
  }
  EXPECT_THAT(refusal_with("stages", R"([{"title": "a", "gpus": 1e300}])"),
              HasSubstr("stages[0].gpus: expected GPUs, at most 1e+09"));
  EXPECT_THAT(model_refusal(with(kModel, "/params_total", 1e300)),
              HasSubstr("params_total: expected parameters, at most 1e+18"));
}

TEST(SourceOfAFile, Refuses) {
  const auto source = [](const char* key, const char* value) {
    json whole =
        json::parse(R"({"title": "t", "locator": "l", "url": "u", "read_on": "2026-11-24"})");
    whole[key] = value;
    return run_refusal(with(kRun, "/source", whole));
  };
  EXPECT_EQ(source("locator", "table 1"), "nothing was refused");
  EXPECT_THAT(source("locator", ""),
              HasSubstr("source.locator: expected a string that isn't empty"));
  EXPECT_THAT(source("url", " "), HasSubstr("source.url: expected a string that isn't empty"));
  EXPECT_THAT(source("read_on", "yesterday"),
              HasSubstr("source.read_on: expected a date such as 2026-11-24"));
  for (const char* none : {"2025-13-41", "2025-00-10", "2025-02-29", "2025-04-31", "2025-1-1"})
    EXPECT_THAT(source("read_on", none), HasSubstr("source.read_on: expected a date")) << none;
  EXPECT_EQ(source("read_on", "2024-02-29"), "nothing was refused");
  EXPECT_THAT(source("page", "3"), HasSubstr("source.page: unknown key"));
}

TEST(SystemFile, RefusesWhatNoMachineHas) {
  const auto with_figure = [](const std::string& key, const std::string& value) {
    return system_refusal(
        fmt::format(R"({{"id": "s", "gpu": "x", "{}": {}}})", key, value).c_str());
  };
  EXPECT_THAT(with_figure("nic_bytes_per_s", "50"),  // GB/s
              HasSubstr("nic_bytes_per_s: expected bytes/s, one way, per GPU, 1e+06 to 1e+14, "
                        "found 50"));
  EXPECT_THAT(with_figure("nic_bytes_per_s", "1e-300"), HasSubstr("found 1e-300"));
  EXPECT_THAT(with_figure("nvlink_bytes_per_s", "450"), HasSubstr("expected bytes/s, one way"));
  EXPECT_THAT(with_figure("memory_bytes_per_s", "3350000"), HasSubstr("expected bytes/s of one"));
  EXPECT_THAT(with_figure("memory_bytes", "80"), HasSubstr("expected bytes, 1e+08 to 1e+14"));
  EXPECT_THAT(with_figure("power_w", "0.7"), HasSubstr("expected W of one GPU, 1 to 1"));
  EXPECT_THAT(with_figure("peak_flops", R"({"bf16": 989})"),  // TFLOP/s
              HasSubstr("peak_flops.bf16: expected FLOP/s of one GPU, 1e+09 to 1e+17"));
  for (const char* most : {"1e15", "1e301"})
    EXPECT_THAT(with_figure("memory_bytes", most), HasSubstr("memory_bytes: expected"));
  EXPECT_EQ(with_figure("nic_bytes_per_s", "12.5e6"), "nothing was refused");  // 1 Gb/s for ten
  EXPECT_EQ(with_figure("peak_flops", R"({"fp64": 2e10})"), "nothing was refused");
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
