// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Rows of an overlap, and the factors that they say, by hand.
#include "record/overlap.hpp"

#include "record/formulas.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

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

TEST(Overlap, RepetitionsAreKeptApart) {
  Record record = record_of(false);
  Record again = record_of(false);
  for (Line& line : again.lines) {
    line.measurement.repetition = 1;
    record.lines.push_back(line);
  }
  EXPECT_EQ(interferences(record).size(), 2U);
}
