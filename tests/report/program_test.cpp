// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The program as a user and a script meet it: output, exit codes, one clear line for each mistake.
#include "report/doctor.hpp"

#include "fixtures.hpp"
#include "program_runs.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

Record gpu_record() {
  Record record = small_cpu();
  put_on(h200(), record);
  return record;
}

std::string record_file() {
  return write_record(
             small_cpu(),
             std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + ".jsonl")
      .string();
}

}  // namespace

TEST(Program, ClaimsAsJson) {
  const Outcome o = run_program("claims --format json");
  ASSERT_EQ(o.code, 0) << o.err;
  const auto claims = nlohmann::json::parse(o.out);
  ASSERT_TRUE(claims.is_array());
  std::map<std::string, nlohmann::json> by_id;
  for (const auto& claim : claims) by_id[claim.at("id")] = claim;
  EXPECT_EQ(by_id.at("deepseek-r1").at("gpu_hours"), 147000);
  EXPECT_EQ(by_id.at("deepseek-r1").at("cost_usd"), 294000);
  EXPECT_EQ(by_id.at("deepseek-v3").at("gpu_hours"), 2788000);
  EXPECT_EQ(by_id.at("deepseek-v3").at("cost_usd"), 5576000);
  EXPECT_THAT(by_id.at("r1-press").at("reason").get<std::string>(),
              HasSubstr("$81,920, not $294,000"));
}

TEST(Program, StrictFailsOnAContradiction) {
  EXPECT_EQ(run_program("claims r1-press --strict").code, 1);
  EXPECT_EQ(run_program("claims deepseek-v3 --strict").code, 0);
}

TEST(Program, ClaimsAtAPriceAndBeyondTheFinalRun) {
  const auto rental = [](const std::string& options) {
    const Outcome o = run_program("claims deepseek-r1 --format json " + options);
    EXPECT_EQ(o.code, 0) << o.err;
    return nlohmann::json::parse(o.out).at(0).at("cost").at("rental").at("usd");
  };
  EXPECT_EQ(rental("--price 2").at("p50"), 294000);
  EXPECT_EQ(rental("--price 2 --beyond-final-run 10").at("p95"), 2940000);
  EXPECT_LT(rental("").at("p05"), rental("").at("p95"));
  const std::string gpu = write_record(gpu_record(), "gpu.jsonl").string();
  EXPECT_EQ(run_program(fmt::format("claims deepseek-v3 --rates '{}'", gpu)).code, 0);
  const Outcome o =
      run_program("predict --run deepseek-v3-pretrain --price listings --samples 0 --format json");
  ASSERT_EQ(o.code, 0) << o.err;
  const auto cost = nlohmann::json::parse(o.out).at("estimates").at("cost_usd");
  EXPECT_LT(cost.at("p05"), cost.at("p50"));
}

TEST(Program, ReportFromARecordAlone) {
  for (const char* format : {"text", "md", "json", "html"}) {
    const Outcome o = run_program(fmt::format("report '{}' --format {}", record_file(), format));
    EXPECT_EQ(o.code, 0) << o.err;
    const std::string f = format;
    const bool in_full = f == "json" || f == "html";
    EXPECT_THAT(o.out, HasSubstr("512 H800 80 hours and cost $294,000"));
    EXPECT_EQ(o.out.find("$81,920") != std::string::npos, in_full) << format;
  }
  const std::string target = testing::TempDir() + "/story.md";
  EXPECT_EQ(run_program(fmt::format("report '{}' --format md -o '{}'", record_file(), target)).code,
            0);
  EXPECT_THAT(slurp(target), HasSubstr("| --- |"));
}

// Its pictures are drawn where the text can be written, and to a regular file alone.
TEST(Program, AReportsChartsAreBesideAFileAlone) {
  namespace fs = std::filesystem;
  const fs::path tools = fs::path(testing::TempDir()) / "charts that draw";
  const fs::path folder = fs::path(testing::TempDir()) / "a report's";
  fs::remove_all(folder);
  fs::create_directories(folder);
  fs::create_directories(tools / "venv/bin");
  for (const char* name : {"vega.js", "draw.py"}) std::ofstream(tools / name) << "\n";
  std::ofstream(tools / "venv/bin/python") << "#!/bin/sh\ncat >\"$2drawn.svg\"\n";
  fs::permissions(tools / "venv/bin/python", fs::perms::owner_all);
  const auto report = [&](const std::string& target) {
    return run_program(
        fmt::format("report '{}' --format md -o {}", record_file(), target),
        fmt::format("cd \"{}\" && TRAINMETER_CHARTS='{}'", folder.string(), tools.string()));
  };
  Outcome o = report("story.md");
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(nlohmann::json::parse(slurp(folder / "story-drawn.svg")).is_object());
  EXPECT_THAT(slurp(folder / "story.md"), HasSubstr("(story-"));
  o = report("nodir/d.md");
  EXPECT_EQ(o.code, 2) << o.err;
  EXPECT_EQ(o.err, "trainmeter: nodir/d.md: cannot be written: No such file or directory\n");
  o = report("/dev/stdout");
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("| --- |"));
  EXPECT_EQ(report("/dev/full").code, 4);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& file : fs::directory_iterator(folder)) ++files;
  EXPECT_EQ(files, 2U);
  EXPECT_FALSE(fs::exists("/dev/full-drawn.svg") || fs::exists("/dev/stdout-drawn.svg"));
}

// A file is whole or as it was.
TEST(Program, WhatIsWrittenReplacesAFileWhole) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "replaced";
  fs::remove_all(folder);
  fs::create_directories(folder);
  std::ofstream(folder / "real") << std::string(1 << 20, 'x');
  fs::permissions(folder / "real", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("real", folder / "link");
  // No file may grow beyond a block: what was there stays.
  const std::string limited = "ulimit -f 1; trap '' XFSZ;";
  const std::string command = fmt::format("claims -o '{}'", (folder / "link").string());
  EXPECT_EQ(run_program(command, limited).code, 4);
  EXPECT_EQ(slurp(folder / "real"), std::string(1 << 20, 'x'));
  EXPECT_EQ(run_program(command).code, 0);
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_THAT(slurp(folder / "real"), HasSubstr("contradictory"));
  EXPECT_EQ(fs::status(folder / "real").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& file : fs::directory_iterator(folder)) ++files;
  EXPECT_EQ(files, 2U);
}

TEST(Program, AnImportReplacesNoRecord) {
  namespace fs = std::filesystem;
  const std::string original =
      std::string(TRAINMETER_SOURCE_DIR) + "/tests/report/originals/nvbandwidth.json";
  const fs::path record = fs::path(testing::TempDir()) / "imported_once.jsonl";
  fs::remove_all(record.string() + ".originals");
  std::ofstream(record) << "";  // mktemp makes one
  const std::string command = fmt::format("import '{}' -o '{}'", original, record.string());
  EXPECT_EQ(run_program(command).code, 0);
  const std::string once = slurp(record);
  expect_refused(command,
                 "imported_once.jsonl: is there already; expected the path of a new record");
  EXPECT_EQ(slurp(record), once);
  EXPECT_EQ(run_program(fmt::format("import '{}' -o /dev/null", original)).code, 0);
  EXPECT_FALSE(fs::exists("/dev/null.originals"));
}

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

TEST(Program, CompareEndsWithOneForARegression) {
  const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
  const auto files = [&](const std::string& side, double seconds) {
    std::string list;
    for (int i = 0; i < 5; ++i) {
      Measurement m = measured("gemm", "bf16", "onednn", {{"m", 64}}, 1e9, seconds);
      for (double& time : m.time_s) time *= 1 + 0.001 * i;
      m.session = fmt::format("{}-{}", side, i);
      Record record = record_of({m});
      record.headers.front().session = m.session;
      list += (i > 0 ? "," : "") + write_record(record, name + m.session + ".jsonl").string();
    }
    return list;
  };
  const std::string before = files("old", 1e-3), after = files("new", 1.1e-3);
  const Outcome o = run_program(fmt::format("compare '{}' '{}' --format json", before, after));
  EXPECT_EQ(o.code, 1) << o.err;
  const auto cases = nlohmann::json::parse(o.out);
  ASSERT_EQ(cases.size(), 1U);
  EXPECT_EQ(cases[0].at("name"), "gemm/bf16/onednn/m:64");
  EXPECT_EQ(cases[0].at("verdict"), "slower");
  EXPECT_NEAR(cases[0].at("ratio").get<double>(), 1 / 1.1, 1e-6);
  EXPECT_LT(cases[0].at("ratio_low").get<double>(), cases[0].at("ratio").get<double>());
  EXPECT_LT(cases[0].at("ratio_high").get<double>(), 0.98);
  EXPECT_EQ(run_program(fmt::format("compare '{}' '{}' --tolerance 20", before, after)).code, 0);
  const Outcome back = run_program(fmt::format("compare '{}' '{}'", after, before));
  EXPECT_EQ(back.code, 0) << back.err;
  EXPECT_THAT(back.out, HasSubstr("1 faster"));
}

TEST(Program, CompareWarnsOfWhatDiffers) {
  Record other = small_cpu();
  other.headers.front().device.name = "Other CPU";
  other.lines.pop_back();
  const auto file = write_record(other, "other_cpu.jsonl").string();
  const Outcome o = run_program(fmt::format("compare '{}' '{}'", record_file(), file));
  EXPECT_EQ(o.code, 0);
  EXPECT_THAT(o.err, HasSubstr("warning: device differs: old Some CPU, new Other CPU"));
  EXPECT_THAT(o.err, HasSubstr("warning: 1 case is only in OLD, such as allreduce"));
  EXPECT_THAT(o.out, HasSubstr("What else differs"));
}

TEST(Program, ExportsForOtherTools) {
  for (const char* format : {"google", "bigger"}) {
    const Outcome o = run_program(fmt::format("export '{}' --format {}", record_file(), format));
    EXPECT_EQ(o.code, 0) << o.err;
    EXPECT_FALSE(nlohmann::json::parse(o.out).empty());
  }
  const std::string target = testing::TempDir() + "/export.csv";
  EXPECT_EQ(
      run_program(fmt::format("export '{}' --format csv -o '{}'", record_file(), target)).code, 0);
  EXPECT_THAT(slurp(target), HasSubstr("time_p50_s"));
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

TEST(Program, AFloorThatIsAboutNothingGivesNoVerdictInAnyFormat) {
  const std::string rules =
      write_text(R"({"floors": [{"operation": "alltoall", "bytes_per_s": 1}]})", "floor.json")
          .string();
  for (const char* format : {"text", "md", "json", "junit"}) {
    expect_refused(fmt::format("accept '{}' --rules '{}' --format {} --drain '{}/no_drain'",
                               record_file(), rules, format, testing::TempDir()),
                   "floor.json: floors[0]: expected a case that the records have a rate of");
  }
  EXPECT_FALSE(std::filesystem::exists(testing::TempDir() + "/no_drain"));
}

TEST(Program, AcceptIsStrictOnRequest) {
  EXPECT_EQ(run_program(fmt::format("accept '{}'", record_file())).code, 0);
  const Outcome o = run_program(fmt::format("accept '{}' --strict", record_file()));
  EXPECT_EQ(o.code, 1) << o.err;
  EXPECT_THAT(o.out, HasSubstr("16 parts needed, 1 there"));
  expect_refused(fmt::format("accept '{}' --strict --trend", record_file()), "no --strict");
}

TEST(Program, AcceptWarnsOfTwoMachinesOfOneName) {
  Record other = small_cpu();
  other.headers.front().device.name = "Other CPU";
  const std::string both =
      fmt::format("'{}' '{}'", record_file(), write_record(other, "other.jsonl").string());
  for (const char* mode : {"", "--trend"}) {
    const Outcome o = run_program(fmt::format("accept {} {}", both, mode));
    EXPECT_EQ(o.code, 0) << o.err;
    EXPECT_THAT(o.err, HasSubstr("2 models of its cpu: Other CPU, Some CPU")) << mode;
    EXPECT_EQ(std::ranges::count(o.err, '\n'), 1) << o.err;
  }
  const Outcome gpu_beside = run_program(fmt::format(
      "accept '{}' '{}'", record_file(), write_record(gpu_record(), "gpu.jsonl").string()));
  EXPECT_EQ(gpu_beside.err, "");
}

TEST(Program, AFleetOfOneNodeIsRefused) {
  for (const char* kind : {"fleet", "fabric"}) {
    expect_refused(fmt::format("submit {} --dry-run", kind),
                   fmt::format("--nodes: expected at least 2 for a {}", kind));
  }
}

TEST(Program, DoctorSaysWhatIsThere) {
  const Outcome o = run_program("doctor --format json");
  ASSERT_EQ(o.code, 0) << o.err;
  const auto json = nlohmann::json::parse(o.out);
  EXPECT_GE(json.at("cores").get<int>(), 1);
  EXPECT_TRUE(json.at("gpus").is_array());
  EXPECT_EQ(json.at("gpus").empty(), !json.at("why_no_gpu").get<std::string>().empty());
  for (const char* what : {"attention on the CPU", "attention on the GPU",
                           "work beside a GEMM on "
                           "the CPU",
                           "a layer's kernels on the GPU"}) {
    EXPECT_TRUE(std::ranges::any_of(json.at("measurements"), [&](const auto& row) {
      return row.at("what") == what;
    })) << what;
  }
}

TEST(Program, DoctorKnowsAGpuWithoutADriverByThePciBus) {
  const auto bus = std::filesystem::path(testing::TempDir()) / "pci";
  const auto add = [&](const char* device, const char* vendor, const char* kind) {
    std::filesystem::create_directories(bus / device);
    std::ofstream(bus / device / "vendor") << vendor << "\n";
    std::ofstream(bus / device / "class") << kind << "\n";
  };
  std::filesystem::remove_all(bus);
  EXPECT_FALSE(has_nvidia_gpu(bus));
  add("0000:00:02.0", "0x8086", "0x030000");
  add("0000:03:00.1", "0x10de", "0x040300");  // its sound
  EXPECT_FALSE(has_nvidia_gpu(bus));
  add("0000:03:00.0", "0x10de", "0x030200");
  EXPECT_TRUE(has_nvidia_gpu(bus));
}

TEST(Program, EachMistakeGetsOneLineAndExitCodeTwo) {
  expect_refused("", "expected a command");
  expect_refused("nonsense", "unknown argument 'nonsense' (try --help)");
  expect_refused("--nosuch", "unknown argument '--nosuch' (try --help)");
  expect_refused("claims -z", "unknown argument '-z' (try --help)");
  expect_refused("reprot", "unknown argument 'reprot' (did you mean 'report'?)");
  expect_refused("reprot --help", "unknown argument 'reprot' (did you mean 'report'?)");
  expect_refused("claims --fromat json", "unknown argument '--fromat' (did you mean '--format'?)");
  expect_refused("claims --format yaml", "--format");
  expect_refused("claims --price free", "--price: expected a number above 0, found 'free'");
  expect_refused("claims --beyond-final-run 0.5", "--beyond-final-run");
  expect_refused("predict --run gpt2-124m-10b --price listings",
                 "--price listings: none are published for a100");
  expect_refused("claims deepseek-r2", "deepseek-r");
  expect_refused("compare", "OLD");
  expect_refused(fmt::format("compare '{}'", record_file()), "NEW");
  expect_refused("compare /no/such.jsonl /no/such.jsonl", "/no/such.jsonl: cannot be read");
  expect_refused("compare , ,", "expected a record");
  expect_refused("compare x y --tolerance -1", "--tolerance: expected a number of 0 to 50");
  expect_refused("compare x y --confidence 95", "--confidence: expected a number of 0.5");
  expect_refused("compare x y --spread 0", "--spread");
  expect_refused("export", "RECORD");
  expect_refused("export x --format xml", "--format");
  expect_refused("report /no/such.jsonl", "/no/such.jsonl: cannot be read");
  expect_refused("report --published x.jsonl", "--published: expected no record");
  expect_refused("report --format pdf", "--format");
  expect_refused("explain", "NUMBER");
  expect_refused("explain deepseek-v3:cost_us --published", "did you mean deepseek-v3:cost_usd");
  expect_refused("predict", "--run");
  expect_refused("predict --run gpt2-124m-10b --price -1",
                 "--price: expected a number above 0, found '-1'");
  expect_refused("predict --run gpt2-124m-10b --price free", "found 'free'");
  expect_refused("predict --run gpt2-124m-10b --price 1e-320", "found '1e-320'");
  for (const char* command : {"predict --run gpt2-124m-10b", "claims", "report --published"}) {
    expect_refused(fmt::format("{} --price 1e300", command),
                   "--price: expected at most 1000 USD a GPU-hour, found '1e300'");
  }
  expect_refused(
      fmt::format("predict --run deepseek-v3-step --system h800 --rates '{}'", record_file()),
      "never carried to h800");
  expect_refused(
      fmt::format("predict --run deepseek-v3-step --rates '{}' --system measured", record_file()),
      "this machine has 2: none is left to compute on");
  expect_refused(fmt::format("report '{}' --run nope", record_file()), "no such id in runs");
  expect_refused("report --published --run nope", "no such id in runs");
  expect_refused("predict --run gpt2-124m-10b --seed -1", "--seed: expected a whole number");
  expect_refused("predict --run gpt2-124m-10b --samples 3",
                 "--samples: expected 0 (no range) or 100 to 1000000, found '3'");
  expect_refused("predict --run gpt2-124m-10b --samples -1", "expected 0 (no range) or 100 to ");
  expect_refused("predict --run /no/such.json", "/no/such.json");
  expect_refused("predict --run gpt2-124m-10b --system measured", "--rates");
  expect_refused("predict --run gpt2-124m-10b --seed x", "--seed");
  expect_refused("predict --run gpt2-124m-10b --price nan", "--price");
  expect_refused("validate --threads 0", "--threads");
  expect_refused("validate --threads -1", "--threads");
  expect_refused("validate --samples 10", "--samples");
  expect_refused("validate -o /no/such/folder/x --samples 100", "/no/such/folder/x");
  expect_refused("claims -o /no/such/folder/x", "/no/such/folder/x");
}

TEST(Program, AFullDiskIsTheEnvironmentsFault) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "skipped: no /dev/full";
  const std::string command =
      fmt::format("'{}/trainmeter' claims >/dev/full 2>/dev/null", TRAINMETER_BIN_DIR);
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 4);
}

// No Slurm here, one that has no controller, and one whose controller is silent: not what the user
// wrote wrong.
TEST(Program, WithoutASlurmThatAnswersASubmissionIsUnavailable) {
  const std::filesystem::path none = std::filesystem::path(testing::TempDir()) / "no_slurm";
  const auto fake = [](const std::filesystem::path& folder, const std::string& said) {
    std::filesystem::create_directories(folder);
    std::filesystem::remove(folder / "bash");
    std::filesystem::create_symlink("/bin/bash", folder / "bash");
    for (const char* command : {"sbatch", "squeue"}) {
      if (said.empty()) continue;
      std::ofstream(folder / command) << "#!/bin/sh\necho '" << said << "' >&2\nexit 1\n";
      std::filesystem::permissions(folder / command, std::filesystem::perms::owner_all);
    }
    return folder.string();
  };
  const std::string jobs = " --jobs '" + (none / "jobs").string() + "'";
  const auto expect = [&](const std::string& path, int code, const std::string& why) {
    for (const std::string arguments : {"submit --device cpu", "submit --attach 99"}) {
      const Outcome o = run_program(arguments + jobs, "SLURMD_NODENAME=n1 PATH='" + path + "'");
      EXPECT_EQ(o.code, code) << arguments << "\n" << o.err;
      EXPECT_THAT(o.err, HasSubstr(why)) << arguments;
      if (code == 3) {
        EXPECT_EQ(std::ranges::count(o.err, '\n'), 1) << o.err;
      }
      EXPECT_FALSE(std::filesystem::exists(none / "jobs")) << arguments;
    }
  };
  expect(fake(none, ""), 3, "cannot be started");
  for (const std::string said :
       {"error: Unable to contact slurm controller (connect failure)",
        "error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host\nerror: fetch_config: "
        "DNS SRV lookup failed\nfatal: Could not establish a configuration source",
        "error: ClusterName needs to be specified\nfatal: Unable to process configuration file"}) {
    const auto folder = std::filesystem::path(testing::TempDir()) / "silent_slurm";
    expect(fake(folder, said) + ":/bin", 3, said.substr(said.rfind('\n') + 1));
  }
  const auto folder = std::filesystem::path(testing::TempDir()) / "strict_slurm";
  expect(fake(folder, "error: invalid partition specified: gpu") + ":/bin", 2, "");
  const Outcome o =
      run_program("submit --device cpu" + jobs,
                  "PATH='" + fake(folder, "sbatch: error: one\nsbatch: error: two") + ":/bin'");
  EXPECT_THAT(o.err, HasSubstr("trainmeter: sbatch: error: one; error: two\n"));
}

TEST(Program, AFileNeedsNoExtension) {
  const auto file = std::filesystem::path(testing::TempDir()) / "a_claim_of_mine";
  std::filesystem::copy_file(
      std::filesystem::path(TRAINMETER_SOURCE_DIR) / "results/published/claims/r1-press.json", file,
      std::filesystem::copy_options::overwrite_existing);
  const Outcome o =
      run_program("claims a_claim_of_mine", fmt::format("cd '{}' &&", testing::TempDir()));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("contradictory"));
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
