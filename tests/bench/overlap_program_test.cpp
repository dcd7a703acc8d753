// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// overlap_bench on this machine's CPU, from the command line to the report.
#include "kernels/machine.hpp"
#include "record/overlap.hpp"
#include "record/record.hpp"
#include "record/samples.hpp"

#include "subprocess.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kBriefRotating =
    "--benchmark_min_time=0.01 --benchmark_min_warmup_time=0.01 --case_seconds=0.3 ";
const std::string kBrief = kBriefRotating + "--cache=hot ";

TEST(OverlapBench, AnOverlapIsFiveRowsThatTheReportReads) {
  if (cpu_info().cores < 2) GTEST_SKIP() << "skipped: one core";
  const Folder folder;
  const std::string file = folder / "r.jsonl";
  const std::string command =
      "overlap_bench --device=cpu --dtype=fp32 --m=128 --n=128 --k=128 --co_sms=1 "
      "--beside=cache_mover,poller " +
      kBrief + "--out=" + file;
  Said said = run(command);
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("by_traffic="));
  const Record record = read_record(file);
  ASSERT_EQ(record.lines.size(), 10U);
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    EXPECT_TRUE(m.usable()) << m.name << " beside " << m.beside;
    EXPECT_GE(m.time_s.size(), 30U) << m.name;
    EXPECT_EQ(m.shape.at("co_sms"), 1) << m.name;
  }
  const std::vector<Interference> found = interferences(record);
  ASSERT_EQ(found.size(), 2U);
  for (const Interference& one : found) {
    const std::int64_t all = one.alone->sms;
    EXPECT_EQ(one.held->sms, all - 1);
    EXPECT_EQ(one.together->sms, all - 1);
    EXPECT_EQ(one.co_together->sms, 1);
    EXPECT_EQ(one.co_together->beside, "gemm");
    EXPECT_GT(one.co_together->bytes, 0);
    EXPECT_TRUE(one.sms.median > 0 && one.traffic.median > 0 && one.both.median > 0);
  }
  EXPECT_THAT(run("trainmeter report " + file).out,
              HasSubstr("What traffic beside an operation costs it"));
  said = run(command + " --resume");
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.err, HasSubstr("all 2 cases are finished"));
}

// A real collective: right on every rank before it is timed, and no rate of links comes from it.
// One run of it takes longer than such a GEMM does.
TEST(OverlapBench, AnAllReduceBesideAGemmIsMeasuredOnBothSides) {
  if (cpu_info().cores < 2) GTEST_SKIP() << "skipped: one core";
  const Folder folder;
  const std::string file = folder / "r.jsonl";
  const std::string command =
      "overlap_bench --device=cpu --dtype=fp32 --m=128 --n=128 --k=128 --co_sms=1 "
      "--beside=allreduce --benchmark_filter=onednn " +
      kBrief + "--out=" + file;
  const Said said = run(command);
  ASSERT_EQ(said.code, 0) << said.err;
  const Record record = read_record(file);
  const std::vector<Interference> found = interferences(record);
  ASSERT_EQ(found.size(), 1U);
  const Measurement& alone = *found[0].co_alone;
  EXPECT_EQ(alone.operation, "allreduce");
  EXPECT_EQ(alone.backend, "shm");
  EXPECT_EQ(alone.ranks, 2);
  EXPECT_TRUE(alone.verified);
  EXPECT_EQ(found[0].co_together->beside, "gemm");
  EXPECT_EQ(found[0].together->beside, "allreduce");
  EXPECT_GT(found[0].co_traffic.median, 0);
  EXPECT_THAT(run("trainmeter report " + file).out, HasSubstr("allreduce"));
  EXPECT_THAT(run(command + " --resume").err, HasSubstr("all 1 cases are finished"));
}

TEST(OverlapBench, VersusTakesTwoBackendsInTurnBesideTheSameCoRunner) {
  if (cpu_info().cores < 2) GTEST_SKIP() << "skipped: one core";
  const Folder folder;
  const std::string file = folder / "r.jsonl";
  const std::string small =
      "overlap_bench --device=cpu --dtype=fp32 --m=128 --n=128 --k=128 --co_sms=1 "
      "--beside=cache_mover " +
      kBriefRotating + "--resume --out=" + file;
  const std::string command = small + " --versus=openblas";
  Said said = run(command);
  if (said.code == 3) GTEST_SKIP() << "skipped: " << said.err;  // built without oneDNN
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr(" speed_vs_openblas="));
  EXPECT_THAT(said.out, HasSubstr("beside_speed_vs_openblas="));
  const Record record = read_record(file);
  ASSERT_EQ(record.lines.size(), 10U);  // five of each
  const std::size_t samples = record.lines.front().measurement.time_s.size();
  EXPECT_GE(samples, 50U);  // an interval wants as many
  for (const Line& line : record.lines) {
    EXPECT_TRUE(line.measurement.usable()) << line.measurement.name;
    EXPECT_EQ(line.measurement.time_s.size(), samples) << line.measurement.name;
  }
  const std::vector<Interference> found = interferences(record);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].alone->backend, "onednn");
  EXPECT_EQ(found[1].alone->backend, "openblas");
  EXPECT_NE(found[0].co_alone, found[1].co_alone);
  const std::vector<InterferencePair> pairs = interference_pairs(found);
  ASSERT_EQ(pairs.size(), 1U);
  EXPECT_EQ(pairs[0].alone.median, paired_ratio(*found[1].alone, *found[0].alone).median);
  EXPECT_GT(pairs[0].together.median, 0);

  const Said report = run("trainmeter report " + file + " --format json");
  ASSERT_EQ(report.code, 0) << report.err;
  const auto told = nlohmann::json::parse(report.out);
  EXPECT_EQ(told.at("interference").size(), 2U);
  ASSERT_EQ(told.at("in_turn").size(), 1U);
  EXPECT_EQ(told.at("in_turn")[0].at("operation"), "gemm beside cache_mover");
  EXPECT_THAT(told.at("in_turn")[0].at("problem").get<std::string>(),
              StartsWith("128 x 128 x 128 on "));
  EXPECT_EQ(told.at("in_turn")[0].at("speed").get<double>(), pairs[0].together.median);
  EXPECT_TRUE(told.at("achieved").empty());  // no rate is taken from them

  EXPECT_THAT(run(command).err, HasSubstr("all 1 cases are finished"));
  said = run(small);  // the same case, but of no pair
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.err, HasSubstr("1 measured"));
  const Record both = read_record(file);
  EXPECT_EQ(interferences(both).size(), 3U);
  EXPECT_EQ(interference_pairs(interferences(both)).size(), 1U);
  EXPECT_EQ(run("trainmeter compare " + file + " " + file + " --format json").code, 0);
}

TEST(OverlapBench, ABackendThatIsNotHereIsExitCode3) {
  const std::string small = "overlap_bench --device=cpu --dtype=fp32 --m=64 --n=64 --k=64 ";
  const Said said = run(small + "--versus=cublaslt");
  EXPECT_EQ(said.code, 3);
  EXPECT_THAT(said.err, HasSubstr("--versus=cublaslt: nothing here runs on it"));
  EXPECT_EQ(
      run("overlap_bench --device=cpu --dtype=bf16 --m=64 --n=64 --k=64 --versus=openblas").code,
      3);  // it multiplies no bf16
}

}  // namespace
}  // namespace trainmeter
