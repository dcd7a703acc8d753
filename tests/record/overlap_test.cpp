// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Rows of an overlap, and the factors that they say, by hand.
#include "record/overlap.hpp"

#include "record/formulas.hpp"
#include "record/samples.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

using namespace trainmeter;

namespace {

Record record_of(bool crowded) {
  Measurement alone;
  alone.name = "gemm/bf16/hopper/m:8/n:8/k:8/memory_mover/co_sms:20";
  alone.operation = "gemm";
  alone.shape = {{kCoSms, 20}};
  alone.sms = 132;
  OverlapRows rows = overlap_rows(alone, "memory_mover", 20, crowded);
  Record record;
  const auto add = [&](Measurement& row, double time_s) {
    row.verified = true;
    row.time_s = {time_s, 2 * time_s, 4 * time_s};  // alike drifts of all cancel
    record.lines.push_back({.measurement = row});
  };
  add(rows.alone, 1);
  add(rows.held, 1.2);
  add(rows.together, 1.5);
  add(rows.co_alone, 0.1);
  add(rows.co_together, 0.4);
  if (crowded) add(*rows.crowded, 2);
  return record;
}

}  // namespace

TEST(Overlap, FewerSmsAndTrafficAreFactorsWhoseProductIsTheWhole) {
  const Record record = record_of(true);
  const auto found = interferences(record);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NEAR(found[0].sms.median, 1.2, 1e-12);
  EXPECT_NEAR(found[0].traffic.median, 1.25, 1e-12);
  EXPECT_NEAR(found[0].both.median, 1.5, 1e-12);
  EXPECT_NEAR(found[0].co_traffic.median, 4, 1e-12);
  ASSERT_TRUE(found[0].untold);
  EXPECT_NEAR(found[0].untold->median, 2, 1e-12);
  EXPECT_NEAR(lost_share(found[0].both.median), 1.0 / 3, 1e-12);
  EXPECT_EQ(found[0].held->sms, 112);
  EXPECT_EQ(found[0].crowded->sms, 132);
}

TEST(Overlap, WhatLacksARowSaysNothing) {
  Record record = record_of(false);
  EXPECT_FALSE(interferences(record).front().untold);
  record.lines.pop_back();
  EXPECT_TRUE(interferences(record).empty());
}

TEST(Overlap, TwoBackendsInTurnArePairedAloneAndBesideTheTraffic) {
  Record record = record_of(true);
  const std::string one = record.lines.front().measurement.name;
  const std::string other = "gemm/bf16/cublaslt/m:8/n:8/k:8/memory_mover/co_sms:20";
  Record slower = record_of(true);
  for (Line& line : slower.lines) {
    Measurement& m = line.measurement;
    for (std::string* name : {&m.name, &m.paired_with})
      if (const std::size_t at = name->find(one); at != std::string::npos)
        name->replace(at, one.size(), other);
    for (double& time_s : m.time_s) time_s *= m.beside == "none" ? 1.5 : 3;
  }
  EXPECT_TRUE(interference_pairs(interferences(record)).empty());
  record.lines.front().measurement.paired_with = other;
  slower.lines.front().measurement.paired_with = one;
  record.lines.insert(record.lines.end(), slower.lines.begin(), slower.lines.end());
  const std::vector<Interference> found = interferences(record);
  ASSERT_EQ(found.size(), 2U);  // with its pair a case is found as without
  EXPECT_NEAR(found[0].both.median, 1.5, 1e-12);
  EXPECT_NEAR(found[1].both.median, 3, 1e-12);
  EXPECT_EQ(found[1].alone->name, other);
  EXPECT_EQ(found[1].co_alone->paired_with, other);
  const std::vector<InterferencePair> pairs = interference_pairs(found);
  ASSERT_EQ(pairs.size(), 1U);
  EXPECT_EQ(pairs[0].one, &found[0]);
  EXPECT_NEAR(pairs[0].alone.median, 1.5, 1e-12);
  EXPECT_NEAR(pairs[0].together.median, 3, 1e-12);
  EXPECT_THROW(paired_ratio(*found[0].together, *found[1].together), std::invalid_argument);

  // A third backend against the same one: that one's rows come again.
  Record third = record_of(true), again = slower;
  const std::string name = "gemm/bf16/mma/m:8/n:8/k:8/memory_mover/co_sms:20";
  for (Line& line : third.lines) {
    Measurement& m = line.measurement;
    for (std::string* text : {&m.name, &m.paired_with})
      if (const std::size_t at = text->find(one); at != std::string::npos)
        text->replace(at, one.size(), name);
  }
  third.lines.front().measurement.paired_with = other;
  again.lines.front().measurement.paired_with = name;
  Record all = record;
  for (const Record* more : {&third, &again})
    all.lines.insert(all.lines.end(), more->lines.begin(), more->lines.end());
  EXPECT_EQ(interferences(all).size(), 4U);
  EXPECT_EQ(interference_pairs(interferences(all)).size(), 2U);

  record.lines.front().measurement.repetition = 1;
  EXPECT_TRUE(interference_pairs(interferences(record)).empty());
}

TEST(Overlap, RepetitionsAreKeptApart) {
  Record record = record_of(false);
  Record again = record_of(false);
  for (Line& line : again.lines) {
    line.measurement.repetition = 1;
    record.lines.push_back(line);
  }
  EXPECT_EQ(interferences(record).size(), 2U);
}
