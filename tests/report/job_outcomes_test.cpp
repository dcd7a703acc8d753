// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Nodes and pairs of a Slurm job that left an exit code and no record.
#include "report/job_outcomes.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>

#include <fstream>

using namespace trainmeter;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

namespace {

namespace fs = std::filesystem;

void put_code(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text << "\n";
}

Record pair_record(const std::string& hosts, int ranks = 2) {
  Record record = small_cpu();
  record.lines.resize(1);
  Measurement& m = record.lines.front().measurement;
  m.operation = m.name = "allreduce";
  m.ranks = ranks;
  m.notes["hosts"] = hosts;
  return record;
}

// All pairs of n1 to n8 by their codes; records of those that aren't `dead`.
Acceptance fabric(const std::function<bool(int, int)>& dead) {
  JobOutcomes outcomes;
  std::vector<Record> records;
  for (int one = 1; one <= 8; ++one) {
    for (int other = one + 1; other <= 8; ++other) {
      outcomes.pairs[{fmt::format("n{}", one), fmt::format("n{}", other)}] =
          dead(one, other) ? 4 : 0;
      if (!dead(one, other)) records.push_back(pair_record(fmt::format("n{} n{}", one, other)));
    }
  }
  records.push_back(pair_record("n1 n2 n3 n4", 4));  // tells nothing of the pair n1, n4
  Absent absent;
  absent.expect(outcomes);
  FleetFacts facts{AcceptRules{}};
  for (const Record& record : records) {
    absent.strike(record);
    facts.add(record);
  }
  Acceptance acceptance = accept(facts);
  absent.fail(acceptance);
  return acceptance;
}

std::vector<std::string> failed(const std::vector<Judged>& judged) {
  std::vector<std::string> out;
  for (const Judged& j : judged) {
    if (j.verdict != "fail") continue;
    for (const Reason& r : j.reasons)
      out.push_back(fmt::format("{}: {}: {}: {}", j.name, r.part, r.kind, r.text));
  }
  return out;
}

}  // namespace

TEST(JobOutcomes, AreReadFromAJobsFolder) {
  const fs::path job = fs::path(testing::TempDir()) / "outcomes" / "7";
  fs::remove_all(job);
  fs::create_directories(job / "records");
  put_code(job / "nodes" / "n1", "0");
  put_code(job / "nodes" / "n2", "143");  // interrupted
  put_code(job / "nodes" / "n3", "3");
  put_code(job / "nodes" / "n4", "");
  put_code(job / "groups" / "n2+n10", "4");
  put_code(job / "groups" / "first-4", "4");
  std::ofstream(job / "record.jsonl") << "\n";
  const JobOutcomes outcomes = outcomes_of(job);
  EXPECT_THAT(outcomes.nodes, ElementsAre(Pair("n1", 0), Pair("n3", 3)));
  EXPECT_THAT(outcomes.pairs, ElementsAre(Pair(Pair("n10", "n2"), 4)));

  for (const fs::path& named : {job, job / "records", job / "records/", job / "record.jsonl"})
    EXPECT_EQ(job_folder_of(named), fs::canonical(job)) << named;
  for (const fs::path& other : {job / "nodes", job.parent_path(), job / "nosuch", fs::path()})
    EXPECT_EQ(job_folder_of(other), std::nullopt) << other;
}

TEST(JobOutcomes, ANodeWithoutARecordFails) {
  Absent absent;
  absent.expect({.nodes = {{"n1", 0}, {"n7", 3}}, .pairs = {}});
  Record record = small_cpu();
  for (Header& header : record.headers) header.host = "n1";
  FleetFacts facts{AcceptRules{}};
  absent.strike(record);
  facts.add(record);
  Acceptance acceptance = accept(facts);
  absent.fail(acceptance);
  EXPECT_THAT(failed(acceptance.nodes), ElementsAre("n7: node: missing: no record (exit code 3)"));
  EXPECT_TRUE(acceptance.failed());
  EXPECT_EQ(to_drain_list(acceptance), "n7 node: missing: no record (exit code 3)\n");
}

// What has a record fails no second time, a failed measurement included: it says why itself.
TEST(JobOutcomes, ANodeWithARecordIsntMissing) {
  Absent absent;
  Record record = small_cpu();
  for (Header& header : record.headers) header.host = "n1";
  record.lines.front().measurement.failure = "wrong result";
  record.lines.resize(1);
  absent.expect({.nodes = {{"n1", 1}}, .pairs = {}});
  absent.strike(record);
  Acceptance acceptance;
  absent.fail(acceptance);
  EXPECT_THAT(acceptance.nodes, IsEmpty());
}

TEST(JobOutcomes, APairThatDidntMeetIsALink) {
  const Acceptance acceptance = fabric([](int one, int other) { return one == 3 && other == 4; });
  EXPECT_THAT(failed(acceptance.nodes), IsEmpty());
  EXPECT_THAT(failed(acceptance.links),
              ElementsAre("n3 - n4: network: missing: no record (exit code 4)"));
  const Acceptance ends = fabric([](int one, int other) { return one == 1 && other == 4; });
  EXPECT_THAT(failed(ends.links),
              ElementsAre("n1 - n4: network: missing: no record (exit code 4)"));
}

TEST(JobOutcomes, ANodeThatMetNobodyFailsInPlaceOfItsPairs) {
  const Acceptance acceptance = fabric([](int one, int other) { return one == 3 || other == 3; });
  EXPECT_THAT(failed(acceptance.nodes),
              ElementsAre("n3: network: missing: no record of its 7 pairs (exit code 4)"));
  EXPECT_THAT(failed(acceptance.links), IsEmpty());
  EXPECT_EQ(std::ranges::count_if(acceptance.links,
                                  [](const Judged& j) {
                                    return j.verdict == "cannot_tell" &&
                                           j.name.find("n3") != std::string::npos;
                                  }),
            7);
}
