// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Who is compared with whom: fleets of several models and sizes of nodes, all devices of a node in
// one record, lists of cases that --max_seconds ended, and comparisons too coarse to vouch.
#include "record/anonymise.hpp"

#include "accepted.hpp"
#include "fixtures.hpp"
#include "node_fleet.hpp"
#include <gmock/gmock.h>

using namespace trainmeter;
using testing::Contains;
using testing::HasSubstr;

namespace {

std::vector<Record> good_fleet(int nodes, double spread = 0.004) {
  return NodeFleetSampler({.nodes = nodes, .spread = spread, .bad_nodes = 0, .rounds = 0}, 7)
      .draw()
      .records;
}

bool of_gpu(const Line& line, std::size_t gpu) {
  const Measurement& m = line.measurement;
  return line.session == gpu && m.operation != "peer_copy";
}

void slow_down(Record& record, std::size_t gpu, double factor) {
  for (Line& line : record.lines) {
    if (of_gpu(line, gpu)) line.measurement.time_s.front() *= factor;
  }
}

// Another model, with other rates.
void make_a100(Record& record) {
  for (Header& header : record.headers) {
    header.device.name = "Old";
    header.device.sms = 108;
  }
  for (Line& line : record.lines) {
    line.measurement.sms = 108;
    line.measurement.time_s.front() *= 3;
  }
}

void keep_gpus(Record& record, std::int64_t gpus) {
  std::erase_if(record.lines, [&](const Line& line) {
    const Measurement& m = line.measurement;
    if (m.operation == "peer_copy") return m.shape.at("from") >= gpus || m.shape.at("to") >= gpus;
    return static_cast<std::int64_t>(line.session) >= gpus;
  });
}

std::string failing(const Acceptance& acceptance) {
  std::string out;
  for (const Judged& j : acceptance.nodes) {
    if (j.verdict == "fail") out += j.name + " ";
  }
  return out;
}

std::string verdicts(const Acceptance& acceptance) {
  std::string out;
  for (const Judged& j : acceptance.nodes) out += j.verdict + " ";
  return out;
}

// 8 GPUs by one program, which writes each GPU's rows under the header of the first.
std::vector<Record> concurrent_fleet(int nodes) {
  std::vector<Record> fleet = good_fleet(nodes);
  for (Record& record : fleet) {
    std::erase_if(record.lines,
                  [](const Line& line) { return line.measurement.operation == "peer_copy"; });
    for (Line& line : record.lines) {
      Measurement& m = line.measurement;
      m.shape["device"] = static_cast<std::int64_t>(line.session);
      m.name += fmt::format("/device:{}", line.session);
      m.notes["device"] = record.headers[line.session].device.details.at("uuid");
      m.session = record.headers.front().session;
      line.session = 0;
    }
    record.headers.resize(1);
    record.headers.front().device.details["concurrent"] = "0: GPU-a; 1: GPU-b";
  }
  return fleet;
}

// Links of node 2 that its transfers step didn't come to, which was given 120 s and ended so many
// seconds after its begin.
std::vector<Record> without_last_links(int seconds) {
  std::vector<Record> fleet = good_fleet(8);
  for (Record& record : fleet) {
    Header own = record.headers.front();
    own.session = own.program = "memory_bench";
    own.command = {"memory_bench", "--max_seconds=120"};
    own.started_at = "2026-11-27T10:59:30Z";
    record.headers.push_back(own);
    for (Line& line : record.lines) {
      if (line.measurement.operation != "peer_copy") continue;
      line.session = record.headers.size() - 1;
      line.measurement.at =
          fmt::format("2026-11-27T11:{:02}:{:02}Z", (seconds - 30) / 60, (seconds - 30) % 60);
    }
  }
  std::erase_if(fleet[2].lines, [](const Line& line) {
    const Measurement& m = line.measurement;
    return m.operation == "peer_copy" && m.shape.at("from") > 4;
  });
  return fleet;
}

}  // namespace

TEST(AcceptFleet, AComparisonThatIsTooCoarseVouchesForNobody) {
  auto fleet = good_fleet(2);
  for (std::size_t gpu = 0; gpu < 8; ++gpu) slow_down(fleet[1], gpu, 1 / 0.75);
  const Acceptance coarse = accepted(fleet);
  EXPECT_EQ(verdicts(coarse), "cannot_tell cannot_tell ");
  EXPECT_FALSE(coarse.judged_all());
  EXPECT_THAT(coarse.notes, Contains(HasSubstr("compute (Toy, 132 SMs): a spread of 4")));
  EXPECT_THAT(coarse.notes, Contains(HasSubstr("more than a quarter of them may be bad")));
  // Links were compared well enough, which says nothing of GEMMs.
  EXPECT_THAT(coarse.notes, testing::Not(Contains(HasSubstr("link ("))));
  EXPECT_EQ(verdicts(accepted(fleet, {.must_find = 1})), "pass pass ");
}

// As if they weren't compared: what else was vouches.
TEST(AcceptFleet, AComparisonOfTooFewPartsLeavesTheVerdictToOthers) {
  auto fleet = good_fleet(2, 0.02);
  const Acceptance few = accepted(fleet);
  EXPECT_EQ(verdicts(few), "pass pass ");
  EXPECT_THAT(few.notes, Contains(testing::AllOf(testing::StartsWith("compute (Toy, 132 SMs)"),
                                                 HasSubstr("they are too few"))));
  for (Record& record : fleet) {
    std::erase_if(record.lines,
                  [](const Line& line) { return line.measurement.operation == "peer_copy"; });
  }
  const Acceptance alone = accepted(fleet);
  EXPECT_EQ(verdicts(alone), "cannot_tell cannot_tell ");
  EXPECT_THAT(alone.notes, Contains(HasSubstr("who can't be judged was in no comparison")));
}

TEST(AcceptFleet, AFloorVouchesWhereAComparisonIsTooCoarse) {
  auto fleet = good_fleet(2);
  for (std::size_t gpu = 0; gpu < 8; ++gpu) slow_down(fleet[1], gpu, 1 / 0.75);
  AcceptRules rules;
  rules.floors = {{.operation = "gemm", .flops_per_s = 0.9e15}};
  EXPECT_EQ(verdicts(accepted(fleet, rules)), "cannot_tell fail ");  // memory is open
  rules.floors.push_back({.operation = "copy", .bytes_per_s = 0.9e12});
  EXPECT_EQ(verdicts(accepted(fleet, rules)), "pass fail ");
}

TEST(AcceptFleet, DevicesAreComparedWithTheirOwnModel) {
  auto fleet = good_fleet(32);
  for (std::size_t n = 28; n < 32; ++n) make_a100(fleet[n]);
  const Acceptance good = accepted(fleet);
  EXPECT_EQ(failing(good), "");
  EXPECT_TRUE(good.judged_all());
  EXPECT_THAT(good.notes,
              Contains(HasSubstr("2 models of a gpu: Old, 108 SMs (4 nodes); Toy, 132 SMs (28 ")));
  for (std::size_t n = 24; n < 28; ++n) make_a100(fleet[n]);
  slow_down(fleet[3], 5, 1 / 0.9);
  slow_down(fleet[9], 1, 1 / 0.7);
  slow_down(fleet[30], 2, 1 / 0.9);
  EXPECT_EQ(failing(accepted(fleet)), "n0003 n0009 n0030 ");
}

TEST(AcceptFleet, OneNodeOfItsModelIsNotJudgedByTheOthers) {
  auto fleet = good_fleet(8);
  make_a100(fleet[3]);
  std::erase_if(fleet[3].lines, [](const Line& line) {  // 4 GPUs and no links: too few to compare
    return line.session > 3 || line.measurement.operation == "peer_copy";
  });
  const Acceptance acceptance = accepted(fleet);
  EXPECT_EQ(failing(acceptance), "");
  EXPECT_EQ(node(acceptance, "n0003").verdict, "cannot_tell");
  EXPECT_THAT(acceptance.notes, Contains(HasSubstr("who can't be judged")));
}

TEST(AcceptFleet, ALostGpuFailsAndASmallerNodeDoesNot) {
  auto fleet = good_fleet(32);
  for (std::size_t n = 26; n < 32; ++n) keep_gpus(fleet[n], 4);
  const Acceptance good = accepted(fleet);
  EXPECT_EQ(failing(good), "");
  EXPECT_THAT(good.notes,
              Contains(HasSubstr("Toy, 132 SMs: nodes are taken to be built with 4 (n0026, n0027, "
                                 "n0028, n0029, n0030, n0031) or 8 (26 nodes)")));
  keep_gpus(fleet[1], 7);
  keep_gpus(fleet[28], 3);
  const Acceptance lost = accepted(fleet);
  EXPECT_EQ(failing(lost), "n0001 n0028 ");
  EXPECT_EQ(node(lost, "n0001").reasons.size(), 1U);
  EXPECT_EQ(node(lost, "n0001").reasons.front().text, "Toy, 132 SMs: measured on 7 of 8");
  EXPECT_EQ(node(lost, "n0028").reasons.front().text, "Toy, 132 SMs: measured on 3 of 4");
  // One GPU lost on each of five nodes isn't how they were built; nor is one node with half.
  fleet = good_fleet(32);
  for (std::size_t n = 0; n < 5; ++n) keep_gpus(fleet[n], 7);
  keep_gpus(fleet[9], 4);
  EXPECT_EQ(failing(accepted(fleet)), "n0000 n0001 n0002 n0003 n0004 n0009 ");
  // Three quarters of eight nodes are six.
  fleet = good_fleet(8);
  for (std::size_t n = 0; n < 2; ++n) keep_gpus(fleet[n], 7);
  EXPECT_EQ(failing(accepted(fleet)), "n0000 n0001 ");
}

TEST(AcceptFleet, ANodeThatMeasuredNothingIsMissingOnce) {
  auto fleet = good_fleet(8);
  for (std::size_t n = 6; n < 8; ++n) make_a100(fleet[n]);
  Measurement pair = {.operation = "allreduce", .ranks = 2};
  pair.session = fleet[0].headers.front().session;
  pair.bytes = 1e9;
  pair.sms = 132;
  pair.time_s = {1};
  pair.verified = true;
  pair.notes["hosts"] = "n0000 n0099";
  fleet[0].lines.push_back({pair, 0, 0});
  const Acceptance acceptance = accepted(fleet);
  EXPECT_EQ(failing(acceptance), "n0099 ");
  ASSERT_EQ(node(acceptance, "n0099").reasons.size(), 1U);
  EXPECT_EQ(node(acceptance, "n0099").reasons.front().text, "Toy, 132 SMs: measured on 0 of 8");
}

TEST(AcceptFleet, PairsAreComparedWithPairsOfTheSameModels) {
  auto fleet = NodeFleetSampler({.nodes = 48, .spread = 0.004, .bad_nodes = 0, .rounds = 8}, 7)
                   .draw()
                   .records;
  std::set<std::string> old;
  for (std::size_t n = 36; n < 48; ++n) old.insert(fleet[n].headers.front().host);
  for (Record& record : fleet) {
    const bool is_old = old.contains(record.headers.front().host);
    if (is_old) make_a100(record);
    for (Line& line : record.lines) {
      const auto hosts = line.measurement.notes.find("hosts");
      if (hosts == line.measurement.notes.end()) continue;
      const std::string other = hosts->second.substr(hosts->second.find(' ') + 1);
      if (!is_old && old.contains(other)) line.measurement.time_s.front() *= 3;
    }
  }
  const Acceptance acceptance = accepted(fleet);
  EXPECT_EQ(failing(acceptance), "");
  EXPECT_EQ(std::ranges::count(acceptance.links, "fail", &Judged::verdict), 0);
}

TEST(AcceptFleet, ABurstIsNotComparedWithALongRun) {
  auto fleet = good_fleet(8);
  for (std::size_t n = 0; n < 8; ++n) {
    for (Header& header : fleet[n].headers)
      header.discipline.regime = n < 1 ? "sustained" : "burst";
    for (std::size_t gpu = 0; n < 1 && gpu < 8; ++gpu) slow_down(fleet[n], gpu, 1.2);
  }
  for (const Judged& j : accepted(fleet).nodes) {
    for (const Reason& reason : j.reasons) EXPECT_NE(reason.kind, "slow") << j.name << reason.text;
  }
}

TEST(AcceptFleet, EachDeviceOfAConcurrentRunIsAPart) {
  auto fleet = concurrent_fleet(8);
  for (Line& line : fleet[5].lines) {
    if (line.measurement.shape.at("device") == 6) line.measurement.time_s.front() /= 0.8;
  }
  for (const bool anonymous : {false, true}) {
    if (anonymous) {
      for (Record& record : fleet) record = anonymised(record, "salt");
    }
    const Acceptance acceptance = accepted(fleet);
    ASSERT_EQ(std::ranges::count(acceptance.nodes, "fail", &Judged::verdict), 1);
    const auto bad = std::ranges::find(acceptance.nodes, "fail", &Judged::verdict);
    EXPECT_EQ(bad->reasons.front().kind, "slow");
    EXPECT_THAT(bad->reasons.front().part,
                testing::StartsWith(anonymous ? "gpu gpu-" : "gpu GPU-5-6"));
    EXPECT_THAT(bad->reasons.back().text, testing::Not(HasSubstr("device:")));
    const auto compute = std::ranges::find(acceptance.kinds, "compute", &ComparedKind::kind);
    ASSERT_NE(compute, acceptance.kinds.end());
    EXPECT_EQ(compute->comparisons, 64U);
  }
}

TEST(AcceptFleet, AFailureOfAConcurrentRunIsNotTheFirstDevices) {
  auto fleet = concurrent_fleet(8);
  const auto of_device_6 = [](const Line& line) {
    return line.measurement.shape.at("device") == 6;
  };
  Measurement& m = std::ranges::find_if(fleet[5].lines, of_device_6)->measurement;
  m.failure = "device 6 (GPU-5-6): wrong result";
  const Acceptance named = accepted(fleet);
  EXPECT_EQ(node(named, "n0005").reasons.front().part, "gpu GPU-5-6");
  EXPECT_EQ(node(named, "n0005").reasons.front().kind, "failed");
  m.shape.erase("device");  // as in older records
  m.notes.erase("device");
  const Acceptance acceptance = accepted(fleet);
  EXPECT_EQ(node(acceptance, "n0005").reasons.front().part, "all devices at once");
}

TEST(AcceptFleet, CasesThatTimeWasUpForAreNotMissing) {
  EXPECT_EQ(failing(accepted(without_last_links(121))), "");
  // It ended by itself, long before.
  const Acceptance early = accepted(without_last_links(60));
  EXPECT_EQ(failing(early), "n0002 ");
  EXPECT_THAT(node(early, "n0002").reasons.front().text,
              testing::AllOf(HasSubstr("peer_copy"), HasSubstr("measured on 0 of 1")));
  auto separate = without_last_links(60);
  for (Record& record : separate)
    record.headers.back().command = {"memory_bench", "--max_seconds", "60"};
  EXPECT_EQ(failing(accepted(separate)), "");
  // So is a lost GPU in a program that was cut short on every node.
  auto cut = without_last_links(121);
  for (Record& record : cut) {
    for (Header& header : record.headers) {
      header.command = {header.program, "--max_seconds=120"};
      header.started_at = "2026-11-27T10:59:30Z";
    }
    for (Line& line : record.lines) line.measurement.at = "2026-11-27T11:01:31Z";
  }
  EXPECT_EQ(failing(accepted(cut)), "");
  keep_gpus(cut[4], 7);
  EXPECT_EQ(failing(accepted(cut)), "n0004 ");
  // Others' eyes see as much of an anonymous record.
  for (Record& record : cut) record = anonymised(record, "salt");
  EXPECT_EQ(std::ranges::count(accepted(cut).nodes, "fail", &Judged::verdict), 1);
}
