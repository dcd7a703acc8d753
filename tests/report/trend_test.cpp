// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Change points by hand, and one planted in a node's history.
#include "report/trend.hpp"

#include "node_fleet.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

using namespace trainmeter;

namespace {

// One node of 2 GPUs on so many dates, of which GPU 1 is slower by `slower` of the day.
Trend trend_of(int dates, const std::function<double(int)>& slower) {
  NodeFleetSampler sampler({.nodes = 1, .gpus = 2, .bad_nodes = 0, .rounds = 0}, 3);
  History history({});
  for (int day = dates; day >= 1; --day) {  // the newest first: dates order them
    Record record = sampler.draw().records.front();
    for (Header& header : record.headers) header.started_at = fmt::format("2026-09-{:02}", day);
    for (Line& line : record.lines) {
      if (line.session == 1) line.measurement.time_s.front() /= 1 - slower(day);
    }
    history.add(record);
  }
  return history.judge();
}

Trend trend_of(int dates, double slower_from_20th) {
  return trend_of(dates, [=](int day) { return day >= 20 ? slower_from_20th : 0; });
}

}  // namespace

TEST(Trend, ChangePointsByHand) {
  // U: after 1 value -2, after 2 -4, after 3 -2.
  const ChangePoint step = change_point({1, 1, 2, 2});
  EXPECT_EQ(step.first_after, 2U);
  EXPECT_NEAR(step.p, 2 * std::exp(-96.0 / 80), 1e-12);  // K = 4, n = 4
  EXPECT_EQ(change_point({1, 1, 1, 1}).p, 1);
  EXPECT_EQ(change_point({5, 1, 1, 1, 1}).first_after, 1U);
}

TEST(Trend, ADriftIsFoundWithItsDate) {
  const Trend trend = trend_of(30, 0.05);
  EXPECT_TRUE(trend.slower());
  for (const Drift& drift : trend.drifts) {
    EXPECT_EQ(drift.part, "gpu GPU-0-1");
    EXPECT_EQ(drift.since, "2026-09-20");
    EXPECT_NEAR(drift.change, -0.05, 0.01);
  }
}

// Its p is that of the change it names: little, and to the faster.
TEST(Trend, OneBadDateIsNoChangeBesideASmallOne) {
  const auto slower = [](int day) { return day == 30 ? 0.095 : day >= 16 ? -0.006 : 0; };
  EXPECT_TRUE(trend_of(30, slower).drifts.empty());
  std::vector<double> series;
  for (int day = 1; day <= 30; ++day)
    series.push_back(std::log1p(-slower(day)) + (day % 3 - 1) * 1e-3);
  EXPECT_EQ(change_point(series).first_after, 15U);
}

TEST(Trend, DatesThatCorrelateCountForFewer) {
  std::vector<double> apart, together, slide;
  for (int t = 0; t < 20; ++t) {
    const double step = t < 10 ? 0 : 5;
    apart.push_back(step + (t % 2 == 0 ? 1 : -1));
    together.push_back(step + (t % 10 < 3 || t % 10 >= 8 ? 1 : -1));
    slide.push_back(t);
  }
  const double independent = 2 * std::exp(-6.0 * 1e4 / (20 * 20 * 21));
  EXPECT_NEAR(change_point(apart).p, independent, 1e-12);
  EXPECT_NEAR(change_point(slide).p, independent, 1e-12);
  EXPECT_GT(change_point(together).p, 10 * independent);
}

TEST(Trend, NoDriftWhereNothingChangedOrLittle) {
  EXPECT_TRUE(trend_of(30, 0).drifts.empty());
  EXPECT_TRUE(trend_of(30, 0.01).drifts.empty());
}

TEST(Trend, WhatNoDatesCouldShowIsNotJudged) {
  EXPECT_NEAR(least_p(8), 2 * std::exp(-6.0 * 256 / 576), 1e-12);
  EXPECT_EQ(least_p(4), change_point({1, 1, 2, 2}).p);
  EXPECT_EQ(dates_needed(1, 0.05), 11U);
  EXPECT_EQ(dates_needed(256, 0.05), 26U);
  const std::size_t series = trend_of(30, 0).series;
  EXPECT_EQ(series, 6U);
  EXPECT_EQ(dates_needed(series, 0.05), 16U);
  const Trend few = trend_of(15, 0);
  EXPECT_EQ(few.series, 0U);
  EXPECT_EQ(few.too_short, series);
  EXPECT_FALSE(few.judged_all());
  EXPECT_EQ(to_text(to_document(few), {.width = 500}).find("with a change"), std::string::npos);
  EXPECT_THAT(to_text(to_document(few), {.width = 500}),
              testing::HasSubstr("with 6 series 16 dates are needed"));
  EXPECT_EQ(to_json(few).at("cannot_tell"), series);
  EXPECT_EQ(to_json(few).at("dates_needed"), 16);
  EXPECT_TRUE(to_json(few).at("drifts").empty());
  EXPECT_EQ(trend_of(16, 0).series, series);
  EXPECT_TRUE(trend_of(16, 0).judged_all());
  EXPECT_FALSE(History({}).judge().judged_all());  // of nothing
}

TEST(Trend, ShortSeriesTakeNothingFromLongOnes) {
  NodeFleetSampler sampler({.nodes = 40, .gpus = 1, .bad_nodes = 0, .rounds = 0}, 3);
  History history({});
  for (int day = 1; day <= 14; ++day) {
    const auto records = sampler.draw().records;
    for (std::size_t n = 0; n < (day <= 8 ? records.size() : 1); ++n) {
      Record record = records[n];
      for (Header& header : record.headers) header.started_at = fmt::format("2026-09-{:02}", day);
      history.add(record);
    }
  }
  const Trend trend = history.judge();
  EXPECT_EQ(trend.series, 2U);  // of 80: 14 dates of one node's GEMMs and memory
  EXPECT_EQ(trend.too_short, 78U);
  EXPECT_FALSE(trend.judged_all());
  EXPECT_EQ(trend.dates_needed, dates_needed(80, 0.05));
}
