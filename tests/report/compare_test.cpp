// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Two sets of records, case by case: which starts and cases count, and what is said of the others.
#include "report/compare.hpp"

#include "report/cases.hpp"

#include "fixtures.hpp"
#include "fleet.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

Record start_of(const std::string& session, std::vector<Measurement> measurements) {
  Record record = record_of(measurements);
  record.headers.front().session = session;
  record.file = session + ".jsonl";
  for (Line& line : record.lines) line.measurement.session = session;
  return record;
}

// `count` starts of one GEMM that takes about `seconds`.
std::vector<Record> starts_of(const std::string& name, int count, double seconds) {
  std::vector<Record> out;
  for (int i = 0; i < count; ++i) {
    const double time = seconds * (1 + 0.001 * (i - count / 2));
    out.push_back(start_of(fmt::format("{}-{}", name, i),
                           {measured("gemm", "bf16", "onednn", {{"m", 64}}, 1e9, time)}));
  }
  return out;
}

}  // namespace

TEST(Compare, WithItselfNothingDiffers) {
  const auto [record, ignored] = FleetSampler({.slowed = 0}, 1).draw();
  const Comparison comparison = compare({record}, {record}, {});
  EXPECT_FALSE(comparison.regressed());
  for (const ComparedCase& c : comparison.cases) {
    EXPECT_EQ(c.ratio, 1);
    EXPECT_THAT(c.verdict, testing::AnyOf("same", "cannot_tell"));
  }
  EXPECT_THAT(comparison.notes.front(), HasSubstr("5 of the old starts are new ones"));
}

TEST(Compare, SwappedSidesInvertEverything) {
  const auto [before, after] = FleetSampler({.new_starts = 7}, 2).draw();
  const auto there = compare({before}, {after}, {}).cases;
  const auto back = compare({after}, {before}, {}).cases;
  for (std::size_t i = 0; i < there.size(); ++i) {
    EXPECT_NEAR(there[i].ratio * back[i].ratio, 1, 1e-12);
    EXPECT_NEAR(there[i].ratio_low * back[i].ratio_high, 1, 1e-9);
    EXPECT_NEAR(*there[i].p, *back[i].p, 1e-9);
    EXPECT_EQ(there[i].verdict == "slower", back[i].verdict == "faster");
    EXPECT_EQ(there[i].verdict == "same", back[i].verdict == "same");
  }
}

TEST(Compare, TwiceTheTimesHalveTheRatiosAndKeepTheIntervals) {
  const auto [before, after] = FleetSampler({.new_starts = 6}, 3).draw();
  Record slow = after;
  for (Line& line : slow.lines) {
    for (double& time : line.measurement.time_s) time *= 2;
  }
  const auto plain = compare({before}, {after}, {}).cases;
  const auto half = compare({before}, {slow}, {}).cases;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    EXPECT_NEAR(half[i].ratio, plain[i].ratio / 2, 1e-9);
    EXPECT_NEAR(half[i].ratio_high / half[i].ratio_low, plain[i].ratio_high / plain[i].ratio_low,
                1e-9);
    EXPECT_TRUE(half[i].regression);
  }
}

TEST(Compare, TheOrderOfRecordsDoesNotMatter) {
  auto before = starts_of("old", 5, 1e-3), after = starts_of("new", 5, 1.05e-3);
  const ComparedCase one = compare(before, after, {}).cases.front();
  std::ranges::reverse(before);
  std::ranges::reverse(after);
  const ComparedCase other = compare(before, after, {}).cases.front();
  EXPECT_NEAR(one.ratio, other.ratio, 1e-12);
  EXPECT_NEAR(one.ratio_low, other.ratio_low, 1e-12);
}

TEST(Compare, RepetitionsAndCopiesOfAStartAreOneStart) {
  Measurement first = measured("gemm", "bf16", "onednn", {{"m", 64}}, 1e9, 1e-3);
  Measurement second = first, third = first;
  for (double& time : second.time_s) time *= 1.1;
  for (double& time : third.time_s) time *= 5;
  const Record repeated = start_of("old", {first, second, third});
  const Comparison c = compare({repeated, repeated}, starts_of("new", 1, 1.1e-3), {});
  EXPECT_EQ(c.cases.front().old_side.times.count(), 1U);
  EXPECT_NEAR(c.cases.front().ratio, 1, 1e-9);  // the median of the three
}

TEST(Compare, CasesMatchByAllThatMakesThemOne) {
  const Measurement plain = measured("gemm", "bf16", "onednn", {{"m", 64}}, 1e9, 1e-3);
  Measurement beside = plain, ranks = plain, part = plain, in_turn = plain;
  beside.beside = "copy";
  in_turn.notes["in_turn"] = "layer";
  ranks.ranks = 2;
  part.sms = 1;
  const Comparison c = compare({start_of("old", {plain, beside, ranks, in_turn})},
                               {start_of("new", {part, ranks, plain})}, {});
  ASSERT_EQ(c.cases.size(), 2U);
  EXPECT_EQ(c.cases[0].title, plain.name);
  EXPECT_EQ(c.cases[1].title, plain.name + "/ranks:2");
  EXPECT_EQ(c.cases[1].name, plain.name);
  EXPECT_THAT(c.only_old, ElementsAre(plain.name + "/beside:copy", plain.name + "/in_turn:layer"));
  EXPECT_THAT(c.only_new, ElementsAre(plain.name + "/sms:1"));
}

TEST(Compare, WholeDevicesOfOtherSizesMatchWithAWarning) {
  auto before = starts_of("old", 1, 1e-3), after = starts_of("new", 1, 1e-3);
  Header& header = after.front().headers.front();
  header.device.sms = 4;
  header.device.name = "Other CPU";
  header.software["oneDNN"] = "3.1";
  after.front().lines.front().measurement.sms = 4;
  const Comparison c = compare(before, after, {});
  std::vector<std::string> what;
  for (const Difference& d : c.differences) what.push_back(d.what);
  EXPECT_THAT(what, ElementsAre("device", "device.sms", "software.oneDNN"));
  EXPECT_EQ(c.differences.back().old_side, "not set");
  EXPECT_THAT(warnings(c), testing::Contains(HasSubstr("old Some CPU, new Other CPU")));
}

// cuBLASLt and cuDNN are in a record only where the program had loaded them.
TEST(Compare, ALibraryThatOneSideDidNotLoadIsNoDifference) {
  auto before = starts_of("old", 1, 1e-3), after = starts_of("new", 1, 1e-3);
  before.front().headers.front().software["cuBLASLt"] = "13.0.2";
  EXPECT_TRUE(compare(before, after, {}).differences.empty());
  after.front().headers.front().software["cuBLASLt"] = "13.1.0";
  const Comparison c = compare(before, after, {});
  ASSERT_EQ(c.differences.size(), 1U);
  EXPECT_EQ(c.differences.front().what, "software.cuBLASLt");
}

TEST(Compare, FailedLinesAreNamedAndCountNowhere) {
  auto before = starts_of("old", 2, 1e-3);
  before[1].lines.front().measurement.verified = false;
  const Comparison c = compare(before, starts_of("new", 1, 1e-3), {});
  EXPECT_EQ(c.cases.front().old_side.times.count(), 1U);
  EXPECT_THAT(c.failed, ElementsAre("old-1.jsonl:2: gemm/bf16/onednn/m:64: not verified"));
}

TEST(Compare, WhatFailsInNewAloneIsARegressionWithoutARatio) {
  auto after = starts_of("new", 5, 1e-3);
  Measurement& wrong = after[2].lines.front().measurement;
  wrong.failure = "wrong result: error 1, allowed 0.1";
  wrong.verified = false;
  const auto before = starts_of("old", 5, 1e-3);
  const Comparison c = compare(before, after, {});
  EXPECT_TRUE(c.regressed());
  EXPECT_EQ(c.cases.front().verdict, "slower");
  EXPECT_EQ(c.cases.front().new_side.times.count(), 4U);
  EXPECT_THAT(c.failed, IsEmpty());
  const auto json = to_json(c).front();
  EXPECT_EQ(json.at("reason"), "new-2.jsonl:2: wrong result: error 1, allowed 0.1");
  for (const char* key : {"ratio", "ratio_low", "ratio_high", "p", "spread_from"})
    EXPECT_TRUE(json.at(key).is_null()) << key;
  const std::string text = to_text(to_document(c), {.width = 500});
  EXPECT_THAT(text, HasSubstr("or failing in new alone (1): 1."));
  EXPECT_THAT(text, HasSubstr("fails in new"));
  // What failed in old already, or only lacks a check, is no regression.
  auto failed_before = before;
  failed_before[0].lines.front().measurement.failure = "wrong result";
  EXPECT_FALSE(compare(failed_before, after, {}).regressed());
  wrong.failure.clear();
  const Comparison unchecked = compare(before, after, {});
  EXPECT_FALSE(unchecked.regressed());
  EXPECT_EQ(unchecked.failed.size(), 1U);
}

// A line with an error lacks the SMs of its kernel, and the device of a --concurrent run did once.
TEST(Compare, AFailureIsOfItsCaseWhateverItLacks) {
  const auto on_a_device = [](std::vector<Record> starts) {
    for (Record& start : starts) {
      Measurement& m = start.lines.front().measurement;
      m.name += "/device:1";
      m.shape["device"] = 1;
      m.notes["device"] = "GPU-1";
    }
    return starts;
  };
  const auto on_some_sms = [](std::vector<Record> starts) {
    for (Record& start : starts) start.lines.front().measurement.sms = 1;
    return starts;
  };
  auto after = starts_of("new", 2, 1e-3);
  for (Record& start : after) {
    start.lines.front().measurement.failure = "wrong result";
    start.lines.front().measurement.verified = false;
  }
  for (const auto& before :
       {on_a_device(starts_of("old", 2, 1e-3)), on_some_sms(starts_of("old", 2, 1e-3))}) {
    const Comparison c = compare(before, after, {});
    EXPECT_TRUE(c.regressed());
    EXPECT_THAT(c.only_old, IsEmpty());
    EXPECT_THAT(c.failed, IsEmpty());
  }
}

TEST(Compare, WhereAllFailsInNewAllRegresses) {
  auto after = starts_of("new", 2, 1e-3);
  for (Record& record : after) record.lines.front().measurement.failure = "wrong result";
  after.front().headers.front().device.name = "Other CPU";
  const Comparison c = compare(starts_of("old", 2, 1e-3), after, {});
  EXPECT_TRUE(c.regressed());
  EXPECT_TRUE(c.only_old.empty());
  EXPECT_EQ(c.cases.front().failure, "new-0.jsonl:2: wrong result (and 1 more)");
  EXPECT_TRUE(to_json(c).front().at("new").at("time_s").is_null());
  EXPECT_EQ(c.differences.front().what, "device");
}

TEST(Compare, AllIsJudgedWhereNothingIsMissingOrOpen) {
  auto before = starts_of("old", 5, 1e-3);
  const auto after = starts_of("new", 5, 1.1e-3);
  EXPECT_TRUE(compare(before, after, {}).judged_all());
  EXPECT_FALSE(compare({before.front()}, {after.front()}, {}).judged_all());
  before.front().lines.push_back(before.front().lines.front());
  before.front().lines.back().measurement.beside = "copy";
  EXPECT_FALSE(compare(before, after, {}).judged_all());
}

TEST(Compare, ProbesOfASearchAreNoStarts) {
  const Measurement whole = measured("gemm", "bf16", "onednn", {{"m", 64}}, 1e9, 1e-3);
  Measurement probe = whole;
  probe.notes["probe"] = "short";
  for (double& time : probe.time_s) time *= 2;
  Record before = start_of("old", {whole, probe});
  EXPECT_NEAR(compare({before}, starts_of("new", 1, 1e-3), {}).cases.front().ratio, 1, 1e-9);
  before.lines.erase(before.lines.begin());
  EXPECT_THAT(refusal([&] { compare({before}, starts_of("new", 1, 1e-3), {}); }),
              HasSubstr("in OLD (usable: 0)"));
}

TEST(Compare, NothingInCommonIsRefused) {
  const Record other = start_of("new", {measured("copy", "fp64", "openmp", {}, 1, 1)});
  EXPECT_THAT(refusal([&] { compare(starts_of("old", 1, 1), {other}, {}); }),
              HasSubstr("no case is both in OLD (usable: 1, such as gemm/bf16/onednn/m:64) and in "
                        "NEW (usable: 1, such as copy/fp64/openmp)"));
  EXPECT_THAT(refusal([&] { compare(starts_of("old", 1, 1), {start_of("new", {})}, {}); }),
              HasSubstr("in NEW (usable: 0)"));
}

TEST(Compare, SidesMeasuredOneAfterTheOtherAreNoted) {
  auto before = starts_of("old", 1, 1e-3), after = starts_of("new", 1, 1e-3);
  EXPECT_THAT(compare(before, after, {}).notes, IsEmpty());
  after.front().headers.front().started_at = "2026-11-25T10:00:00Z";
  const Comparison c = compare(before, after, {});
  EXPECT_THAT(c.notes, ElementsAre(HasSubstr("drifted")));
  EXPECT_THAT(warnings(c), testing::Contains(c.notes.front()));
}

TEST(Compare, ADocumentNamesWhatCounts) {
  const auto [before, after] = FleetSampler({.cases = 12, .slowed = 1, .slowdown = 0.2}, 4).draw();
  const std::string text = to_text(to_document(compare({before}, {after}, {})), {});
  EXPECT_THAT(text, HasSubstr("12 cases on both sides: 1 slower"));
  EXPECT_THAT(text, HasSubstr("slower by more than 2 %"));
  EXPECT_LT(text.find("case/0 "), text.find("case/1 "));  // the slower one first
}

TEST(Cases, ACopyOfARowCountsOnce) {
  Record one = small_cpu();
  one.headers.front().session = "first";
  const std::size_t rows = one.lines.size();
  ASSERT_GT(rows, 2U);
  Record cut = one;  // a copy that was made while it grew
  cut.lines.pop_back();
  Record rest = one;  // of one start, without a row in common with the next
  rest.lines.erase(rest.lines.begin() + 1, rest.lines.end());
  Record other = one;
  other.headers.front().session = "second";
  const auto left = [](std::vector<Record> records, std::vector<std::string>& warnings) {
    for (std::size_t i = 0; i < records.size(); ++i) records[i].file = fmt::format("{}.jsonl", i);
    leave_out_copies(records, warnings);
    std::vector<std::string> out;
    for (const Record& record : records)
      out.push_back(fmt::format("{}: {}", record.file.string(), record.lines.size()));
    return out;
  };
  std::vector<std::string> warnings;
  EXPECT_THAT(left({cut, one, other, one}, warnings),
              ElementsAre(fmt::format("0.jsonl: {}", rows - 1), "1.jsonl: 1",
                          fmt::format("2.jsonl: {}", rows)));
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("1.jsonl: "), HasSubstr("3.jsonl: ")));
  warnings.clear();
  Record later = one;
  later.lines.erase(later.lines.begin());
  EXPECT_EQ(left({rest, later}, warnings).size(), 2U);
  EXPECT_THAT(warnings, IsEmpty());
}

TEST(Cases, AListNamesFilesAndFolders) {
  const auto folder = file_of_test("list");
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder / "below");
  const auto a = write_record(small_cpu(), "a.jsonl").string();
  for (const char* name : {"b.jsonl", "below/c.jsonl"}) std::filesystem::copy(a, folder / name);
  EXPECT_EQ(read_record_list(folder.string()).size(), 2U);
  EXPECT_EQ(read_record_list(a + "," + folder.string() + "," + a).size(), 3U);
  EXPECT_THAT(refusal([] { read_record_list(","); }), HasSubstr("expected a record, found none"));
  EXPECT_THAT(refusal([] { read_record_list("/no/such.jsonl"); }), HasSubstr("cannot be read"));
}
