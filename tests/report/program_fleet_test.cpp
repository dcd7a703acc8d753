// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The program on many records: old and new compared, nodes accepted, jobs submitted.
#include "fixtures.hpp"
#include "program_runs.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using testing::HasSubstr;

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

TEST(Program, CompareEndsWithOneForAWrongResult) {
  Record wrong = small_cpu();
  wrong.headers.front().started_at = "2026-11-25T10:00:00Z";
  wrong.lines.front().measurement.failure = "wrong result: error 1, allowed 0.1";
  const auto file = write_record(wrong, "wrong.jsonl").string();
  const Outcome o =
      run_program(fmt::format("compare '{}' '{}' --format json", record_file(), file));
  EXPECT_EQ(o.code, 1) << o.err;
  EXPECT_THAT(o.err, HasSubstr("warning: works in OLD, fails in NEW: gemm/bf16/onednn/"));
  EXPECT_THAT(o.err, HasSubstr("warning: one side was measured before the other"));
  EXPECT_THAT(o.err, HasSubstr("warning: can't tell of any case (6 of 7)"));
  const auto last = nlohmann::json::parse(o.out).back();
  EXPECT_EQ(last.at("verdict"), "slower");
  EXPECT_EQ(last.at("regression"), true);
  EXPECT_THAT(last.at("reason").get<std::string>(), HasSubstr("wrong.jsonl:2: wrong result"));
}

TEST(Program, CompareIsStrictOnRequest) {
  const auto other = write_record(small_cpu(), "other_start.jsonl").string();
  const std::string command = fmt::format("compare '{}' '{}'", record_file(), other);
  const Outcome o = run_program(command);
  EXPECT_EQ(o.code, 0);
  EXPECT_THAT(o.err, HasSubstr("warning: can't tell of any case (7 of 7)"));
  EXPECT_EQ(run_program(command + " --strict").code, 1);
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
}

TEST(Program, ATrendIsStrictOnRequest) {
  EXPECT_EQ(run_program(fmt::format("accept --trend '{}'", record_file())).code, 0);
  const Outcome o = run_program(fmt::format("accept --trend '{}' --strict", record_file()));
  EXPECT_EQ(o.code, 1) << o.err;
  EXPECT_EQ(o.err, "");
  EXPECT_THAT(o.out, HasSubstr("Can't tell of "));
  expect_refused(fmt::format("accept --trend '{}' --drain drain.txt", record_file()), "no --drain");
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

namespace {

// The folder of jobs with a job 7 that is over: n1 left a record, n2 nothing but its exit code.
std::filesystem::path jobs_with_a_dead_node() {
  namespace fs = std::filesystem;
  const fs::path jobs = file_of_test("jobs");
  fs::remove_all(jobs);
  for (const char* folder : {"records", "nodes", "groups", "ended"})
    fs::create_directories(jobs / "7" / folder);
  Record record = small_cpu();
  for (Header& header : record.headers) header.host = "n1";
  fs::rename(write_record(record, "n1.jsonl"), jobs / "7/records/n1.jsonl");
  std::ofstream(jobs / "7/nodes/n1") << "0\n";
  std::ofstream(jobs / "7/nodes/n2") << "3\n";
  std::ofstream(jobs / "7/ended/0") << "3\n";
  return jobs;
}

// A queue that gives these answers in turn, and then knows no such job; asked as often as may be.
std::string queue_that_says(const std::vector<std::string>& answers) {
  namespace fs = std::filesystem;
  const fs::path folder = file_of_test("bin");
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (std::size_t i = 0; i < answers.size(); ++i)
    std::ofstream(folder / std::to_string(i + 1)) << answers[i] << "\n";
  std::ofstream(folder / "squeue") << "#!/bin/sh\ncd '" << folder.string() << "'\n"
                                   << "echo >>asked; now=$(($(wc -l <asked)))\n"
                                   << "if [ -e $now ]; then cat $now; exit; fi\n"
                                   << "echo 'error: Invalid job id specified' >&2\nexit 1\n";
  fs::permissions(folder / "squeue", fs::perms::owner_all);
  return "TRAINMETER_POLL_SECONDS=0.05 PATH='" + folder.string() + "':\"$PATH\"";
}

}  // namespace

TEST(Program, ANodeOfAJobThatLeftNoRecordIsNamed) {
  const std::string jobs = jobs_with_a_dead_node().string();
  const char* const why = "node: missing: no record (exit code 3)";
  const Outcome followed =
      run_program("submit --attach 7 --jobs '" + jobs + "'", queue_that_says({}));
  EXPECT_EQ(followed.code, 3) << followed.err;
  EXPECT_THAT(followed.out, HasSubstr(why));
  for (const char* records : {"/7/records", "/7", "/7/record.jsonl"}) {
    const std::string drain = file_of_test("drain").string();
    const Outcome o =
        run_program(fmt::format("accept '{}{}' --drain '{}' --format json", jobs, records, drain));
    EXPECT_EQ(o.code, 1) << records << o.err;
    EXPECT_EQ(slurp(drain), std::string("n2 ") + why + "\n") << records;
    EXPECT_EQ(nlohmann::json::parse(o.out)["counts"]["nodes"]["fail"], 1) << records;
  }
  EXPECT_EQ(run_program("accept '" + jobs + "/7/records/n1.jsonl'").code, 0);
}

TEST(Program, AJobIsFollowedThroughTheQueue) {
  const std::string jobs = jobs_with_a_dead_node().string();
  const Outcome o = run_program(
      "submit --attach 7 --jobs '" + jobs + "'",
      queue_that_says({"PENDING Resources", "PENDING Resources\nRUNNING None", "COMPLETING None"}));
  EXPECT_THAT(o.err, HasSubstr("job 7: PENDING (Resources)\njob 7: RUNNING, 7 cases measured in 1 "
                               "record\njob 7: COMPLETING, 7"));
  const Outcome wrong =
      run_program("submit --attach 7 --jobs '" + jobs + "'", "TRAINMETER_POLL_SECONDS=soon");
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("TRAINMETER_POLL_SECONDS: expected seconds above 0"));
}

// Also of a single node, which has a report and nobody to be compared with.
TEST(Program, AJobIsJudgedByItsRules) {
  const std::filesystem::path jobs = jobs_with_a_dead_node();
  std::filesystem::remove(jobs / "7/nodes/n2");
  std::ofstream(jobs / "7/ended/0") << "0\n";
  const std::string rules =
      write_text(R"({"floors": [{"operation": "gemm", "flops_per_s": 1e20}]})", "rules.json")
          .string();
  const std::string site = write_text(fmt::format(R"({{"rules": "{}"}})",
                                                  std::filesystem::path(rules).filename().string()),
                                      "site.json")
                               .string();
  const std::string follow = "submit --attach 7 --jobs '" + jobs.string() + "' ";
  EXPECT_EQ(run_program(follow, queue_that_says({})).code, 0);
  for (const std::string& option : {"--rules '" + rules + "'", "--site '" + site + "'"}) {
    const Outcome o = run_program(follow + option, queue_that_says({}));
    EXPECT_EQ(o.code, 1) << o.err;
    EXPECT_THAT(o.out, HasSubstr("below_floor"));
  }
  // Before anything is submitted.
  expect_refused("submit --dry-run --rules '" + site + "'", "rules: unknown key");
}

TEST(Program, AJobsTimeLimitIsEnoughForItsPlan) {
  const Outcome wide = run_program("submit fabric --nodes 32 --dry-run");
  EXPECT_THAT(wide.err, HasSubstr("at most about 35 min"));
  EXPECT_THAT(wide.out, HasSubstr("--time=45\n"));
  EXPECT_THAT(run_program("submit fabric --nodes 32 --dry-run --time 00:10:00").out,
              HasSubstr("--time=00:10:00\n"));
  EXPECT_THAT(run_program("submit fleet --nodes 32 --dry-run").out, HasSubstr("--time=15\n"));
}
