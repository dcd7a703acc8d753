// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Secrets in every text of a record, and none of them in what is given away.
#include "record/anonymise.hpp"

#include "record/names.hpp"

#include "example_lines.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <set>

using namespace trainmeter;
using testing::HasSubstr;
using testing::Not;

namespace {

Record record_of(const std::string& text) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();  // others run meanwhile
  const auto file = std::filesystem::path(testing::TempDir()) /
                    (std::string("anonymise_") + test->name() + ".jsonl");
  std::ofstream(file) << text;
  return read_record(file);
}

std::string sample_text() {
  Header header = sample_header();
  header.device.details["uuid"] = "GPU-1234";
  Measurement m = sample_measurement();
  m.notes["hosts"] = "n1 n2";
  m.notes["data"] = "zeros";
  m.notes["device"] = "GPU-1234";
  return to_json_line(header) + "\n" + to_json_line(m) + "\n";
}

// Every text and every key of a map, one after the other.
void visit_texts(nlohmann::json& json, const std::function<void(nlohmann::json&)>& visit) {
  if (json.is_string()) visit(json);
  if (!json.is_structured()) return;
  for (auto& child : json) visit_texts(child, visit);
}

}  // namespace

TEST(Anonymise, NoTextThatIsNotKnownSurvives) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(sample_text());
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  int planted = 0;
  for (auto& line : lines) {
    std::vector<nlohmann::json*> texts;
    visit_texts(line, [&](nlohmann::json& found) { texts.push_back(&found); });
    for (nlohmann::json* found : texts) {
      const nlohmann::json before = *found;
      for (const char* secret :
           {"alice@node17", "/home/alice/node17/x", "GPU-alicenode17", "node17.alice.example"}) {
        *found = before.get<std::string>() + secret;
        std::string planted_text;
        for (const auto& l : lines) planted_text += l.dump() + "\n";
        try {
          const std::string out = to_text(anonymised(record_of(planted_text), "salt"));
          EXPECT_THAT(out, Not(HasSubstr("alice"))) << before;
          EXPECT_THAT(out, Not(HasSubstr("node17"))) << before;
          ++planted;
        } catch (const std::exception&) {  // a text that the reader itself doesn't let through
        }
      }
      *found = before;
    }
  }
  EXPECT_GT(planted, 100);
}

TEST(Anonymise, UnknownKeysOfMapsAreLeftOut) {
  Header header = sample_header();
  header.environment["MY_TOKEN"] = header.software["secret"] = header.device.details["serial"] =
      "alice";
  Measurement m = sample_measurement();
  m.notes["alice"] = "1";
  m.shape["alice"] = 1;
  const std::string out =
      to_text(anonymised(record_of(to_json_line(header) + "\n" + to_json_line(m) + "\n"), "salt"));
  EXPECT_THAT(out, Not(HasSubstr("alice")));
  EXPECT_THAT(out, Not(HasSubstr("MY_TOKEN")));
}

TEST(Anonymise, TheResultIsARecordOfTheSameMeasurements) {
  const Record before = record_of(sample_text());
  const Record after = record_of(to_text(anonymised(before, "salt")));
  const Measurement& m = after.lines.at(0).measurement;
  EXPECT_EQ(m.name, before.lines[0].measurement.name);
  EXPECT_EQ(m.paired_with, before.lines[0].measurement.paired_with);
  EXPECT_EQ(m.time_s, before.lines[0].measurement.time_s);
  EXPECT_EQ(m.throttle_reasons, before.lines[0].measurement.throttle_reasons);
  EXPECT_EQ(m.notes.at("data"), "zeros");
  EXPECT_EQ(after.headers.at(0).started_at, before.headers[0].started_at);
  EXPECT_EQ(after.headers[0].environment, before.headers[0].environment);
}

// What `accept` needs beside the rates.
TEST(Anonymise, ARowsDeviceAndTheTimeOfAListStay) {
  Header header = sample_header();
  header.device.details["uuid"] = "GPU-1234";
  header.command = {"/home/alice/bin/memory_bench", "--out=alice", "--max_seconds=120"};
  Measurement m = sample_measurement();
  m.notes["device"] = "GPU-1234";
  Measurement on_cores = m;
  on_cores.notes["device"] = "cores 0-31,64";
  const Record after =
      anonymised({.headers = {header}, .lines = {{m, 0, 0}, {on_cores, 0, 0}}}, "salt");
  EXPECT_EQ(after.headers[0].command.back(), "--max_seconds=120");
  EXPECT_EQ(after.headers[0].command.size(), 2U);
  EXPECT_EQ(after.lines[0].measurement.notes.at("device"),
            after.headers[0].device.details.at("uuid"));
  EXPECT_EQ(after.lines[1].measurement.notes.at("device"), "cores 0-31,64");
  header.command = {"memory_bench", "--max_seconds", "60"};
  header.device.details["concurrent"] = "GPU-1234 GPU-5678";
  m.notes["in_turn"] = "layer";
  const Record again = anonymised({.headers = {header}, .lines = {{m, 0, 0}}}, "salt");
  EXPECT_EQ(again.headers[0].command.back(), "--max_seconds=60");
  EXPECT_TRUE(again.headers[0].device.details.contains("concurrent"));
  EXPECT_EQ(again.lines[0].measurement.notes.at("in_turn"), "layer");
}

TEST(Anonymise, PseudonymsAreTheSameForTheSameHostAndSalt) {
  Header a = sample_header("a"), b = sample_header("b"), c = sample_header("c");
  c.host = "another";
  const Record record{.headers = {a, b, c}};
  const Record with = anonymised(record, "salt"), again = anonymised(record, "salt"),
               other = anonymised(record, "pepper");
  EXPECT_EQ(with.headers[0].host, with.headers[1].host);
  EXPECT_NE(with.headers[0].host, with.headers[2].host);
  EXPECT_EQ(with.headers[0].host, again.headers[0].host);
  EXPECT_NE(with.headers[0].host, other.headers[0].host);
  EXPECT_NE(with.headers[0].session, with.headers[1].session);
}

TEST(Anonymise, NamesOfProductsStay) {
  for (const char* name : {"NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "NVIDIA H100 PCIe",
                           "Intel(R) Xeon(R) Processor", "AMD EPYC 7763 64-Core Processor"}) {
    Header header = sample_header();
    header.device.name = name;
    EXPECT_EQ(anonymised({.headers = {header}}, "salt").headers[0].device.name, name);
  }
}
