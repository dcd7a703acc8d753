// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Bytes on the wire against counts made by hand, and what links let expect.
#include "record/wire_bytes.hpp"

#include "record/formulas.hpp"
#include "record/names.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace trainmeter {
namespace {

// n - 1 steps of a reduce-scatter and n - 1 of an all-gather, a part each.
TEST(WireBytes, OfARingAreCountedStepByStep) {
  for (const int n : {2, 3, 8}) {
    double parts = 0;
    for (int step = 0; step < 2 * (n - 1); ++step) parts += 1.0 / n;
    EXPECT_NEAR(wire_factor("allreduce", "ring", n), parts, 1e-12);
    EXPECT_NEAR(wire_factor("allgather", "ring", n), parts / 2, 1e-12);
  }
}

// Two binary trees over the ranks in order, the second with all places moved by one: each rank is
// inside of one at most.
TEST(WireBytes, OfTheBusiestInTwoTrees) {
  for (const int n : {4, 8, 16}) {
    std::vector<double> sends(static_cast<std::size_t>(n), 0.0);
    for (int tree = 0; tree < 2; ++tree) {
      for (int place = 1; place <= n; ++place) {  // in order: a place's level is its lowest bit
        const auto rank = [&](int at) { return static_cast<std::size_t>((at - 1 + tree) % n); };
        const int level = place & -place;
        for (const int child : {place - level / 2, place + level / 2}) {
          if (level == 1 || child > n) continue;
          sends[rank(child)] += 0.5;  // up
          sends[rank(place)] += 0.5;  // down
        }
      }
    }
    EXPECT_LE(*std::ranges::max_element(sends), wire_factor("allreduce", "tree", n)) << n;
  }
}

TEST(WireBytes, WhatTheSwitchAddsIsLessThanBusBandwidthCounts) {
  EXPECT_DOUBLE_EQ(wire_factor("allreduce", "nvls", 8), 9.0 / 8);
  EXPECT_DOUBLE_EQ(wire_factor("allgather", "nvls", 8), 1);
  EXPECT_GT(bus_factor("allreduce", 8), wire_factor("allreduce", "nvls", 8));
  EXPECT_DOUBLE_EQ(wire_factor("allreduce", "one_shot", 8), 7);
  EXPECT_DOUBLE_EQ(wire_factor("allreduce", "two_shot", 4), 1.5);
  EXPECT_TRUE(std::isnan(wire_factor("allreduce", "unheard_of", 8)));
  EXPECT_TRUE(std::isnan(wire_factor("broadcast", "nvls", 8)));
  EXPECT_THROW(wire_factor("allreduce", "ring", 1), std::invalid_argument);
  const WireRange range = nccl_wire_range("allreduce", 8);
  EXPECT_DOUBLE_EQ(range.least, 9.0 / 8);
  EXPECT_DOUBLE_EQ(range.most, 2);
  for (const std::string& name : collective_names()) {
    const std::string algorithm = wire_algorithm(name, {{"algorithm", "ring, one ahead"}});
    EXPECT_GT(wire_factor(name, algorithm, 2), 0) << name;
    EXPECT_LE(wire_factor(name, algorithm, 5), bus_factor(name, 5)) << name << ": what is least";
  }
  EXPECT_EQ(wire_algorithm("allgather", {}), "");
}

TEST(WireBytes, BetweenHostsAreSharedByTheirNics) {
  EXPECT_DOUBLE_EQ(between_factor("allgather", "ring", 16, 8), 15.0 / 16 / 8);
  EXPECT_DOUBLE_EQ(between_factor("allreduce", "ring", 32, 8), 2 * 31.0 / 32 / 8);
  EXPECT_DOUBLE_EQ(between_factor("allreduce", "tree", 16, 8), 1.0 / 8);  // two hosts
  EXPECT_DOUBLE_EQ(between_factor("allreduce", "tree", 24, 8), 2.0 / 8);
  EXPECT_DOUBLE_EQ(between_factor("alltoall", "direct", 16, 8), 0.5);
  EXPECT_DOUBLE_EQ(between_factor("sendrecv", "direct", 2, 1), 1);
  for (const char* name : {"allreduce", "allgather"})
    EXPECT_EQ(between_factor(name, "ring", 8, 8), 0) << name;
  EXPECT_TRUE(std::isnan(between_factor("allreduce", "nvls", 16, 8)));
  EXPECT_TRUE(std::isnan(between_factor("allgather", "tree", 16, 8)));
}

TEST(Expected, OnOneHostTheLinkAndBetweenHostsTheNics) {
  const LinkRates h800{.inside = 200e9, .between = 50e9};
  EXPECT_DOUBLE_EQ(expected_bus_rate("allreduce", "ring", 8, 8, h800), 200e9);
  EXPECT_DOUBLE_EQ(expected_bus_rate("alltoall", "direct", 8, 8, h800), 200e9);
  // 1.75 / 1.125 of the link: more than wire speed, and no mistake.
  EXPECT_NEAR(expected_bus_rate("allreduce", "nvls", 8, 8, h800), 311.1e9, 0.1e9);
  // A ring has the eight NICs of a host together, so NVLink bounds it; each to each has its own.
  EXPECT_DOUBLE_EQ(expected_bus_rate("allreduce", "ring", 16, 8, h800), 200e9);
  EXPECT_DOUBLE_EQ(expected_bus_rate("allreduce", "ring", 4, 2, h800), 100e9);
  EXPECT_DOUBLE_EQ(expected_bus_rate("alltoall", "direct", 16, 8, h800), 50e9 * 15 / 8);
  EXPECT_DOUBLE_EQ(expected_bus_rate("alltoall", "direct", 2, 1, h800), 50e9);
  EXPECT_DOUBLE_EQ(expected_bus_rate("sendrecv", "direct", 16, 8, h800), 50e9);
  EXPECT_TRUE(std::isnan(expected_bus_rate("allreduce", "ring", 16, 8, {.inside = 200e9})));
  EXPECT_TRUE(std::isnan(expected_bus_rate("allreduce", "", 8, 8, h800)));
  for (const char* algorithm : {"tree", "nvls"})
    EXPECT_TRUE(std::isnan(expected_bus_rate("allreduce", algorithm, 16, 8, h800))) << algorithm;
  EXPECT_TRUE(std::isnan(expected_bus_rate("dispatch", "direct", 16, 8, h800)));
  EXPECT_DOUBLE_EQ(18 * nvlink_rate("9.0"), 450e9);
  EXPECT_DOUBLE_EQ(18 * nvlink_rate("10.0"), 900e9);
  EXPECT_DOUBLE_EQ(nvlink_rate("12.0"), 0);
}

}  // namespace
}  // namespace trainmeter
