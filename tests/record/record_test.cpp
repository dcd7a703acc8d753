// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A record written is the record read; what is bad is refused with file, line, key.
#include "record/record.hpp"

#include "record/error.hpp"

#include "example_lines.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <fstream>
#include <limits>
#include <stdexcept>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

std::filesystem::path write_lines(const std::string& text) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  auto file = std::filesystem::path(testing::TempDir()) /
              (std::string("record_") + test->name() + ".jsonl");
  std::ofstream(file, std::ios::binary) << text;
  return file;
}

std::string refusal_of(const std::filesystem::path& file) {
  try {
    (void)read_record(file);
  } catch (const BadInput& error) {
    return std::string(error.what()).substr(file.string().size());
  }
  return "nothing was refused";
}

std::string refusal(const std::string& text) {
  return refusal_of(write_lines(text));
}

std::string replaced(std::string line, const std::string& from, const std::string& to) {
  const auto at = line.find(from);
  EXPECT_NE(at, std::string::npos) << from << " in " << line;
  return line.replace(at, from.size(), to);
}

const std::string kHeader = to_json_line(sample_header()) + "\n";
const std::string kLine = to_json_line(sample_measurement()) + "\n";

}  // namespace

TEST(Record, RecordsFromBeforeTheStopRuleAreRead) {
  auto header = nlohmann::json::parse(kHeader);
  for (const char* key : {"regime", "target", "max_time_s"}) header["discipline"].erase(key);
  auto line = nlohmann::json::parse(kLine);
  for (const char* key :
       {"stopped", "marks", "probes", "energy_j", "energy_steps", "stretches", "notes"})
    line.erase(key);
  const Record record = read_record(write_lines(header.dump() + "\n" + line.dump() + "\n"));
  EXPECT_TRUE(record.lines.at(0).measurement.usable());
  EXPECT_TRUE(record.lines[0].measurement.marks.empty());
  EXPECT_EQ(record.headers.at(0).discipline.target, 0);
}

TEST(Record, MarksAreOfItsSamples) {
  EXPECT_THAT(refusal(kHeader + replaced(kLine, "\"last\":2", "\"last\":3")),
              HasSubstr("marks[0].last: expected a sample from 1 to 2"));
  EXPECT_THAT(
      refusal(kHeader + replaced(kLine, "\"first\":1,\"last\":2", "\"first\":2,\"last\":1")),
      HasSubstr("marks[0].last"));
  EXPECT_THAT(
      refusal(kHeader + replaced(kLine, "\"first\":2,\"last\":2", "\"first\":2,\"last\":3")),
      HasSubstr("stretches[1].last: expected a sample from 2 to 2"));
  EXPECT_THAT(refusal(kHeader + replaced(kLine, "\"copy_s\":0.00025", "\"copy_s\":0")),
              HasSubstr("probes[0].copy_s"));
}

TEST(Record, RoundTripKeepsEveryField) {
  const Record record = read_record(write_lines(kHeader + kLine));
  ASSERT_EQ(record.headers.size(), 1U);
  ASSERT_EQ(record.lines.size(), 1U);
  EXPECT_TRUE(record.warnings.empty());
  EXPECT_EQ(to_json_line(record.headers[0]) + "\n", kHeader);
  EXPECT_EQ(to_json_line(record.lines[0].measurement) + "\n", kLine);
  EXPECT_EQ(record.lines[0].line, 2U);
  EXPECT_EQ(record.lines[0].measurement.time_s, sample_measurement().time_s);  // to the last bit
  EXPECT_TRUE(record.lines[0].measurement.usable());
}

// As of a command line, a variable or a file's name in a failure.
TEST(Record, BytesThatAreNoTextAreReplaced) {
  Header header = sample_header();
  header.command = {"gemm_bench", "--out=\xff.jsonl"};
  header.environment["NCCL_\xfe"] = "caf\xe9";
  Measurement wrong = sample_measurement();
  wrong.failure = "caf\xe9: no such file";
  const Record record =
      read_record(write_lines(to_json_line(header) + "\n" + to_json_line(wrong) + "\n"));
  EXPECT_EQ(record.headers.at(0).command.at(1), "--out=\ufffd.jsonl");
  EXPECT_EQ(record.headers[0].environment.at("NCCL_\ufffd"), "caf\ufffd");
  EXPECT_EQ(record.lines.at(0).measurement.failure, "caf\ufffd: no such file");
}

TEST(Record, ALineCutOffIsReportedAndDropped) {
  const Record record = read_record(write_lines(kHeader + kLine + kLine.substr(0, 40)));
  EXPECT_EQ(record.lines.size(), 1U);
  ASSERT_EQ(record.warnings.size(), 1U);
  EXPECT_THAT(record.warnings[0], HasSubstr(":3: the last line was cut off"));
}

TEST(Record, BadLinesNameLineKeyAndWhatWasExpected) {
  EXPECT_EQ(
      refusal(kHeader + replaced(kLine, "\"dtype\":\"fp32\"", "\"dtype\":\"fp31\"")).substr(0, 26),
      ":2: dtype: expected one of");
  EXPECT_EQ(refusal(kHeader + replaced(kLine, "\"flops\"", "\"flop\"")),
            ":2: flops: missing (there is 'flop')");
  EXPECT_THAT(refusal(kHeader + replaced(kLine, "\"ranks\":1", "\"ranks\":-1")),
              HasSubstr(":2: ranks: expected a whole number of at least 1, found -1"));
  EXPECT_THAT(refusal(kHeader + replaced(kLine, "\"ranks\":1", "\"ranks\":1,\"rank\":0")),
              HasSubstr(":2: rank: unknown key (did you mean 'ranks'?)"));
  EXPECT_THAT(refusal(kHeader + replaced(kLine, "\"m\":64", "\"m\":0")),
              HasSubstr(":2: shape.m: expected"));
  EXPECT_THAT(refusal(kHeader + replaced(kLine, "0.001", "-0.001")),
              HasSubstr(":2: time_s: expected numbers above 0"));
  EXPECT_EQ(refusal(kHeader + replaced(kLine, "\"m\":64", "\"m\":64,\"m\":65")),
            ":2: m: the key stands twice in one object");
  EXPECT_EQ(refusal(replaced(kHeader, "\"host\"", "\"host\":\"a\",\"host\"")),
            ":1: host: the key stands twice in one object");
  EXPECT_THAT(refusal(kHeader + "garbage\n" + kLine), HasSubstr(":2: not JSON"));
  EXPECT_THAT(
      refusal(replaced(kHeader, "\"schema\":1", "\"schema\":99")),
      HasSubstr(
          ":1: schema: expected 1, which this program reads; schema 99 needs a newer trainmeter"));
}

TEST(Record, PlacesAreCountedFromZeroAndSizesAreNot) {
  const std::string line =
      replaced(kLine, "\"m\":64", "\"node\":0,\"from\":0,\"to\":1,\"pinned\":0");
  const Record record = read_record(write_lines(kHeader + line));
  ASSERT_EQ(record.lines.size(), 1U);
  EXPECT_EQ(record.lines[0].measurement.shape.at("node"), 0);
  EXPECT_EQ(record.lines[0].measurement.shape.at("to"), 1);
  EXPECT_THAT(refusal(kHeader + replaced(kLine, "\"m\":64", "\"node\":-1")),
              HasSubstr(":2: shape.node: expected"));
  EXPECT_THAT(refusal(kHeader + replaced(kLine, "\"m\":64", "\"threads\":0")),
              HasSubstr(":2: shape.threads: expected"));
}

TEST(Record, MeasurementsNeedTheirHeader) {
  EXPECT_THAT(refusal(kLine), HasSubstr(":1: session: expected the session of a header above"));
  EXPECT_THAT(refusal(""), HasSubstr("it has no header line"));
  EXPECT_THAT(refusal(kHeader + kHeader),
              HasSubstr(":2: session: expected a session that no earlier header has"));
  EXPECT_THROW((void)read_record("/no/such/record.jsonl"), BadInput);
}

TEST(Record, AnErrorRowNeedsNoSamplesButAReason) {
  Measurement wrong = sample_measurement();
  wrong.time_s.clear();
  wrong.marks.clear();
  wrong.stretches.clear();
  wrong.verified = false;
  EXPECT_THAT(refusal(kHeader + to_json_line(wrong) + "\n"), HasSubstr("time_s"));
  wrong.failure = "wrong result: NaN at row 3";
  wrong.error = std::numeric_limits<double>::quiet_NaN();
  const Record record = read_record(write_lines(kHeader + to_json_line(wrong) + "\n"));
  EXPECT_FALSE(record.lines[0].measurement.usable());
  EXPECT_FALSE(record.lines[0].measurement.error < 1);
}

TEST(Record, NoNumberThatJsonCannotSay) {
  Measurement m = sample_measurement();
  m.time_s.push_back(std::numeric_limits<double>::infinity());
  EXPECT_THROW((void)to_json_line(m), std::invalid_argument);
}

TEST(Record, ALineWithoutEndIsRefusedEarly) {
  const auto file = write_lines(kHeader + "{");
  std::filesystem::resize_file(file, 1 << 30);  // a hole: the disk holds nothing of it
  EXPECT_THAT(refusal_of(file), HasSubstr(":2: expected a line of less than 16 MiB"));
  std::filesystem::remove(file);
}

TEST(Record, DepthIsLimited) {
  const std::string deep(1'000'000, '[');
  EXPECT_THAT(refusal("{\"schema\":" + deep + "\n"), HasSubstr("at most 64 objects and lists"));
  EXPECT_THAT(refusal("{\"schema\":\"" + deep + "\"}\n"), HasSubstr(":1: kind: missing"));
}
