// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Words for sbatch, a job's plan and limit, and what the queue says of it and how often it is asked.
#include "report/slurm_job.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>

#include <vector>

using namespace trainmeter;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

namespace {

Site site_of(const std::string& text) {
  return read_site(write_text(text, "site.json"));
}

std::vector<std::string> words_for(const std::string& site) {
  JobRequest request;
  request.site = site_of(site);
  return sbatch_command(request);
}

std::vector<double> paces(QueuePace& pace, bool waiting, int times) {
  std::vector<double> out;
  for (int i = 0; i < times; ++i) out.push_back(pace.next(waiting).count());
  return out;
}

}  // namespace

TEST(SlurmJob, GpusAreAskedForByTheirCount) {
  EXPECT_THAT(words_for(R"({"gres": "gpu:h100", "gpus_per_node": 8})"),
              Contains("--gres=gpu:h100:8"));
  EXPECT_THAT(words_for(R"({"gpus_per_node": 4})"), Contains("--gres=gpu:4"));
  EXPECT_THAT(words_for(R"({"gres": "gpu:h100:8"})"), Contains("--gres=gpu:h100:8"));
  EXPECT_THAT(words_for("{}"), Not(Contains(StartsWith("--gres"))));
  EXPECT_THAT(refusal([] { (void)site_of(R"({"gres": "gpu:h100:8", "gpus_per_node": 8})"); }),
              HasSubstr("site.json: gres: expected gpus_per_node beside it, or a count"));
  for (const char* without : {"gpu", "gpu:h100", "gpu:"}) {
    EXPECT_THAT(refusal([&] { (void)site_of(fmt::format(R"({{"gres": "{}"}})", without)); }),
                HasSubstr("site.json: gres: expected gpus_per_node beside it, or a count"));
  }
}

TEST(SlurmJob, ASitesRulesLieBesideItsFile) {
  const std::string there = site_of(R"({"rules": "rules.json"})").rules;
  EXPECT_EQ(std::filesystem::path(there), std::filesystem::path(testing::TempDir()) / "rules.json");
  EXPECT_THAT(refusal([] { (void)site_of(R"({"rules": "../../rules.json"})"); }),
              HasSubstr("site.json: rules: expected"));
}

// The loops of fabric.sbatch, counted.
TEST(SlurmJob, TheFabricsPlanIsThatOfItsScript) {
  for (std::int64_t nodes = 2; nodes <= 300; ++nodes) {
    std::int64_t groups = 0;
    for (std::int64_t ranks = 4; ranks < 2 * nodes && nodes > 2; ranks *= 2) {
      ranks = std::min(ranks, nodes);
      ++groups;
    }
    const FabricPlan plan = fabric_plan(nodes);
    EXPECT_EQ(plan.rounds, nodes % 2 == 0 ? nodes - 1 : nodes);
    EXPECT_EQ(plan.groups, groups) << nodes;
    EXPECT_GT(60 * time_limit_minutes(plan.seconds()), plan.seconds() + 60) << nodes;
  }
  EXPECT_EQ(fabric_plan(32).seconds(), (31 + 4) * 60);
}

TEST(SlurmJob, AnArrayRunsWhereOneOfItsTasksDoes) {
  EXPECT_EQ(state_of_job("PENDING Resources\nRUNNING None\nRUNNING None\n"), "RUNNING");
  EXPECT_EQ(state_of_job("PENDING Resources\n"), "PENDING (Resources)");
  EXPECT_EQ(state_of_job("COMPLETING None\nPENDING Priority\n"), "COMPLETING");
  EXPECT_EQ(state_of_job(""), "");
  EXPECT_EQ(state_of_job("\n"), "");
  EXPECT_TRUE(waits("PENDING (Resources)"));
  EXPECT_TRUE(waits("unknown, the queue does not answer"));
  EXPECT_FALSE(waits("RUNNING"));
  EXPECT_FALSE(waits("COMPLETING"));
}

TEST(SlurmJob, TheQueueIsAskedLessAndLess) {
  QueuePace pace;
  EXPECT_THAT(paces(pace, true, 8), ElementsAre(2, 4, 8, 16, 32, 60, 60, 60));
  EXPECT_THAT(paces(pace, false, 5), ElementsAre(2, 4, 8, 10, 10));
  EXPECT_THAT(paces(pace, true, 3), ElementsAre(2, 4, 8));
  QueuePace quick("0.5");
  EXPECT_THAT(paces(quick, true, 2), ElementsAre(0.5, 0.5));
  QueuePace slow("300");  // never slower than without it
  EXPECT_THAT(paces(slow, false, 5), ElementsAre(2, 4, 8, 10, 10));
  for (const char* wrong : {"0", "-1", "x", "1s", "nan", "inf", "1e9"}) {
    EXPECT_THAT(refusal([&] { QueuePace bad(wrong); }),
                HasSubstr("TRAINMETER_POLL_SECONDS: expected seconds above 0, found"))
        << wrong;
  }
}
