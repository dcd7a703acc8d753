// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The program on runs: predictions and what they refuse, and the engine against published runs.
#include "fixtures.hpp"
#include "program_runs.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

using namespace trainmeter;
using testing::HasSubstr;

TEST(Program, PredictHasTheKeysThatOthersReadFor) {
  const Outcome o = run_program(fmt::format(
      "predict --run gpt2-124m-10b --rates '{}' --system measured --price 0.5 --format json",
      record_file()));
  ASSERT_EQ(o.code, 0) << o.err;
  const auto json = nlohmann::json::parse(o.out);
  for (const char* key : {"run_id", "system_id", "estimates", "null_model", "breakdown_s",
                          "published", "error_pct", "rates", "assumptions"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  for (const char* group : {"estimates", "null_model"}) {
    for (const char* key : {"step_time_s", "gpu_hours", "mfu", "tflops_per_gpu", "cost_usd"}) {
      for (const char* p : {"p05", "p50", "p95"})
        EXPECT_GT(json.at(group).at(key).at(p).get<double>(), 0) << key;
    }
  }
}

TEST(Program, PredictWarnsOfWhatItDoesNotFollow) {
  const auto read = [](const char* file) {
    return nlohmann::json::parse(slurp(published_library().root() / file));
  };
  nlohmann::json run = {{"id", "mine"},
                        {"title", "Mine"},
                        {"gpus", 8},
                        {"tokens", 1e7},
                        {"seq_len", 8192},
                        {"global_batch_sequences", 8},
                        {"model", "llama-3-8b"},
                        {"system", read("systems/h100.json")}};
  const auto predicted = [&](const std::string& options) {
    const std::string file = write_text(run.dump(), "run.json").string();
    return run_program(fmt::format("predict --samples 0 --run '{}' {}", file, options));
  };
  const Outcome own = predicted("");
  EXPECT_EQ(own.err, "");
  EXPECT_THAT(own.out, HasSubstr("Mine on 8 x h100, GEMMs in bf16"));
  EXPECT_THAT(own.out, HasSubstr("(RunPod on demand, March 2025"));
  EXPECT_THAT(own.out, testing::ContainsRegex("device-hours +0\\.[0-9][0-9][0-9] "));
  const Outcome other = predicted("--system H200");
  EXPECT_THAT(other.err, HasSubstr("warning: prices of different sources: $10.60 of h200 (AWS"));
  EXPECT_EQ(std::ranges::count(other.err, '\n'), 1) << other.err;
  EXPECT_EQ(predicted("--system h200 --price 2").err, "");
  run["parallel"] = {{"tp", 8}};
  run["system"]["id"] = "my-h100";
  EXPECT_EQ(predicted("").err, "");
  run["system"].erase("nvlink_bytes_per_s");
  EXPECT_THAT(predicted("").err,
              HasSubstr("warning: system my-h100: nvlink_bytes_per_s isn't known, so the step is "
                        "without tp_all_gather, tp_reduce_scatter\n"));
  run["system"] = read("systems/h100.json");
  run["system"]["id"] = "my-h100";
  run["system"].erase("gpus_per_node");
  EXPECT_THAT(predicted("").out, HasSubstr("assumed: gpus_per_node of my-h100 isn't printed: one "
                                           "assumed"));
  run["system"] = read("systems/h100.json");
  run.erase("parallel");
  run["system"]["memory_bytes_per_s"] = 1e12;
  const Outcome slower = predicted("");
  EXPECT_THAT(slower.err,
              HasSubstr("warning: system h100: memory_bytes_per_s as given, not as of"));
  EXPECT_EQ(std::ranges::count(slower.err, '\n'), 1) << slower.err;
  EXPECT_THAT(slower.out, HasSubstr("assumed: system h100: memory_bytes_per_s as given"));
}

TEST(Program, ARunOfStagesIsOnTheSystemThatTheyShare) {
  const auto stage = [](const char* id, const char* system) {
    return nlohmann::json{{"id", id},
                          {"title", id},
                          {"gpus", 8},
                          {"tokens", 1e9},
                          {"seq_len", 1024},
                          {"global_batch_sequences", 512},
                          {"model", "gpt2-124m"},
                          {"system", system}};
  };
  const auto predicted = [&](const char* second) {
    const nlohmann::json run = {
        {"id", "st"}, {"title", "St"}, {"stages", {stage("one", "h100"), stage("two", second)}}};
    return run_program(fmt::format("predict --samples 0 --run '{}'",
                                   write_text(run.dump(), "stages.json").string()));
  };
  EXPECT_EQ(predicted("h100").code, 0) << predicted("h100").err;
  const Outcome apart = predicted("h800");
  EXPECT_EQ(apart.code, 2);
  EXPECT_THAT(apart.err, HasSubstr("stages.json: system: missing; name one with --system"));
}

TEST(Program, ARecordNamedTwiceCountsOnce) {
  const std::string record = record_file();
  const auto predicted = [&](const std::string& rates) {
    return run_program(fmt::format(
        "predict --samples 0 --run gpt2-124m-10b --rates '{}' --system measured", rates));
  };
  const Outcome once = predicted(record), twice = predicted(record + "," + record);
  EXPECT_EQ(twice.out, once.out);
  EXPECT_THAT(twice.err, HasSubstr("they count once"));
}

TEST(Program, PredictWarnsOfGpusThatDifferAndOfMemory) {
  Record slow = gpu_record(), good = gpu_record();
  slow.headers[0].device.details["uuid"] = "GPU-slow";
  good.headers[0].device.details["uuid"] = "GPU-good";
  for (Line& line : slow.lines) {
    for (double& seconds : line.measurement.time_s) seconds *= 2;
  }
  const auto predicted = [](const std::string& rates) {
    const Outcome o = run_program("predict --samples 0 --run gpt2-124m-10b --system measured" +
                                  rates + " --format json");
    EXPECT_EQ(o.code, 0) << o.err;
    return std::pair(nlohmann::json::parse(o.out).at("estimates").at("step_time_s").at("p50"),
                     o.err);
  };
  const std::string of_slow = fmt::format(" --rates '{}'", write_record(slow, "s.jsonl").string());
  const std::string of_good = fmt::format(" --rates '{}'", write_record(good, "g.jsonl").string());
  const auto both = predicted(of_good + of_slow);
  EXPECT_EQ(both.first, predicted(of_slow).first);
  EXPECT_THAT(both.second, HasSubstr("warning: 2 GPUs; the slowest (GPU-slow) is 50.0 % below"));
  EXPECT_THAT(predicted(of_good).second, testing::Not(HasSubstr("GPUs")));

  const Outcome o =
      run_program(fmt::format("predict --samples 0 --run '{}'",
                              write_text(llama_by_memory(4).dump(), "run.json").string()));
  EXPECT_THAT(o.err, testing::ContainsRegex("warning: run mine on h100: needs [0-9.]+ GB of a "
                                            "device's 80.0 GB by our count, 1[01][0-9] %"));
}

TEST(Program, ValidateAsJsonAndNothingElse) {
  const Outcome o = run_program("validate --samples 100 --threads 2 --format json");
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(o.err, "");
  const auto rows = nlohmann::json::parse(o.out);
  ASSERT_TRUE(rows.is_array());
  std::set<std::string> ids;
  for (const auto& row : rows) ids.insert(row.at("run_id").get<std::string>());
  EXPECT_TRUE(ids.contains("deepseek-v3-step"));
  EXPECT_EQ(ids.size(), rows.size());
}

TEST(Program, ValidateAsText) {
  const Outcome o = run_program("validate --samples 100");
  ASSERT_EQ(o.code, 0) << o.err;
  for (const char* expected : {"null model", "deepseek-v3-step, slot", "By family", "Not scored"}) {
    EXPECT_THAT(o.out, HasSubstr(expected));
  }
}

TEST(Program, ARunFilesMistakesAreRefused) {
  const auto refused = [](const std::function<void(nlohmann::json&)>& change,
                          const std::string& message) {
    nlohmann::json run = nlohmann::json::parse(
        slurp(published_library().root() / "runs" / "mbridge-26.02-h100-qwen330ba3b.json"));
    run.erase("published");
    change(run);
    const auto file = write_text(run.dump(), "mistaken_run.json");
    expect_refused(fmt::format("predict --run '{}'", file.string()), message);
  };
  const auto parallel = [](const char* key, const nlohmann::json& value) {
    return [=](nlohmann::json& run) { run["parallel"][key] = value; };
  };
  refused(parallel("dp", 3), "mistaken_run.json: parallel.dp");
  refused(parallel("ep", 3), "mistaken_run.json: parallel.ep");
  refused(parallel("tp", -1), "mistaken_run.json: parallel.tp");
  refused(parallel("tpp", 1), "parallel.tpp");
  refused(parallel("recompute", "some"), "mistaken_run.json: parallel.recompute");
  refused([](auto& run) { run["gpus"] = 0; }, "mistaken_run.json: gpus");
  refused([](auto& run) { run["seq_len"] = "long"; }, "mistaken_run.json: seq_len");
  refused([](auto& run) { run.erase("seq_len"); }, "mistaken_run.json: seq_len: missing");
  refused([](auto& run) { run.erase("global_batch_sequences"); },
          "mistaken_run.json: global_batch_sequences: missing");
  refused([](auto& run) { run["tokens"] = nullptr; }, "mistaken_run.json: tokens");
  refused([](auto& run) { run["goodput"] = 0; }, "mistaken_run.json: goodput");
  const auto published = [](const char* key, double value) {
    return [=](nlohmann::json& run) { run["published"] = {{key, value}}; };
  };
  refused(published("tflops_per_gpu", 400e12),
          "mistaken_run.json: published.tflops_per_gpu: expected"
          " TFLOP/s of one GPU, 0.001 to 100000");
  refused(published("tokens_per_day", 5), "mistaken_run.json: published.tokens_per_day: expected");
  refused(published("tokens_per_s_per_gpu", 1e12), "published.tokens_per_s_per_gpu: expected");
  refused(published("slot_time_s", 1e9), "published.slot_time_s: expected seconds");
  refused(published("mfu_peak_flops", 989), "published.mfu_peak_flops: expected FLOP/s");
  refused([](auto& run) { run["model"] = "qwen3-30b"; }, "qwen3-30b-a3b");
  refused([](auto& run) { run.erase("system"); }, "--system");
  refused(
      [](auto& run) {
        run["model"] = "llama-3-405b";
        run["gpus"] = 8;
        run["global_batch_sequences"] = 8;
        run["parallel"] = {{"tp", 8}};
      },
      "mistaken_run.json: parallel: doesn't fit h100");
  const auto nan = write_text(R"({"id": "x", "title": "X", "tokens": NaN})", "mistaken_run.json");
  expect_refused(fmt::format("predict --run '{}'", nan.string()), "mistaken_run.json:1");
}

// An A100 has no fp8: what replaces it is what is shown.
TEST(Program, PredictIsHeadedByThePrecisionThatItComputesIn) {
  const Outcome text = run_program("predict --run deepseek-v3-step --system a100 --samples 0");
  EXPECT_THAT(text.out, HasSubstr("x a100, GEMMs in bf16"));
  const Outcome own = run_program("predict --run deepseek-v3-step --samples 0 --format json");
  EXPECT_EQ(nlohmann::json::parse(own.out).at("precision"), "fp8");
}

TEST(Program, RatesTakeOneListOfRecordsAndLeaveTheIds) {
  const std::string record = write_record(gpu_record(), "rates_of_a_gpu.jsonl").string();
  for (const std::string& rates : {record, record + "," + record, record + " --rates " + record}) {
    const Outcome o =
        run_program(fmt::format("claims --rates {} deepseek-v3 --format json", rates));
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_EQ(nlohmann::json::parse(o.out).size(), 1U);
  }
  expect_refused(fmt::format("predict --run gpt2-124m-10b --rates {0} {0}", record), record);
}

// Nobody means an A100 who has measured a CPU.
TEST(Program, ACpusRatesAreOfThatCpuAlone) {
  const Outcome run = run_program(
      fmt::format("predict --run gpt2-124m-10b --rates '{}' --format json", record_file()));
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("the run as on that CPU"));
  const auto json = nlohmann::json::parse(run.out);
  EXPECT_EQ(json.at("system_id"), "this machine");
  EXPECT_TRUE(json.at("error_pct").is_null());
  const Outcome claims =
      run_program(fmt::format("claims deepseek-v3 --rates '{}' --format json", record_file()));
  ASSERT_EQ(claims.code, 0) << claims.err;
  EXPECT_THAT(claims.err, HasSubstr("they are left out"));
  EXPECT_EQ(claims.out, run_program("claims deepseek-v3 --format json").out);
}
