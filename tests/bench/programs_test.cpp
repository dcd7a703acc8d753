// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The real programs on this machine's CPU: flags, exit codes, records.
#include "kernels/machine.hpp"
#include "kernels/numa.hpp"
#include "record/record.hpp"

#include "subprocess.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kSmallGemm = "gemm_bench --device=cpu --m=64 --n=48 --k=32 --dtype=fp32 ";
// Operands beyond the caches' reach are three times as large as these, on some machines gigabytes,
// and take seconds to fill; where rotating isn't the subject, one set does.
const std::string kBriefRotating =
    "--benchmark_min_time=0.01 --benchmark_min_warmup_time=0.01 --case_seconds=0.2 ";
const std::string kBrief = kBriefRotating + "--cache=hot ";

std::size_t lines_in(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(Programs, BadUsageIsExitCode2AndOneLine) {
  for (const std::string command : {"gemm_bench --devcie=cpu",
                                    "gemm_bench --benchmark_filtr=x",
                                    "gemm_bench --m=-1 --n=1 --k=1",
                                    "gemm_bench --m=0 --n=1 --k=1",
                                    "gemm_bench --m=ten --n=1 --k=1",
                                    "gemm_bench --m=4",
                                    "gemm_bench --dtype=fp31",
                                    "gemm_bench --device=abacus",
                                    "gemm_bench --models=no-such-model",
                                    "gemm_bench --device=cpu --benchmark_filter=no_such_case",
                                    "gemm_bench --device=cpu --models=llama-3-70b --tp=3",
                                    "gemm_bench --device=cpu --models=deepseek-v3 --ep=7",
                                    "gemm_bench --device=cpu --models=llama-3-70b --ep=8",
                                    "gemm_bench --device=cpu --models=llama-3-70b --tp=0",
                                    "gemm_bench --device=cpu --models=deepseek-v3 --decode=0",
                                    "gemm_bench --models=deepseek-v3 --decode=8 --tokens=64",
                                    "gemm_bench --decode=8",
                                    "gemm_bench --tp=8",
                                    "gemm_bench --m=64 --n=64 --k=0",
                                    "gemm_bench --sms=0",
                                    "gemm_bench --resume",
                                    "gemm_bench --device=cpu --out=/proc/no/such.jsonl",
                                    "gemm_bench --benchmark_out=/no/such/folder.json",
                                    "gemm_bench --out=both.json --benchmark_out=./both.json",
                                    "gemm_bench --benchmark_format=xml",
                                    "gemm_bench --device=cpu --versus=abacus",
                                    "memory_bench --device=cpu --bytes=-4096",
                                    "memory_bench --device=cpu --bytes=100",
                                    "memory_bench --device=cpu --dtype=int8",
                                    "memory_bench --device=cpu --kernels=rmsnorm",
                                    "memory_bench --device=cpu --kernels=layernorm",
                                    "memory_bench --device=cpu --threads=0",
                                    "overlap_bench --beside=abacus",
                                    "overlap_bench --co_sms=0",
                                    "overlap_bench --rate=fast",
                                    "overlap_bench --m=64,128 --n=64 --k=64",
                                    "overlap_bench --device=cpu --versus=abacus",
                                    "overlap_bench --device=cpu --versus=openmp",
                                    "overlap_bench --models=no-such-model",
                                    "overlap_bench --models=gpt2-124m --m=1 --n=1 --k=1",
                                    "gemm_bench --device=cpu --search --models=gpt2-124m",
                                    "collective_bench --device=cpu",
                                    "memory_bench --device=cpu --versus=cublaslt",
                                    "collective_bench --device=cpu --bytes=2"}) {
    const Said said = run(command);
    EXPECT_EQ(said.code, 2) << command << "\n" << said.err;
    EXPECT_EQ(lines_in(said.err), 1U) << command << "\n" << said.err;
    EXPECT_EQ(said.out, "") << command;
  }
}

TEST(Programs, BadUsageNamesTheRemedy) {
  EXPECT_THAT(run("gemm_bench --devcie=cpu").err, HasSubstr("did you mean '--device'?"));
  EXPECT_THAT(run("collective_bench --device=cpu").err, HasSubstr("mpirun -n 2 collective_bench"));
}

TEST(Programs, ASizeThatIsTooLargeIsLeftOutAndTheOthersMeasured) {
  const std::string brief =
      " --device=cpu --cache=hot --case_seconds=0.1 --max_seconds=20 "
      "--benchmark_min_time=0.01 --benchmark_min_warmup_time=0.01 ";
  for (const std::string command : {"gemm_bench --m=64 --n=64 --k=64,100000000000 --dtype=fp32",
                                    "memory_bench --bytes=1048576,1000000000000000 --kernels=read",
                                    "attention_bench --heads=256 --sequences=1 "
                                    "--seq_len=64,16777216 --dtype=fp32 --pass=forward"}) {
    const Said said = run(command + brief);
    EXPECT_EQ(said.code, 0) << said.err;
    EXPECT_THAT(said.err, ::testing::ContainsRegex("left out: [^\n]*: needs [0-9.]+ [TP]iB, "));
    EXPECT_THAT(said.err, ::testing::ContainsRegex("_bench: [1-9][0-9]* measured"));
  }
}

TEST(Programs, WhatThisMachineLacksIsExitCode3WithTheReason) {
  Said said = run("gemm_bench --device=cpu --m=4000000 --n=4000000 --k=4000000 --dtype=fp32");
  EXPECT_EQ(said.code, 3) << said.err;
  EXPECT_THAT(said.err, HasSubstr("needs"));
  EXPECT_THAT(said.err, HasSubstr("is free"));
  EXPECT_EQ(lines_in(said.err), 1U) << said.err;
  said = run("memory_bench --device=cpu --bytes=1125899906842624");
  EXPECT_EQ(said.code, 3) << said.err;
  EXPECT_THAT(said.err, HasSubstr("needs"));
  said = run("gemm_bench --device=cpu --m=64 --n=64 --k=64 --dtype=fp8");
  EXPECT_EQ(said.code, 3) << said.err;
  EXPECT_THAT(said.err, HasSubstr("nothing to measure"));
  said = run("gemm_bench --device=cpu --m=64 --n=64 --k=64 --sms=8");
  EXPECT_EQ(said.code, 3) << said.err;
  EXPECT_THAT(said.err, HasSubstr("--sms: multiprocessors are a GPU's"));
  said = run("gemm_bench --device=cpu --exclusive --m=64 --n=64 --k=64 --dtype=fp32");
  EXPECT_EQ(said.code, 3) << said.err;
  EXPECT_THAT(said.err, HasSubstr("--exclusive: is of a GPU"));
}

// Not 2: a GPU adds to C, and has groups.
TEST(Programs, EveryReasonForNothingToMeasureIsSaidOnce) {
  const std::string shape = "gemm_bench --device=cpu --m=64 --n=64 --k=64 ";
  for (const auto& [flag, types, why] :
       {std::tuple("--accumulate", "fp32, fp64 by openblas: ", "adds to none here"),
        std::tuple("--fp32_out", "fp32, fp64 by openblas: ", "in no other type here"),
        TRAINMETER_HAS_CUDA
            ? std::tuple("--groups=4", "fp32, fp64: ", "runs on GPUs only")
            : std::tuple("--groups=4", "--groups: ", "no grouped GEMM was built in")}) {
    for (const std::string dtype : {"", "--dtype=fp32,fp64 "}) {
      const Said said = run(shape + dtype + flag);
      EXPECT_EQ(said.code, 3) << flag;
      EXPECT_EQ(lines_in(said.err), 1U) << said.err;
      EXPECT_THAT(said.err, HasSubstr(why)) << flag;
      if (!dtype.empty()) {
        EXPECT_THAT(said.err, HasSubstr(types)) << flag;
      }
    }
  }
  const Said said = run("attention_bench --device=cpu --dtype=fp16");
  EXPECT_EQ(said.code, 3);
  EXPECT_EQ(lines_in(said.err), 1U) << said.err;
  EXPECT_EQ(said.err.find("fp16"), said.err.rfind("fp16")) << said.err;
}

TEST(Programs, RanksThatCannotMeetAreBadUsageAtOnce) {
  for (const std::string variables : {"TRAINMETER_PORT=abc", "TRAINMETER_PORT=70000",
                                      "WORLD_SIZE=2 RANK=2", "WORLD_SIZE=2 RANK=7"}) {
    const Said said = run(variables + " collective_bench --device=cpu");
    EXPECT_EQ(said.code, 2) << variables << "\n" << said.err;
    EXPECT_EQ(lines_in(said.err), 1U) << said.err;
    EXPECT_THAT(said.err, HasSubstr(": expected")) << variables;
  }
}

TEST(Programs, AnEnvironmentThatCannotBeMeantIsBadUsageBeforeTheFirstCase) {
  const std::string ranks = "WORLD_SIZE=2 RANK=0 ";
  for (const auto& [command, what] :
       {std::pair(ranks + "TRAINMETER_ALLREDUCE_PLAN=foo collective_bench --device=cpu",
                  "TRAINMETER_ALLREDUCE_PLAN: 'foo': expected one_shot or two_shot, bytes"),
        std::pair(ranks + "TRAINMETER_ALLREDUCE_PLAN=one_shot,64x collective_bench --device=cpu",
                  "TRAINMETER_ALLREDUCE_PLAN: 'one_shot,64x': expected"),
        std::pair(ranks + "TRAINMETER_TIMEOUT=abc collective_bench --device=cpu",
                  "TRAINMETER_TIMEOUT: 'abc': expected seconds, above 0"),
        std::pair(ranks + "TRAINMETER_TIMEOUT=0 collective_bench --device=cpu", "'0': expected"),
        std::pair("TRAINMETER_TIMEOUT=-3 " + kSmallGemm + kBrief, "'-3': expected"),
        std::pair("TRAINMETER_TIMEOUT=nan " + kSmallGemm + kBrief, "'nan': expected"),
        std::pair(ranks + "NCCL_TESTS_MIN_BW=abc collective_bench --device=cpu --format=nccl-tests",
                  "NCCL_TESTS_MIN_BW: 'abc': expected a number of at least 0"),
        std::pair("BENCHMARK_FORMAT=xml " + kSmallGemm + kBrief,
                  "BENCHMARK_FORMAT: 'xml': expected one of console, json, csv"),
        std::pair("BENCHMARK_OUT=/no/such/folder/x " + kSmallGemm + kBrief, "/no/such/folder/x")}) {
    const Said said = run(command);
    EXPECT_EQ(said.code, 2) << command << "\n" << said.err;
    EXPECT_EQ(lines_in(said.err), 1U) << said.err;
    EXPECT_THAT(said.err, HasSubstr(what)) << command;
    EXPECT_EQ(said.out, "");
  }
  EXPECT_EQ(run("TRAINMETER_TIMEOUT=0.5 " + kSmallGemm + kBrief).code, 0);
  EXPECT_EQ(run("TRAINMETER_TIMEOUT= " + kSmallGemm + kBrief).code, 0);
}

TEST(Programs, CopiesThatALauncherStartedAreWarnedOfAndNoted) {
  const auto measured = [](const std::string& variables, const std::string& command) {
    const Folder folder;
    const Said said = run(variables + " " + command + kBrief + "--out=" + (folder / "r.jsonl"));
    EXPECT_EQ(said.code, 0) << said.err;
    const Record record = read_record(folder / "r.jsonl");
    const auto& details = record.headers.front().device.details;
    return std::pair(said.err, details.contains("launched") ? details.at("launched") : "");
  };
  const std::string note = "one of 2 ranks that measured by themselves at the same time";
  const auto [first, noted] = measured("WORLD_SIZE=2 RANK=0", kSmallGemm);
  EXPECT_THAT(first, HasSubstr("gemm_bench: warning: 2 ranks were started, and each measures"));
  EXPECT_THAT(first, HasSubstr("--concurrent"));
  EXPECT_EQ(noted, note);
  const auto [second, noted_too] = measured("SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=1", kSmallGemm);
  EXPECT_THAT(second, Not(HasSubstr("warning")));  // rank 0 has said it
  EXPECT_EQ(noted_too, note);
  const auto [alone, nothing] = measured("SLURM_STEP_NUM_TASKS=1 SLURM_PROCID=0", kSmallGemm);
  EXPECT_THAT(alone, Not(HasSubstr("warning")));  // as the batch scripts start it
  EXPECT_EQ(nothing, "");
}

// Right where there is one: not the user's mistake.
TEST(Programs, WhatOnlyAGpuHasIsExitCode3) {
  if (gpus().why_none.empty()) GTEST_SKIP() << "skipped: there is a GPU";
  for (const std::string command :
       {"gemm_bench --dtype=fp32 --m=64 --n=64 --k=64 --versus=cublaslt",
        "gemm_bench --device=cpu --dtype=fp32 --m=64 --n=64 --k=64 --versus=hopper",
        "memory_bench --bytes=4096 --versus=cuda_bulk",
        "collective_bench --versus=nccl --benchmark_list_tests", "collective_bench"}) {
    const Said said = run(command);
    EXPECT_EQ(said.code, 3) << command << "\n" << said.err;
    EXPECT_EQ(lines_in(said.err), 1U) << command << "\n" << said.err;
  }
}

TEST(Programs, AskingForAGpuWithoutOneIsExitCode3) {
  const std::string why = gpus().why_none;
  if (why.empty()) GTEST_SKIP() << "skipped: there is a GPU";
  for (const std::string program :
       {"gemm_bench", "memory_bench", "collective_bench", "overlap_bench"}) {
    const Said said = run(program + " --device=gpu");
    EXPECT_EQ(said.code, 3) << said.err;
    EXPECT_THAT(said.err, HasSubstr(why)) << program;
    EXPECT_EQ(lines_in(said.err), 1U) << said.err;
  }
}

TEST(Programs, HelpIsPrintedAndIsNoMistake) {
  for (const std::string program : {"gemm_bench", "memory_bench", "attention_bench", "layer_bench",
                                    "collective_bench", "overlap_bench"}) {
    const Said said = run(program + " --help");
    EXPECT_EQ(said.code, 0);
    EXPECT_THAT(said.out, HasSubstr("--max_seconds"));
    EXPECT_THAT(said.out, HasSubstr("--benchmark_filter"));
  }
}

TEST(Programs, ListTestsShowsNamesAndMeasuresNothing) {
  const Folder folder;
  Said said = run("gemm_bench --device=cpu --benchmark_list_tests --benchmark_filter=512 --out=" +
                  (folder / "r.jsonl"));
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("gemm/fp32/onednn/m:512/n:512/k:512"));
  EXPECT_THAT(said.out, Not(HasSubstr("1024")));
  EXPECT_FALSE(std::filesystem::exists(folder / "r.jsonl"));
  said = run("gemm_bench --device=cpu --benchmark_list_tests --models=gpt2-124m --tokens=256");
  EXPECT_THAT(said.out, HasSubstr("/m:256/n:2304/k:768/"));           // qkv, forward
  EXPECT_THAT(said.out, HasSubstr("/m:256/n:768/k:2304/layout:nn"));  // its data gradient
  EXPECT_THAT(said.out, HasSubstr("/k:256/layout:tn"));               // and weight gradient
  EXPECT_THAT(said.out, HasSubstr("fma/fp32/registers/cores:"));
  said = run("memory_bench --device=cpu --benchmark_list_tests --bytes=4096");
  EXPECT_THAT(said.out, HasSubstr("copy/fp64/openmp/bytes:4096"));
  EXPECT_THAT(said.out, HasSubstr("triad/fp64/openmp_nt/bytes:4096"));
  said = run("collective_bench --device=cpu --benchmark_list_tests");
  EXPECT_THAT(said.out, HasSubstr("allreduce/fp32/mpi/bytes:1048576"));
}

TEST(Programs, WriteARecordAndGooglesOutput) {
  const Folder folder;
  const std::string secrets =
      "AWS_SECRET_ACCESS_KEY=planted SLURM_JWT=planted HF_TOKEN=planted NCCL_X_AUTH=planted "
      "TRAINMETER_TOKEN=planted PASSWORD=planted OMP_NUM_THREADS=1 ";
  const Said said = run(
      secrets + kSmallGemm + kBriefRotating + "--benchmark_filter=onednn --benchmark_format=json " +
      "--benchmark_out=" + (folder / "g.json") + " --out=" + (folder / "r.jsonl"));
  ASSERT_EQ(said.code, 0) << said.err;
  const std::string name = "gemm/fp32/onednn/m:64/n:48/k:32";
  for (const std::string& text : {said.out, read_text(folder / "g.json")}) {
    const auto json = nlohmann::json::parse(text);
    ASSERT_EQ(json.at("benchmarks").size(), 1U);
    const auto& row = json.at("benchmarks").at(0);
    EXPECT_EQ(row.at("name"), name + "/iterations:1/manual_time");
    EXPECT_GT(row.at("TFLOP/s").get<double>(), 0);
    EXPECT_GE(row.at("samples").get<double>(), 10);
    EXPECT_GT(row.at("real_time").get<double>(), 0);
  }
  const Record record = read_record(folder / "r.jsonl");
  ASSERT_EQ(record.lines.size(), 1U);
  const Measurement& row = record.lines[0].measurement;
  EXPECT_EQ(row.name, name);
  EXPECT_TRUE(row.usable()) << row.failure;
  EXPECT_GE(row.time_s.size(), 10U);
  EXPECT_DOUBLE_EQ(row.flops, 2.0 * 64 * 48 * 32);
  EXPECT_EQ(record.headers[0].device.kind, "cpu");
  EXPECT_EQ(record.headers[0].device.sms, row.sms);
  EXPECT_FALSE(record.headers[0].software.empty());
  EXPECT_EQ(record.headers[0].environment.at("OMP_NUM_THREADS"), "1");
  for (const char* file : {"g.json", "r.jsonl"})
    EXPECT_THAT(read_text(folder / file), Not(HasSubstr("planted"))) << file;
}

TEST(Programs, EveryFormatOfGoogleBenchmarkWorks) {
  for (const std::string format : {"console", "json", "csv"}) {
    const Folder folder;
    const Said said =
        run(kSmallGemm + kBrief + "--benchmark_repetitions=2 --benchmark_format=" + format +
            " --benchmark_out_format=" + format +
            " --benchmark_time_unit=ms --benchmark_counters_tabular " +
            "--benchmark_context=note=hello --benchmark_min_warmup_time=0.05s " +
            "--benchmark_out=" + (folder / "g"));
    ASSERT_EQ(said.code, 0) << said.err;
    for (const std::string& text : {said.out, read_text(folder / "g")}) {
      EXPECT_THAT(text, HasSubstr("gemm/fp32/openblas/m:64/n:48/k:32")) << format;
      EXPECT_THAT(text, HasSubstr("_median")) << format;
      EXPECT_TRUE(format != "json" || nlohmann::json::accept(text)) << text;
    }
  }
}

// However short a run is, and however busy the machine: the time that was asked for, or a word.
TEST(Programs, TheLeastTimeIsSampled) {
  const Folder folder;
  const Said said = run(
      kSmallGemm + "--cache=hot --benchmark_filter=openblas --target=0 --benchmark_min_time=1 " +
      "--benchmark_min_warmup_time=0.02 --out=" + (folder / "r.jsonl"));
  ASSERT_EQ(said.code, 0) << said.err;
  const Measurement row = read_record(folder / "r.jsonl").lines.at(0).measurement;
  const double sampled_s = static_cast<double>(row.runs_per_sample) *
                           std::accumulate(row.time_s.begin(), row.time_s.end(), 0.0);
  const bool brief = said.err.find("1 sampled for less than 1 s") != std::string::npos;
  EXPECT_EQ(sampled_s < 1 - 1e-6, brief) << sampled_s << said.err;
}

TEST(Programs, ResumeSkipsFinishedCases) {
  const Folder folder;
  const std::string command = kSmallGemm + kBrief + "--resume --out=" + (folder / "r.jsonl");
  EXPECT_EQ(run(command + " --benchmark_filter=onednn").code, 0);
  Said said = run(command);
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, Not(HasSubstr("onednn")));
  EXPECT_THAT(said.out, HasSubstr("openblas"));
  said = run(command);
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_EQ(said.out, "");
  EXPECT_THAT(said.err, HasSubstr("all 2 cases are finished"));
  EXPECT_EQ(read_record(folder / "r.jsonl").lines.size(), 2U);
}

TEST(Programs, VersusAlternates) {
  const Folder folder;
  const Said said = run(kSmallGemm + kBrief +
                        "--versus=openblas --benchmark_format=json --out=" + (folder / "r.jsonl"));
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("speed_vs_openblas"));
  const Record record = read_record(folder / "r.jsonl");
  ASSERT_EQ(record.lines.size(), 2U);
  EXPECT_EQ(record.lines[0].measurement.paired_with, record.lines[1].measurement.name);
}

TEST(Programs, MaxSecondsSaysHowManyWereLeftOut) {
  const Said said = run(kSmallGemm + "--max_seconds=0");
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.err, HasSubstr("2 left out (--max_seconds)"));
}

TEST(Programs, ASearchEndsWithTheBestAndRecordsEveryShape) {
  const Folder folder;
  const std::string command =
      "gemm_bench --device=cpu --dtype=fp32 --search=1 " + kBrief +
      "--benchmark_filter=openblas --benchmark_format=json --out=" + (folder / "r.jsonl");
  const Said said = run(command);
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.err, HasSubstr("shapes: gemm/fp32/openblas/m:"));
  const Record record = read_record(folder / "r.jsonl");
  EXPECT_EQ(nlohmann::json::parse(said.out).at("benchmarks").size(), record.lines.size());
  EXPECT_EQ(record.lines.front().measurement.name, "gemm/fp32/openblas/m:512/n:512/k:512");
  EXPECT_EQ(record.headers.size(), 2U);  // quick rules, and the program's
  EXPECT_THAT(said.out, HasSubstr("\"gemm/fp32/openblas/m:512/n:512/k:512/iterations:1"));
}

TEST(Programs, GroupsAreProductsSideBySide) {
  const Folder folder;
  const Said said = run(kSmallGemm + kBrief + "--batch=1,4 --out=" + (folder / "r.jsonl"));
  ASSERT_EQ(said.code, 0) << said.err;
  const Record record = read_record(folder / "r.jsonl");
  ASSERT_EQ(record.lines.size(), 4U);
  const Measurement& row = record.lines[2].measurement;
  EXPECT_EQ(row.name, "gemm/fp32/onednn/groups:4/m:64/n:48/k:32");
  EXPECT_EQ(row.shape.at("groups"), 4);
  EXPECT_DOUBLE_EQ(row.flops, 4 * 2.0 * 64 * 48 * 32);
  EXPECT_FALSE(record.lines[0].measurement.shape.contains("groups"));
}

TEST(Programs, MemoryBenchTakesThreadsAndNodes) {
  const Folder folder;
  Said said = run("memory_bench --device=cpu --bytes=1048576 --threads=1,all --numa " + kBrief +
                  "--benchmark_filter=triad/fp64/openmp/ --out=" + (folder / "r.jsonl"));
  ASSERT_EQ(said.code, 0) << said.err;
  const Record record = read_record(folder / "r.jsonl");
  ASSERT_GE(record.lines.size(), 2U);
  EXPECT_EQ(record.lines[0].measurement.shape.at("threads"), 1);
  EXPECT_EQ(record.lines[0].measurement.sms, 1);
  EXPECT_FALSE(record.lines[1].measurement.shape.contains("threads"));
  if (numa_nodes(cpu_info()).size() == 1) {
    EXPECT_THAT(said.err, HasSubstr("--numa: this machine has one NUMA node"));
  }
  said = run("memory_bench --device=cpu --threads=100000");
  EXPECT_EQ(said.code, 3) << said.err;
  EXPECT_THAT(said.err, HasSubstr("--threads=100000: there are"));
}

TEST(Programs, AnInterruptKeepsFinishedWork) {
  for (const auto& [signal, code] :
       {std::pair{"INT", 130}, std::pair{"TERM", 143}, std::pair{"HUP", 129}}) {
    const Folder folder;
    const Said said = run_and_signal(
        "gemm_bench --device=cpu --cache=hot --m=512 --n=512 --k=512,513,514,515 --dtype=fp32 "
        "--benchmark_format=json "
        "--benchmark_filter=onednn --benchmark_min_time=1.5 --out=" +
            (folder / "r.jsonl"),
        signal, folder / "r.jsonl");
    EXPECT_EQ(said.code, code) << said.err;
    EXPECT_THAT(said.err, HasSubstr(", interrupted"));
    // One, and more only where the signal came late.
    const std::size_t finished = read_record(folder / "r.jsonl").lines.size();
    EXPECT_GE(finished, 1U);
    EXPECT_LT(finished, 4U);
    EXPECT_THAT(said.err, HasSubstr(std::to_string(finished) + " measured"));
    // Valid to the end.
    EXPECT_EQ(nlohmann::json::parse(said.out).at("benchmarks").size(), finished);
  }
}

// Whoever reads JSON from stdout gets a document, where nothing is left to measure, too.
TEST(Programs, AFinishedRecordIsAnEmptyDocument) {
  const Folder folder;
  const std::string google = folder / "google.json";
  const std::string command = kSmallGemm + kBrief +
                              "--benchmark_format=json --resume --out=" + (folder / "r.jsonl") +
                              " --benchmark_out=" + google;
  Said said = run(command);
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_FALSE(nlohmann::json::parse(said.out).at("benchmarks").empty());
  const std::string before = run("cat " + google).out;
  said = run(command);
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.err, HasSubstr("cases are finished in"));
  EXPECT_TRUE(nlohmann::json::parse(said.out).at("benchmarks").empty());
  EXPECT_EQ(run("cat " + google).out, before);
}

// A rank or a program that loses its terminal ends in order; nohup's doesn't lose it.
TEST(Programs, NohupOutlivesItsTerminal) {
  const Folder folder;
  const Said said = run_and_signal(
      "nohup " + kSmallGemm + "--cache=hot --benchmark_min_time=0.5 --out=" + (folder / "r.jsonl"),
      "HUP", folder / "r.jsonl");
  EXPECT_EQ(said.code, 0) << said.err;
}

TEST(Programs, AFullDiskIsExitCode4) {
  const Said said = run(kSmallGemm + kBrief + "--out=/dev/full");
  EXPECT_EQ(said.code, 4) << said.err;
}

TEST(Programs, AFullDiskUnderAnyOutputIsExitCode4) {
  const std::string small = kSmallGemm + kBrief;
  for (const auto& [command, what] :
       {std::pair(small + " >/dev/full", "stdout: writing failed"),
        std::pair(small + "--benchmark_format=json >/dev/full", "stdout: writing failed"),
        std::pair(small + "--benchmark_format=csv >/dev/full", "stdout: writing failed"),
        std::pair(small + "--benchmark_list_tests >/dev/full", "stdout: writing failed"),
        std::pair(small + "--concurrent=2 >/dev/full", "stdout: writing failed"),
        std::pair(std::string("gemm_bench --help >/dev/full"), "No space left on device"),
        std::pair(small + "--benchmark_out=/dev/full", "--benchmark_out: /dev/full: writing")}) {
    const Said said = run(command);
    EXPECT_EQ(said.code, 4) << command << "\n" << said.err;
    EXPECT_THAT(said.err, HasSubstr(what)) << command;
  }
  const Folder folder;  // the record is whole
  EXPECT_EQ(run(small + "--out=" + (folder / "r.jsonl") + " >/dev/full").code, 4);
  EXPECT_FALSE(read_record(folder / "r.jsonl").lines.empty());
}

TEST(Programs, MemoryBenchMeasuresEveryKernel) {
  const Folder folder;
  const Said said =
      run("memory_bench --device=cpu --bytes=1048576 " + kBrief + "--out=" + (folder / "r.jsonl"));
  ASSERT_EQ(said.code, 0) << said.err;
  std::vector<std::string> operations;
  for (const Line& line : read_record(folder / "r.jsonl").lines) {
    EXPECT_TRUE(line.measurement.usable()) << line.measurement.failure;
    if (line.measurement.backend == "openmp") operations.push_back(line.measurement.operation);
  }
  EXPECT_THAT(operations, ::testing::UnorderedElementsAre("copy", "read", "write", "triad"));
}

TEST(Programs, MemoryBenchMeasuresTheKernelsOfAModelsStep) {
  const Folder folder;
  const Said said =
      run("memory_bench --device=cpu --models=gpt2-124m --tokens=16 "
          "--kernels=layernorm,cast_fp8_transpose,adamw,cross_entropy " +
          kBrief + "--out=" + (folder / "r.jsonl"));
  ASSERT_EQ(said.code, 0) << said.err;
  std::vector<std::string> names;
  for (const Line& line : read_record(folder / "r.jsonl").lines) {
    const Measurement& m = line.measurement;
    EXPECT_TRUE(m.usable()) << m.name << ": " << m.failure;
    EXPECT_GT(m.bytes, 0);
    names.push_back(m.name);
  }
  EXPECT_THAT(names,
              ::testing::UnorderedElementsAre("layernorm/bf16/openmp/rows:16/cols:768",
                                              "cast_fp8_transpose/bf16/openmp/rows:16/cols:768",
                                              "cross_entropy/bf16/openmp/rows:16/cols:50257",
                                              "adamw/bf16/openmp/weights:7079424"));
}

}  // namespace
}  // namespace trainmeter
