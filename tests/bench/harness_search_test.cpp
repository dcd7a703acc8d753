// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A job that asks a search for its cases.
#include "bench/exit_code.hpp"

#include "harness_fixture.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Proposes three cases, then the best of them by the program's rules.
class FakeSearch : public Search {
 public:
  FakeSearch(std::vector<Case> cases, std::vector<std::string>& taken)
      : cases_(std::move(cases)), taken_(taken) {}
  std::optional<Plan> next(double /*elapsed_s*/) override {
    if (asked_ < cases_.size()) return Plan{.main = cases_[asked_++], .rules = quick_};
    if (asked_++ == cases_.size()) return Plan{.main = cases_.front()};
    return std::nullopt;
  }
  void take(const Measurement& row) override { taken_.push_back(row.name + " " + row.failure); }
  std::string progress(double /*elapsed_s*/) const override { return ""; }
  std::vector<std::string> found() const override { return {"found"}; }

 private:
  std::vector<Case> cases_;
  std::vector<std::string>& taken_;
  Rules quick_ = read_options(Program::gemm, {"gemm_bench"}).quick_rules();
  std::size_t asked_ = 0;
};

TEST_F(HarnessTest, ASearchAsksForTheNextCaseAndLearnsItsResult) {
  const Case wrong = fake_case("b", {.ok = false, .error = 3, .bound = 1, .how = "fake"});
  std::vector<std::string> taken;
  Job searching = job({});
  searching.search = std::make_unique<FakeSearch>(std::vector{fake_case("a"), wrong}, taken);
  EXPECT_EQ(run_job(std::move(searching)), kCheckFailed);
  EXPECT_THAT(taken, ElementsAre("gemm/fp32/a/m:1/n:1/k:1 ",
                                 HasSubstr("gemm/fp32/b/m:1/n:1/k:1 wrong result"),
                                 "gemm/fp32/a/m:1/n:1/k:1 "));
  const Record record = read_record(file_);
  ASSERT_EQ(record.lines.size(), 3U);
  EXPECT_EQ(record.header_of(record.lines[0]).discipline.min_samples, 3);
  EXPECT_EQ(record.header_of(record.lines[2]).discipline.min_samples, Rules{}.min_samples);
}

TEST_F(HarnessTest, AResumedSearchLearnsFromTheRecord) {
  std::vector<std::string> taken;
  for (int time = 1; time <= 2; ++time) {
    Job searching = job({}, {"--resume"});
    searching.search = std::make_unique<FakeSearch>(std::vector{fake_case("a")}, taken);
    EXPECT_EQ(run_job(std::move(searching)), kFine);
    EXPECT_EQ(taken.size(), 2U * static_cast<std::size_t>(time));
    EXPECT_EQ(recorded().size(), 2U);
  }
  EXPECT_EQ(made_, 2);
}

TEST_F(HarnessTest, AResumedSearchLearnsNothingFromAnotherDevice) {
  std::vector<std::string> taken;
  for (const char* which : {"GPU-0", "GPU-1"}) {
    Job searching = job({}, {"--resume"});
    searching.target.device.details["uuid"] = which;
    searching.search = std::make_unique<FakeSearch>(std::vector{fake_case("a")}, taken);
    EXPECT_EQ(run_job(std::move(searching)), kFine);
  }
  EXPECT_EQ(made_, 4);
}

TEST_F(HarnessTest, AnInterruptEndsASearch) {
  int signal = 0;
  std::vector<std::string> taken;
  Job searching = job({});
  searching.search =
      std::make_unique<FakeSearch>(std::vector{fake_case("a"), fake_case("b")}, taken);
  searching.interrupted_by = [&signal] { return signal; };
  on_run_ = [&] {
    if (made_ == 2) signal = SIGINT;
  };
  EXPECT_EQ(run_job(std::move(searching)), 130);
  EXPECT_THAT(recorded(), ElementsAre("gemm/fp32/a/m:1/n:1/k:1"));
}

}  // namespace
}  // namespace trainmeter
