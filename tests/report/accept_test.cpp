// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Small fleets with one thing wrong; what the outputs say and what they don't let through.
#include "report/accept.hpp"

#include "accepted.hpp"
#include "fixtures.hpp"
#include "node_fleet.hpp"
#include <gmock/gmock.h>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

// 8 good nodes of 4 GPUs.
std::vector<Record> small_fleet() {
  return NodeFleetSampler({.nodes = 8, .gpus = 4, .bad_nodes = 0, .rounds = 0}, 7).draw().records;
}

Measurement& first_gemm(Record& record) {
  return record.lines.front().measurement;
}

Acceptance failing_named(const std::string& host) {
  auto fleet = small_fleet();
  for (Header& header : fleet[2].headers) header.host = host;
  first_gemm(fleet[2]).failure = "<\"bad\"> & \x01 $(reboot)";
  return accepted(fleet);
}

// A Hopper node's GEMM by three implementations, at rates (H200's, of the first two measured) that
// only the generic tensor-core kernel is below the documented floor with, and a triad.
Record three_backends() {
  Record record = small_fleet().front();
  record.headers.resize(1);
  record.lines.clear();
  const auto add = [&](const char* operation, const char* dtype, const char* backend, double rate) {
    Measurement m = {.session = record.headers.front().session, .operation = operation};
    m.name = fmt::format("{}/{}/{}/m:8192", operation, dtype, backend);
    m.dtype = dtype;
    m.backend = backend;
    if (m.operation == "gemm") m.shape = {{"m", 8192}, {"n", 8192}, {"k", 8192}};
    (m.operation == "gemm" ? m.flops : m.bytes) = rate;
    m.sms = 132;
    m.time_s = {1};
    m.verified = true;
    record.lines.push_back({m, 0, 0});
  };
  add("gemm", "bf16", "cublaslt", 700e12);
  add("gemm", "bf16", "hopper", 690e12);
  add("gemm", "bf16", "mma", 328e12);
  add("triad", "fp64", "cuda", 2.9e12);
  return record;
}

// The rules that docs/accepting.md shows.
std::string documented_rules() {
  const std::string page =
      slurp(std::filesystem::path(TRAINMETER_SOURCE_DIR) / "docs" / "accepting.md");
  const std::string fence = "```json\n";
  const std::size_t from = page.find(fence) + fence.size();
  return page.substr(from, page.find("```", from) - from);
}

AcceptRules rules_of(const std::string& text) {
  return read_accept_rules(write_text(text, "rules.json").string(), published_library());
}

std::string rules_refusal(const std::string& text) {
  return refusal([&] { (void)rules_of(text); });
}

}  // namespace

TEST(Accept, AGoodFleetPasses) {
  const Acceptance acceptance = accepted(small_fleet());
  EXPECT_FALSE(acceptance.failed());
  EXPECT_EQ(acceptance.nodes.size(), 8U);
  for (const Judged& j : acceptance.nodes) EXPECT_EQ(j.verdict, "pass") << j.name;
  EXPECT_EQ(to_drain_list(acceptance), "");
}

TEST(Accept, ASlowGpuIsNamed) {
  auto fleet = small_fleet();
  for (Line& line : fleet[5].lines) {
    if (line.session == 2) line.measurement.time_s = {1e-3 / 0.8};
  }
  const Acceptance acceptance = accepted(fleet);
  EXPECT_TRUE(acceptance.failed());
  EXPECT_EQ(node(acceptance, "n0005").verdict, "fail");
  EXPECT_EQ(node(acceptance, "n0005").reasons.front().part, "gpu GPU-5-2");
  EXPECT_EQ(node(acceptance, "n0005").reasons.front().kind, "slow");
  EXPECT_EQ(std::ranges::count(acceptance.nodes, "fail", &Judged::verdict), 1);
}

TEST(Accept, ASmallShortfallFailsNobody) {
  auto fleet = NodeFleetSampler({.nodes = 64, .spread = 0.0001, .bad_nodes = 0}, 7).draw().records;
  for (Line& line : fleet[5].lines) line.measurement.time_s.front() *= 1.015;
  EXPECT_FALSE(accepted(fleet).failed());
  EXPECT_TRUE(accepted(fleet, {.tolerance = 0.01}).failed());
}

TEST(Accept, AnErrorRowHeatAndALostGpuFail) {
  auto fleet = small_fleet();
  first_gemm(fleet[0]).failure = "wrong result";
  first_gemm(fleet[1]).throttle_reasons = {"hw_thermal_slowdown"};
  first_gemm(fleet[2]).throttle_reasons = {"sw_power_cap"};
  std::erase_if(fleet[3].lines, [](const Line& line) {
    return line.session == 3 && line.measurement.operation == "gemm";
  });
  const Acceptance acceptance = accepted(fleet);
  EXPECT_EQ(node(acceptance, "n0000").reasons.front().kind, "failed");
  EXPECT_EQ(node(acceptance, "n0001").reasons.front().kind, "throttled");
  EXPECT_EQ(node(acceptance, "n0002").verdict, "pass");
  EXPECT_EQ(node(acceptance, "n0003").reasons.front().kind, "missing");
  EXPECT_THAT(node(acceptance, "n0003").reasons.front().text, HasSubstr("measured on 3 of 4"));
}

TEST(Accept, APairThatIsSlowBetweenGoodNodesIsALink) {
  auto fleet = NodeFleetSampler({.nodes = 32, .bad_nodes = 0}, 7).draw().records;
  Line& line = fleet[9].lines.back();  // a pair that node 9 was first in
  ASSERT_TRUE(line.measurement.notes.contains("hosts"));
  line.measurement.time_s.front() *= 2;
  const Acceptance acceptance = accepted(fleet);
  EXPECT_EQ(std::ranges::count(acceptance.links, "fail", &Judged::verdict), 1);
  EXPECT_EQ(std::ranges::count(acceptance.nodes, "fail", &Judged::verdict), 0);
  EXPECT_TRUE(acceptance.failed());
}

TEST(Accept, AFleetTooSmallToCompareCannotTell) {
  auto fleet = small_fleet();
  fleet.resize(1);
  const Acceptance acceptance = accepted(fleet);
  EXPECT_EQ(acceptance.nodes.front().verdict, "cannot_tell");
  EXPECT_FALSE(acceptance.failed());
  EXPECT_FALSE(acceptance.judged_all());
  EXPECT_TRUE(acceptance.kinds.empty());
  EXPECT_THAT(acceptance.notes.front(), HasSubstr("16 parts needed, 4 there"));
  const std::string text = to_text(to_document(acceptance), TextStyle{});
  EXPECT_THAT(text, HasSubstr("1 node: 0 pass, 0 fail, 1 can't tell."));
  const auto counts = to_json(acceptance).at("counts");
  EXPECT_EQ(counts.at("nodes").dump(), R"({"pass":0,"fail":0,"cannot_tell":1})");
  EXPECT_EQ(counts.at("links").dump(), R"({"pass":0,"fail":0,"cannot_tell":0})");
  EXPECT_TRUE(accepted(small_fleet()).judged_all());
}

TEST(Accept, FloorsJudgeOneNodeAlone) {
  auto fleet = small_fleet();
  fleet.resize(1);  // its GEMMs run at about 1 PFLOP/s in bf16
  for (Line& line : fleet[0].lines) line.measurement.dtype = "bf16";
  const char* passed = R"({"system": "h100", "floors": [
      {"operation": "gemm", "dtype": "bf16", "share": 0.9}]})";
  const Acceptance good = accepted(fleet, rules_of(passed));
  EXPECT_EQ(good.nodes.front().verdict, "pass");
  const char* missed = R"({"floors": [{"operation": "gemm", "flops_per_s": 2e15}]})";
  const Acceptance bad = accepted(fleet, rules_of(missed));
  EXPECT_EQ(bad.nodes.front().reasons.front().kind, "below_floor");
  EXPECT_THAT(bad.nodes.front().reasons.front().text, HasSubstr(" TFLOP/s of a floor of 2.00 PF"));
}

TEST(Accept, AFloorIsHeldAgainstTheFastestBackend) {
  const Record record = three_backends();
  const Acceptance documented = accepted({record}, rules_of(documented_rules()));
  EXPECT_EQ(documented.nodes.front().verdict, "pass");
  const auto reasons = [&](const std::string& more) {
    const std::string rules =
        fmt::format(R"({{"floors": [{{"operation": "gemm", "flops_per_s": 6.95e14{}}}]}})", more);
    const Acceptance acceptance = accepted({record}, rules_of(rules));
    std::string names;
    for (const Reason& reason : acceptance.nodes.front().reasons)
      names += reason.text.substr(0, reason.text.find(':')) + " ";
    return names;
  };
  EXPECT_EQ(reasons(""), "");
  EXPECT_EQ(reasons(R"(, "backend": "cublaslt")"), "");
  EXPECT_EQ(reasons(R"(, "backend": "hopper")"), "gemm/bf16/hopper/m ");
  EXPECT_EQ(reasons(R"(, "backend": "mma")"), "gemm/bf16/mma/m ");
  EXPECT_THAT(refusal([&] { (void)reasons(R"(, "backend": "onednn")"); }),
              HasSubstr("found gemm onednn; the nearest is gemm/bf16/"));
  EXPECT_THAT(
      rules_refusal(R"({"floors": [{"operation": "gemm", "flops_per_s": 1, "backnd": "mma"}]})"),
      HasSubstr("backend"));
}

// Each start, and each problem, has to reach it: a slow one isn't hidden by another's speed.
TEST(Accept, AFloorIsHeldAgainstEveryStartAndEveryProblem) {
  Record record = three_backends();
  const auto failed = [&] {
    return accepted({record}, rules_of(documented_rules())).nodes.front().reasons.size();
  };
  record.lines.push_back(record.lines.front());
  EXPECT_EQ(failed(), 0U);
  record.lines.back().measurement.flops = 500e12;  // its median stays below that of `hopper`
  record.lines[1].measurement.flops = 500e12;      // which is slow now, and mma slower
  EXPECT_EQ(failed(), 1U);
  record.lines.back().measurement.layout = "tn";  // a problem of its own, by one backend
  EXPECT_EQ(failed(), 1U);
  record.lines.back().measurement.flops = 700e12;
  EXPECT_EQ(failed(), 0U);
}

TEST(Accept, AFloorThatIsAboutNothingIsRefused) {
  auto fleet = small_fleet();
  for (Record& record : fleet) {
    for (Line& line : record.lines) {
      Measurement& m = line.measurement;
      if (m.operation == "gemm") m.shape["m"] = std::stoi(m.name.substr(m.name.rfind('/') + 1));
      if (m.operation == "gemm") m.dtype = "bf16";
    }
  }
  const auto refused = [&](const char* floor) {
    const std::string text = fmt::format(R"({{"floors": [{}, {{"operation": "copy",
        "bytes_per_s": 1}}]}})",
                                         floor);
    return refusal([&] { (void)accepted(fleet, rules_of(text)); });
  };
  EXPECT_THAT(refused(R"({"operation": "gemm", "flops_per_s": 1, "shape": {"m": 9000}})"),
              HasSubstr("rules.json: floors[0]: expected a case that the records have a rate of, "
                        "found gemm m:9000; the nearest is gemm/bf16/8192"));
  EXPECT_THAT(refused(R"({"operation": "gemm", "dtype": "fp8", "flops_per_s": 1})"),
              HasSubstr("found gemm fp8; the nearest is gemm/bf16/"));
  EXPECT_THAT(refused(R"({"operation": "gemm", "flops_per_s": 1, "shape": {"M": 8192}})"),
              HasSubstr("found gemm M:8192"));
  EXPECT_THAT(refused(R"({"operation": "allreduce", "bytes_per_s": 1})"),
              HasSubstr("found allreduce; there are copy, gemm, peer_copy, triad"));
  EXPECT_EQ(refused(R"({"operation": "gemm", "flops_per_s": 1, "shape": {"m": 8192}})"),
            "nothing was refused");
  // A row that failed was asked for, and fails its node.
  for (Record& record : fleet) {
    for (Line& line : record.lines) {
      if (line.measurement.shape.contains("m")) line.measurement.failure = "wrong result";
    }
  }
  EXPECT_EQ(refused(R"({"operation": "gemm", "flops_per_s": 1, "shape": {"m": 8192}})"),
            "nothing was refused");
}

TEST(Accept, SharesAreOfTheSystemsFigures) {
  AcceptRules rules;
  rules.system = toy_gpu();
  rules.system->nvlink_bytes_per_s = 4e11;
  rules.system->nic_bytes_per_s = 5e10;
  const auto least = [&](Measurement m) {
    return *least_rate({.operation = m.operation, .share = 0.5}, rules, m);
  };
  Measurement m = {.operation = "gemm", .dtype = "bf16"};
  EXPECT_DOUBLE_EQ(least(m), 5e14);
  m = {.operation = "peer_copy"};
  EXPECT_DOUBLE_EQ(least(m), 2e11);
  m.shape["ways"] = 2;
  EXPECT_DOUBLE_EQ(least(m), 4e11);
  m = {.operation = "allreduce"};
  EXPECT_DOUBLE_EQ(least(m), 2e11);
  m.notes["hosts"] = "a b";
  EXPECT_DOUBLE_EQ(least(m), 2.5e10);
  m = {.operation = "copy"};
  EXPECT_THAT(refusal([&] { (void)least(m); }), HasSubstr("toy has no such figure"));
}

TEST(Accept, BadRulesAreRefused) {
  EXPECT_THAT(rules_refusal(R"({"tolerence": 0.1})"), HasSubstr("did you mean 'tolerance'?"));
  EXPECT_THAT(rules_refusal(R"({"tolerance": 1})"), HasSubstr("below 1"));
  EXPECT_THAT(rules_refusal(R"({"false_alarms": 0})"), HasSubstr("above 0"));
  EXPECT_THAT(rules_refusal(R"({"floors": [{"operation": "gemm", "share": 0.5}]})"),
              HasSubstr("system"));
  EXPECT_THAT(rules_refusal(R"({"floors": [{"operation": "gemm"}]})"), HasSubstr("one of share"));
  EXPECT_THAT(rules_refusal(R"({"floors": [{"operation": "gemm", "bytes_per_s": 1}]})"),
              HasSubstr("flops_per_s for this operation"));
  EXPECT_THAT(rules_refusal(R"({"floors": [{"operation": "gemmm", "flops_per_s": 1}]})"),
              HasSubstr("rules.json: floors[0].operation: expected an operation (did you mean "
                        "'gemm'?), found \"gemmm\""));
  EXPECT_THAT(rules_refusal(R"({"floors": [{"operation": "zzz", "flops_per_s": 1}]})"),
              HasSubstr("expected one of fma, gemm, "));
  EXPECT_THAT(
      rules_refusal(R"({"floors": [{"operation": "gemm", "dtype": "bf17", "flops_per_s": 1}]})"),
      HasSubstr("floors[0].dtype: expected one of fp64"));
  EXPECT_THAT(rules_refusal(R"({"throttle_reasons": ["sw_power_cap", "hw_thermal_slowdwn"]})"),
              HasSubstr("throttle_reasons: expected reasons that a record knows (did you mean "
                        "'hw_thermal_slowdown'?)"));
  EXPECT_THAT(rules_refusal(R"({"throttle_reasons": ["zz"]})"),
              HasSubstr("expected one of applications_clocks_setting, "));
}

TEST(Accept, NothingFromARecordReachesAShellOrBreaksXml) {
  const std::string drain = to_drain_list(failing_named("gpu-7.cluster"));
  EXPECT_THAT(drain, testing::StartsWith("gpu-7.cluster "));
  EXPECT_EQ(drain.find_first_of("$<>\"&;\x01`'"), std::string::npos) << drain;
  EXPECT_EQ(std::ranges::count(drain, '\n'), 1);
  for (const char* host : {"a;reboot", "-x", "a b", "", "$(id)", "a\nb"}) {
    EXPECT_THAT(refusal([&] { (void)to_drain_list(failing_named(host)); }),
                HasSubstr("expected the name of a node"))
        << host;
  }
  const std::string xml = to_junit(failing_named("a<b>&\"c"));
  EXPECT_THAT(xml, HasSubstr("name=\"a&lt;b&gt;&amp;&quot;c\""));
  EXPECT_THAT(xml, HasSubstr("failures=\"1\""));
  EXPECT_EQ(xml.find('\x01'), std::string::npos);
}

TEST(Accept, DrainReasonsAreCutAtAWord) {
  auto fleet = small_fleet();
  const std::string words = "the driver reset the device in the middle of this very measurement";
  for (std::size_t i = 0; i < 3; ++i) fleet[2].lines[i].measurement.failure = words;
  const std::string list = to_drain_list(accepted(fleet));
  const std::string drain = list.substr(0, list.find('\n'));
  EXPECT_THAT(drain, testing::StartsWith("n0002 "));
  EXPECT_THAT(drain, testing::EndsWith(" ..."));
  EXPECT_LE(drain.size(), std::string("n0002 ").size() + 200);
  const std::string last = drain.substr(0, drain.size() - std::string(" ...").size());
  EXPECT_THAT(" " + words + " ", HasSubstr(last.substr(last.rfind(' ')) + " ")) << drain;
}

TEST(Accept, JsonHoldsEveryVerdict) {
  const auto json = to_json(failing_named("gpu-7"));
  EXPECT_EQ(json.at("failed"), true);
  EXPECT_EQ(json.at("nodes").size(), 8U);
  EXPECT_EQ(json.at("nodes")[0].at("name"), "gpu-7");
  EXPECT_EQ(json.at("nodes")[0].at("reasons")[0].at("kind"), "failed");
}
