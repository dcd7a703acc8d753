// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which cases overlap_bench makes, and how long it waits for a co-runner that moves nothing.
#include "bench/case_lists.hpp"
#include "bench/overlap.hpp"
#include "bench/plans.hpp"
#include "record/error.hpp"

#include "fakes.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace trainmeter {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

CaseList cases_with(std::vector<std::string> words, std::int64_t cores) {
  words.insert(words.begin(), "overlap_bench");
  Target target;
  target.device.sms = cores;
  target.memory_available_bytes = std::int64_t{1} << 40;
  return overlap_cases(read_options(Program::overlap, words), target);
}

TEST(OverlapCases, EachOperationBesideEachCoRunnerOnEachShare) {
  const CaseList list = cases_with({}, 8);
  std::set<std::int64_t> shares;
  std::set<std::string> names, operations;
  for (const Case& one : list.cases) {
    ASSERT_TRUE(one.overlap);
    EXPECT_EQ(one.shape.at("co_sms"), one.overlap->beside.sms);
    EXPECT_TRUE(one.overlap->make_rest);
    shares.insert(one.overlap->beside.sms);
    names.insert(one.name);
    operations.insert(one.operation + " " + one.dtype);
  }
  EXPECT_THAT(shares, ElementsAre(1, 2, 4));
  EXPECT_EQ(names.size(), list.cases.size());
  EXPECT_EQ(list.cases.size(), operations.size() * 3 * 4);  // three movers and an all-reduce
  for (const char* expected : {"gemm fp32", "cast_fp8 bf16", "copy fp64"})
    EXPECT_TRUE(operations.contains(expected)) << expected;
}

TEST(OverlapCases, FlagsChoose) {
  const CaseList list = cases_with({"--co_sms=3,8", "--beside=poller", "--dtype=fp32", "--m=64",
                                    "--n=32", "--k=16", "--rate=1000"},
                                   8);
  ASSERT_EQ(list.cases.size(), 1U);
  EXPECT_THAT(list.cases.front().name,
              HasSubstr("/m:64/n:32/k:16/poller/co_sms:3/co_bytes_per_s:1000"));
  EXPECT_EQ(list.cases.front().overlap->beside.bytes_per_s, 1000);
  ASSERT_EQ(list.left_out.size(), 1U);
  EXPECT_THAT(list.left_out.front(), HasSubstr("--co_sms=8: leaves none of 8 cores"));
  EXPECT_TRUE(cases_with({}, 1).cases.empty());
}

// The timer holds back as many launches as the driver queues.
TEST(OverlapCases, AnArmLaunchesWhatItsOperationDoes) {
  class Groups final : public FakeOperation {
   public:
    using FakeOperation::FakeOperation;
    [[nodiscard]] int launches() const override { return 32; }
  };
  FakeTime time;
  Groups groups(time, [](std::int64_t) { return 1.0; });
  EXPECT_EQ(Arm(&groups, Beside::traffic, 0).launches(), 32);
  EXPECT_EQ(Arm(nullptr, Beside::traffic, 0).launches(), 0);
}

// On a CPU a rank on each core of its share, but two on one; between GPUs only, where that is
// meant.
TEST(OverlapCases, AnAllReduceHasRanks) {
  const CaseList list = cases_with({"--co_sms=1,3", "--beside=allreduce,peer_allreduce",
                                    "--dtype=fp32", "--m=64", "--n=32", "--k=16"},
                                   8);
  ASSERT_EQ(list.cases.size(), 2U);
  EXPECT_EQ(list.cases[0].overlap->beside.ranks, 2);
  EXPECT_EQ(list.cases[1].overlap->beside.ranks, 3);
  EXPECT_THAT(list.left_out, Contains(HasSubstr("peer_allreduce: between GPUs only")));
}

TEST(OverlapCases, VersusPairsGemmsBesideTheSameCoRunner) {
  const std::vector<std::string> words = {"--dtype=fp32", "--versus=openblas", "--co_sms=1,2"};
  const CaseList list = cases_with(words, 8);
  const bool several = std::ranges::count_if(gemm_backends(), [](const GemmBackend& backend) {
                         return backend.device == DeviceKind::cpu;
                       }) > 1;
  if (!several) GTEST_SKIP() << "skipped: one backend";
  std::vector<std::string> command = words;
  command.insert(command.begin(), "overlap_bench");
  const std::vector<Plan> plans =
      make_plans(list.cases, read_options(Program::overlap, command), 0);
  ASSERT_EQ(plans.size(), 8U);  // four co-runners on two shares
  for (const Plan& plan : plans) {
    ASSERT_TRUE(plan.versus);
    EXPECT_EQ(plan.main.backend, "onednn");
    EXPECT_EQ(plan.versus->backend, "openblas");
    EXPECT_EQ(plan.main.overlap->beside.kind, plan.versus->overlap->beside.kind);
    EXPECT_EQ(plan.main.overlap->beside.sms, plan.versus->overlap->beside.sms);
  }
  EXPECT_EQ(cases_with({"--dtype=fp32", "--co_sms=1,2"}, 8).cases.size(), 8U);  // the first alone
  EXPECT_THROW(cases_with({"--versus=abacus"}, 8), BadInput);
}

TEST(OverlapCases, AModelsLargestForwardGemm) {
  const CaseList list = cases_with({"--models=gpt2-124m,deepseek-v3,gpt2-124m", "--tokens=64",
                                    "--beside=poller", "--co_sms=1", "--dtype=fp32"},
                                   8);
  ASSERT_EQ(list.cases.size(), 2U);  // each once
  // 3072 x 768 twelve times: up and down have as many FLOPs, more than qkv's 2304 x 768.
  EXPECT_THAT(list.cases[0].name, HasSubstr("/m:64/n:3072/k:768/poller/"));
  EXPECT_EQ(list.cases[0].notes.at("in_step"), "gpt2-124m ffn_up fprop x 12");
  // 61 layers of 128 heads' 128 values; the head's 129,280 x 7168 is one alone, and no layer's.
  EXPECT_THAT(list.cases[1].name, HasSubstr("/m:64/n:7168/k:16384/poller/"));
  EXPECT_EQ(list.cases[1].notes.at("in_step"), "deepseek-v3 attention_output fprop x 61");
  // Its experts' grouped GEMM has no backend on a CPU, which is said.
  const CaseList all = cases_with({"--models=deepseek-v3", "--co_sms=1"}, 8);
  EXPECT_THAT(all.left_out,
              Contains(HasSubstr("deepseek-v3 expert_up fprop x 58: grouped GEMMs run on GPUs")));
  bool cast = false;
  for (const Case& one : all.cases)
    cast = cast || one.name.starts_with("cast_fp8/bf16/openmp/rows:256/cols:16384/");
  EXPECT_TRUE(cast);
}

// Moves something at its attempt number `moves_at` alone.
class LateCoRunner final : public CoRunner {
 public:
  LateCoRunner(FakeTime& time, int moves_at) : time_(time), moves_at_(moves_at) {}
  void start(bool /*works*/, double /*limit_s*/) override { begin_s_ = time_.now_s; }
  void look(void* /*stream*/) override {}
  Moved stop() override {
    lasted.push_back(time_.now_s - begin_s_);
    return {.bytes = std::ssize(lasted) > moves_at_ ? 100.0 : 0, .seconds = lasted.back()};
  }
  Check check() override { return {}; }
  [[nodiscard]] double bytes_of_run() const override { return 50; }

  std::vector<double> lasted;  // of each attempt, in seconds

 private:
  FakeTime& time_;
  int moves_at_;
  double begin_s_ = 0;
};

// A sample may be shorter than the slice for which a scheduler keeps the co-runner's thread
// waiting.
TEST(OverlapTimer, ASampleBesideWhichNothingMovedIsTakenAgainAndLonger) {
  FakeTime time;
  FakeOperation gemm(time, [](std::int64_t) { return 1e-4; });
  LateCoRunner co_runner(time, 40);
  const auto inner = make_cpu_timer(time.clock(1e-9), nullptr);
  OverlapTimer timer(*inner, co_runner, cpu_info(), 1e-4);
  Arm together(&gemm, Beside::traffic, 0);
  Rotation rotation(together);
  EXPECT_NEAR(timer.take(rotation, 1, 1).front(), 1e-4, 1e-12);
  ASSERT_EQ(co_runner.lasted.size(), 41U);
  EXPECT_NEAR(co_runner.lasted[0], 1e-4, 1e-12);
  EXPECT_NEAR(co_runner.lasted[1], 2e-4, 1e-12);
  EXPECT_NEAR(co_runner.lasted[40], 32e-4, 1e-12);
  ASSERT_EQ(timer.co_runner_s(together).size(), 1U);
  EXPECT_NEAR(timer.co_runner_s(together).front(), 16e-4, 1e-12);  // 100 bytes, twice its run

  LateCoRunner idle(time, 40);  // which is to move nothing
  OverlapTimer held(*inner, idle, cpu_info(), 1e-4);
  Arm beside_idle(&gemm, Beside::idle, 0);
  Rotation once(beside_idle);
  (void)held.take(once, 1, 1);
  EXPECT_EQ(idle.lasted.size(), 1U);
}

}  // namespace
}  // namespace trainmeter
