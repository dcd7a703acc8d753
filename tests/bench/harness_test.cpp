// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A job from its cases to the record and the exit code, with operations that only move a clock.
#include "bench/exit_code.hpp"
#include "bench/session.hpp"
#include "kernels/sm_share.hpp"
#include "record/error.hpp"

#include "harness_fixture.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(HarnessTest, WritesARecordThatReadsBack) {
  EXPECT_EQ(run_job(job({fake_case("a"), fake_case("b")})), kFine);
  const Record record = read_record(file_);
  ASSERT_EQ(record.headers.size(), 1U);
  EXPECT_EQ(record.headers[0].program, "gemm_bench");
  EXPECT_EQ(record.headers[0].git_revision, git_revision());
  EXPECT_EQ(record.headers[0].discipline.timer, "steady_clock");
  ASSERT_EQ(record.lines.size(), 2U);
  const Measurement& row = record.lines[0].measurement;
  EXPECT_EQ(row.name, "gemm/fp32/a/m:1/n:1/k:1");
  EXPECT_TRUE(row.usable());
  EXPECT_NEAR(static_cast<double>(row.time_s.size()), 200, 1);
  EXPECT_NEAR(row.time_s.front(), 1e-3, 1e-9);
  EXPECT_EQ(row.sms, 2);
  EXPECT_EQ(row.check, "fake");
}

TEST_F(HarnessTest, WhatIsLeftOutForOneReasonIsSaidOnce) {
  Job nothing = job({});
  nothing.list.left_out = {"no fp16", "no moon", "no fp16"};
  try {
    (void)run_job(std::move(nothing));
    FAIL();
  } catch (const Unavailable& error) {
    EXPECT_STREQ(error.what(), "nothing to measure: no fp16; no moon");
  }
}

// As of a share of a GPU's multiprocessors, which a library has in steps of 8.
TEST_F(HarnessTest, ARowHasTheSmsThatItRanOn) {
  Case share = fake_case("a");
  share.cores = 100;
  const auto make = share.make;
  share.make = [make](const OperandOptions& operands) {
    std::unique_ptr<Operation> made = make(operands);
    static_cast<FakeOperation&>(*made).noted = {{kSmsNote, "104"}};
    return made;
  };
  EXPECT_EQ(run_job(job({share})), kFine);
  EXPECT_EQ(read_record(file_).lines.front().measurement.sms, 104);
}

// What a first run does besides, NCCL's connections, isn't done while a timer holds the stream.
TEST_F(HarnessTest, AnUncheckedCaseHasRunBeforeItIsTimed) {
  int runs = 0;
  std::optional<int> before;
  on_run_ = [&] { ++runs; };
  Job unchecked = job({fake_case("a")});
  unchecked.options.collective.checks = 0;
  const auto now_s = [&] {
    if (!before) before = runs;
    return time_.now_s;
  };
  unchecked.timer = make_cpu_timer({.now_s = now_s, .resolution_s = 1e-8}, nullptr);
  EXPECT_EQ(run_job(std::move(unchecked)), kFine);
  EXPECT_EQ(before, 1);
  EXPECT_EQ(read_record(file_).lines.front().measurement.check, "not checked");
}

// A timer with a second opinion, as a GPU's has.
class TwoWays : public TimerBy {
 public:
  TwoWays(std::unique_ptr<Timer> inner, double graph_s)
      : TimerBy(*inner), owned_(std::move(inner)), graph_s_(graph_s) {}
  std::optional<double> time_as_graph(Rotation& /*rotation*/, std::int64_t runs) override {
    EXPECT_EQ(runs, 5);  // 5 ms of a run of 1 ms
    return graph_s_;
  }

 private:
  std::unique_ptr<Timer> owned_;
  double graph_s_;
};

TEST_F(HarnessTest, EventsAndAGraphThatDisagreeAreSaid) {
  for (const double graph_s : {0.99e-3, 1.05e-3}) {
    SetUp();
    Job two_ways = job({fake_case("a")});
    two_ways.timer = std::make_unique<TwoWays>(std::move(two_ways.timer), graph_s);
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(run_job(std::move(two_ways)), kFine);
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(said.find("1 at odds with a CUDA graph") != std::string::npos, graph_s > 1e-3)
        << said;
    const Record record = read_record(file_);
    EXPECT_EQ(record.lines[0].measurement.notes.at(kGraphNote),
              graph_s > 1e-3 ? "1.0500" : "0.9900");
  }
}

TEST_F(HarnessTest, AWrongResultIsAnErrorRowAndExitCode1AndIsNotTimed) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(run_job(job({fake_case("wrong", {.ok = false, .error = 3, .bound = 1, .how = "fake"}),
                         fake_case("nan", {.ok = false, .error = nan, .bound = 1, .how = "fake"}),
                         fake_case("right")})),
            kCheckFailed);
  const Record record = read_record(file_);
  ASSERT_EQ(record.lines.size(), 3U);
  EXPECT_FALSE(record.lines[0].measurement.usable());
  EXPECT_THAT(record.lines[0].measurement.failure, HasSubstr("wrong result: error 3, allowed 1"));
  EXPECT_TRUE(record.lines[0].measurement.time_s.empty());
  EXPECT_FALSE(record.lines[1].measurement.usable());
  EXPECT_TRUE(record.lines[2].measurement.usable());
}

TEST_F(HarnessTest, ACaseThatCannotBePreparedIsAnErrorRowAndExitCode3) {
  Case lacking = fake_case("lacking");
  lacking.make = [](const OperandOptions&) -> std::unique_ptr<Operation> {
    throw Unavailable("needs a moon");
  };
  EXPECT_EQ(run_job(job({lacking, fake_case("a")})), kUnavailable);
  const Record record = read_record(file_);
  ASSERT_EQ(record.lines.size(), 2U);
  EXPECT_EQ(record.lines[0].measurement.failure, "needs a moon");
  EXPECT_TRUE(record.lines[1].measurement.usable());
}

TEST_F(HarnessTest, AWrongResultOutweighsALack) {
  Case lacking = fake_case("lacking");
  lacking.make = [](const OperandOptions&) -> std::unique_ptr<Operation> {
    throw Unavailable("needs a moon");
  };
  const Case wrong = fake_case("wrong", {.ok = false, .error = 3, .bound = 1, .how = "fake"});
  EXPECT_EQ(run_job(job({lacking, wrong})), kCheckFailed);
  EXPECT_EQ(run_job(job({wrong, lacking})), kCheckFailed);
}

TEST_F(HarnessTest, FailuresInMidRunEndTheProgram) {
  Case broken = fake_case("broken");
  broken.make = [](const OperandOptions&) -> std::unique_ptr<Operation> {
    throw EnvironmentFailed("disk full");
  };
  EXPECT_THROW(run_job(job({fake_case("a"), broken, fake_case("b")})), EnvironmentFailed);
  EXPECT_THAT(recorded(), ElementsAre("gemm/fp32/a/m:1/n:1/k:1"));  // finished work stays
}

// As CUDA says it in the middle of a sample, after which no call of this process succeeds; the
// sensors are gone, too.
TEST_F(HarnessTest, AGpuThatFallsOffEndsTheProgramAndAnotherStartDoesTheRest) {
  int runs = 0;
  const std::string said =
      "timed launches: cudaErrorECCUncorrectable: uncorrectable ECC error encountered";
  Case lost = fake_case("lost");
  lost.make = [&, good = lost.make](const OperandOptions& operands) {
    auto operation = good(operands);
    static_cast<FakeOperation&>(*operation).on_run = [&] {
      if (++runs == 20) throw std::runtime_error(said);
    };
    return operation;
  };
  const std::vector<Case> cases = {fake_case("a"), lost, fake_case("b")};
  int code = kFine;
  std::string why;
  try {
    code = run_job(job(cases));
  } catch (...) {
    const Failure failure = failure_in_flight();
    code = failure.code;
    why = failure.text;
  }
  EXPECT_EQ(code, kEnvironmentFailed);
  EXPECT_EQ(why, said);
  EXPECT_THAT(recorded(), ElementsAre("gemm/fp32/a/m:1/n:1/k:1"));
  EXPECT_EQ(run_job(job(cases, {"--resume"})), kFine);
  EXPECT_THAT(recorded(), ElementsAre("gemm/fp32/a/m:1/n:1/k:1", "gemm/fp32/lost/m:1/n:1/k:1",
                                      "gemm/fp32/b/m:1/n:1/k:1"));
}

TEST_F(HarnessTest, ResumeSkipsWhatIsFinishedInTheSameWay) {
  EXPECT_EQ(run_job(job({fake_case("a")})), kFine);
  EXPECT_EQ(run_job(job({fake_case("a"), fake_case("b")}, {"--resume"})), kFine);
  EXPECT_THAT(recorded(), ElementsAre("gemm/fp32/a/m:1/n:1/k:1", "gemm/fp32/b/m:1/n:1/k:1"));
  EXPECT_EQ(made_, 2);
  EXPECT_EQ(run_job(job({fake_case("a"), fake_case("b")}, {"--resume"})), kFine);
  EXPECT_EQ(made_, 2);
  // More repetitions: not finished, but nothing is measured again.
  const auto more = [&] {
    return run_job(job({fake_case("a"), fake_case("b"), fake_case("c")},
                       {"--resume", "--benchmark_repetitions=2"}));
  };
  EXPECT_EQ(more(), kFine);
  EXPECT_EQ(more(), kFine);
  std::map<std::string, std::vector<std::int64_t>> repetitions;
  for (const Line& line : read_record(file_).lines) {
    repetitions[line.measurement.backend].push_back(line.measurement.repetition);
  }
  for (const char* backend : {"a", "b", "c"}) {
    EXPECT_THAT(repetitions[backend], ElementsAre(0, 1)) << backend;
  }
}

TEST_F(HarnessTest, ResumeTakesARecordThatDidNotGetAsFarAsItsHeader) {
  for (const char* left : {"", R"({"schema":1,"ki)"}) {
    std::ofstream(file_) << left;
    EXPECT_EQ(run_job(job({fake_case("a")}, {"--resume"})), kFine);
    EXPECT_THAT(recorded(), ElementsAre("gemm/fp32/a/m:1/n:1/k:1"));
  }
  std::ofstream(file_) << "something else";
  EXPECT_THROW(run_job(job({fake_case("a")}, {"--resume"})), BadInput);
}

TEST_F(HarnessTest, ResumeRefusesARecordOfAnotherMachineOrSettingUnlessTold) {
  EXPECT_EQ(run_job(job({fake_case("a")})), kFine);
  const auto refusal = [&](Job job) {
    try {
      (void)run_job(std::move(job));
    } catch (const BadInput& error) {
      return std::string(error.what());
    }
    return std::string("went on");
  };
  const auto another = [&](std::vector<std::string> words) {
    Job made = job({fake_case("a")}, std::move(words));
    made.target.device.name = "another";
    return made;
  };
  EXPECT_THAT(refusal(another({"--resume"})), HasSubstr("device: fake, now another"));
  EXPECT_THAT(refusal(job({fake_case("a")}, {"--resume", "--benchmark_min_time=0.3"})),
              HasSubstr("least time: 0.2, now 0.3"));
  EXPECT_THAT(refusal(job({fake_case("a")}, {"--resume", "--data=zeros"})),
              HasSubstr("data: normal, now zeros"));
  EXPECT_EQ(recorded().size(), 1U);
  EXPECT_EQ(refusal(another({"--resume", "--resume_anyway"})), "went on");
  EXPECT_EQ(recorded().size(), 1U);  // it was finished already
}

// As of a node's GPUs, a process each, which share one record; and of processes on cores of their
// own.
TEST_F(HarnessTest, ResumeTellsTheDevicesOfAHostApart) {
  const auto on = [&](const std::string& key, const std::string& which) {
    Job made = job({fake_case("a"), fake_case("b")}, {"--resume"});
    made.target.device.details[key] = which;
    return run_job(std::move(made));
  };
  std::size_t rows = 0;
  for (const std::string key : {"uuid", "core_ids"}) {
    for (const char* which : {"GPU-0", "GPU-1"}) {
      EXPECT_EQ(on(key, which), kFine);
      EXPECT_EQ(recorded().size(), rows += 2) << key << " " << which;
    }
    for (const char* which : {"GPU-0", "GPU-1"}) EXPECT_EQ(on(key, which), kFine);
    EXPECT_EQ(recorded().size(), rows) << "nothing twice";
  }
  EXPECT_EQ(run_job(job({fake_case("a"), fake_case("b")}, {"--resume", "--resume_anyway"})), kFine);
  EXPECT_EQ(recorded().size(), rows);
}

TEST_F(HarnessTest, PitfallsMeasuresEachCaseBesideItsFlatteredSelf) {
  Job made = job({fake_case("a")}, {"--pitfalls"});
  made.target.rotate_bytes = 1000;
  EXPECT_EQ(run_job(std::move(made)), kFine);
  const std::string name = "gemm/fp32/a/m:1/n:1/k:1";
  EXPECT_THAT(recorded(), ElementsAre(name, name + "/data:zeros", name, name + "/cache:hot"));
  const Record record = read_record(file_);
  EXPECT_EQ(record.lines[0].measurement.notes.count("data"), 0U);
  EXPECT_EQ(record.lines[1].measurement.notes.at("data"), "zeros");
  EXPECT_EQ(record.lines[3].measurement.notes.at("cache"), "hot");
  ASSERT_EQ(made_with_.size(), 4U);
  EXPECT_EQ(made_with_[0].values, Values::normal);
  EXPECT_EQ(made_with_[1].values, Values::zeros);
  EXPECT_EQ(made_with_[1].rotate_bytes, 1000);
  EXPECT_EQ(made_with_[2].rotate_bytes, 1000);
  EXPECT_EQ(made_with_[3].rotate_bytes, 0);
  EXPECT_EQ(made_with_[3].values, Values::normal);
}

TEST_F(HarnessTest, DataAndCacheAreTheOperands) {
  EXPECT_EQ(run_job(job({fake_case("a")}, {"--data=integers", "--cache=hot"})), kFine);
  EXPECT_EQ(made_with_.back().values, Values::integers);
  EXPECT_EQ(made_with_.back().rotate_bytes, 0);
  const Record record = read_record(file_);
  EXPECT_EQ(record.headers[0].discipline.data, "integers");
  EXPECT_EQ(record.headers[0].discipline.cache, "hot");
}

TEST_F(HarnessTest, ResumeTriesFailedCasesAgain) {
  const Case wrong = fake_case("a", {.ok = false, .error = 3, .bound = 1, .how = "fake"});
  EXPECT_EQ(run_job(job({wrong})), kCheckFailed);
  EXPECT_EQ(run_job(job({fake_case("a")}, {"--resume"})), kFine);
  EXPECT_EQ(recorded().size(), 2U);
}

TEST_F(HarnessTest, RepetitionsAreRowsOfTheirOwn) {
  EXPECT_EQ(run_job(job({fake_case("a")}, {"--benchmark_repetitions=3"})), kFine);
  const Record record = read_record(file_);
  ASSERT_EQ(record.lines.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(record.lines[i].measurement.repetition, static_cast<std::int64_t>(i));
  }
}

TEST_F(HarnessTest, MaxSecondsStartsNoMoreCases) {
  EXPECT_EQ(run_job(job({fake_case("a"), fake_case("b")}, {"--max_seconds=0"})), kFine);
  EXPECT_TRUE(recorded().empty());
  EXPECT_EQ(made_, 0);
}

TEST_F(HarnessTest, AnInterruptKeepsFinishedWorkAndAbandonsTheCaseInHand) {
  int signal = 0;
  Job interrupted = job({fake_case("a"), fake_case("b"), fake_case("c")});
  interrupted.interrupted_by = [&signal] { return signal; };
  on_run_ = [&] {
    if (made_ == 2) signal = SIGINT;
  };
  EXPECT_EQ(run_job(std::move(interrupted)), 130);
  EXPECT_THAT(recorded(), ElementsAre("gemm/fp32/a/m:1/n:1/k:1"));
  EXPECT_EQ(made_, 2);
}

TEST_F(HarnessTest, VersusWritesBothSidesOfAPair) {
  EXPECT_EQ(run_job(job({fake_case("a"), fake_case("b")}, {"--versus=b"})), kFine);
  const Record record = read_record(file_);
  ASSERT_EQ(record.lines.size(), 2U);
  EXPECT_EQ(record.lines[0].measurement.paired_with, "gemm/fp32/b/m:1/n:1/k:1");
  EXPECT_EQ(record.lines[1].measurement.paired_with, "gemm/fp32/a/m:1/n:1/k:1");
  EXPECT_EQ(record.lines[0].measurement.time_s.size(), record.lines[1].measurement.time_s.size());
  EXPECT_EQ(run_job(job({fake_case("a"), fake_case("b")}, {"--versus=b", "--resume"})), kFine);
  EXPECT_EQ(recorded().size(), 2U);
}

TEST_F(HarnessTest, ThePairOfAWrongResultIsNotRecorded) {
  const Case wrong = fake_case("b", {.ok = false, .error = 3, .bound = 1, .how = "fake"});
  EXPECT_EQ(run_job(job({fake_case("a"), wrong}, {"--versus=b"})), kCheckFailed);
  EXPECT_THAT(recorded(), ElementsAre("gemm/fp32/b/m:1/n:1/k:1"));
}

TEST_F(HarnessTest, RefusesWhatCannotBeMeant) {
  EXPECT_THROW(run_job(job({fake_case("a")}, {"--benchmark_filter=nothing"})), BadInput);
  EXPECT_THROW(run_job(job({fake_case("a")}, {"--versus=nothing"})), BadInput);
  EXPECT_THROW(run_job(job({fake_case("a")}, {"--versus=a"})), Unavailable);
  EXPECT_THROW(run_job(job({})), Unavailable);
  EXPECT_FALSE(std::filesystem::exists(file_));
}

}  // namespace
}  // namespace trainmeter
