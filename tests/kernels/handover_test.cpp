// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What one rank hands to another in shared memory: where the blocks lie, and how they are written.
#include "kernels/allreduce_sum.hpp"
#include "kernels/block_ring.hpp"
#include "kernels/store_choice.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <random>
#include <span>
#include <vector>

namespace trainmeter {
namespace {

struct Interval {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// Of any lengths, also none, and of lengths near the most, where the ring's end is hard to meet.
TEST(BlockRing, ABlockIsLeftAloneUntilFourLaterOnesArePlaced) {
  std::minstd_rand random(7);
  for (const std::int64_t most : {64, 4096, 262144}) {
    BlockRing ring(BlockRing::bytes_for(most));
    std::deque<Interval> in_use;
    for (std::uint64_t step = 1; step < 20'000; ++step) {
      const auto any = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most + 1));
      const std::int64_t bytes = random() % 3 == 0 ? most : any;
      const std::int64_t at = ring.place(step, bytes);
      EXPECT_EQ(ring.at(step), at);
      ASSERT_GE(at, 0);
      ASSERT_LE(at + bytes, BlockRing::bytes_for(most));
      ASSERT_EQ(at % 64, 0);
      for (const Interval& other : in_use) {
        ASSERT_TRUE(bytes == 0 || other.begin == other.end || at >= other.end ||
                    at + bytes <= other.begin)
            << "step " << step;
      }
      in_use.push_back({at, at + bytes});
      if (in_use.size() == BlockRing::kSteps) in_use.pop_front();
    }
  }
}

TEST(BlockRing, GoesThroughAllOfItBeforeALineIsWrittenAgain) {
  constexpr std::int64_t kMost = 4096;
  BlockRing ring(BlockRing::bytes_for(kMost));
  for (std::int64_t step = 0; step < BlockRing::bytes_for(kMost) / 64; ++step) {
    EXPECT_EQ(ring.place(static_cast<std::uint64_t>(step), 64), step * 64);
  }
  EXPECT_EQ(ring.place(1000, 64), 0);
}

// A writer whose stores take these seconds, from now on.
struct Machine {
  double cached_s = 0;
  double past_s = 0;
};

// Which share of `blocks` goes past the caches.
double share_past(StoreChoice& choice, const Machine& machine, int blocks) {
  int past = 0;
  for (int block = 0; block < blocks; ++block) {
    const bool way = choice.past_caches();
    past += way ? 1 : 0;
    choice.took(way, 1000, way ? machine.past_s : machine.cached_s);
  }
  return past / static_cast<double>(blocks);
}

constexpr Machine kTogether = {.cached_s = 1.5e-6, .past_s = 1e-6};
constexpr Machine kApart = {.cached_s = 3e-6, .past_s = 1e-6};
constexpr double kTrials = 0.05;  // more than one of kBlocksUntilTrial + 1

TEST(StoreChoice, StaysInTheCachesWhereThatIsNotMuchSlower) {
  StoreChoice choice;
  EXPECT_LT(share_past(choice, kTogether, 1000), kTrials);
}

TEST(StoreChoice, GoesPastThemWhereTheCoresShareNone) {
  StoreChoice choice;
  EXPECT_LT(1 - share_past(choice, kApart, 1000), kTrials);
}

// Cores that a hypervisor moves apart are noticed by the blocks at hand, and together again by the
// next trial.
TEST(StoreChoice, FollowsTheMachine) {
  StoreChoice choice;
  share_past(choice, kTogether, 200);
  share_past(choice, kApart, 4);
  EXPECT_LT(1 - share_past(choice, kApart, 60), kTrials);
  share_past(choice, kTogether, StoreChoice::kBlocksUntilTrial + 1);
  EXPECT_LT(share_past(choice, kTogether, 60), kTrials);
}

TEST(StoreChoice, SaysWhatItSaw) {
  StoreChoice choice;
  EXPECT_EQ(choice.bytes_per_s(true), 0);
  share_past(choice, kApart, 100);
  EXPECT_EQ(choice.blocks(true) + choice.blocks(false), 100);
  EXPECT_GT(choice.blocks(true), 90);
  EXPECT_DOUBLE_EQ(choice.bytes_per_s(true), 1000 / kApart.past_s);
  EXPECT_DOUBLE_EQ(choice.bytes_per_s(false), 1000 / kApart.cached_s);
}

TEST(StoreChoice, OneInterruptionChangesNothing) {
  StoreChoice choice;
  share_past(choice, kTogether, 200);
  const bool way = choice.past_caches();
  choice.took(way, 1000, 4e-3);
  EXPECT_LT(share_past(choice, kTogether, 100), kTrials);
}

struct Lines {
  std::vector<char> room = std::vector<char>(20'000);
  char* begin() {
    const auto at = reinterpret_cast<std::uintptr_t>(room.data());
    return room.data() + (64 - at % 64) % 64;
  }
};

// What is read meanwhile may be shorter than the result, longer, or nothing.
TEST(Stores, WhatIsReadMeanwhileChangesNoResult) {
  std::minstd_rand random(3);
  Lines in;
  Lines out;
  Lines next;
  constexpr std::int64_t kBytes = 9'000;
  for (char& byte : in.room) byte = static_cast<char>(random());
  for (const std::size_t length : {0U, 63U, 64U, 1000U, 9'000U, 12'000U}) {
    const Stores stores = {.past_caches = true, .next = {next.begin(), length}};
    std::ranges::fill(out.room, 0);
    copy_bytes(out.begin(), in.begin(), kBytes, stores);
    EXPECT_EQ(std::memcmp(out.begin(), in.begin(), kBytes), 0);
    EXPECT_EQ(out.begin()[kBytes], 0);
    const std::vector<const void*> two = {in.begin(), next.begin()};  // + 0
    std::ranges::fill(out.room, 0);
    sum_arrays(DType::bf16, out.begin(), std::span(two), kBytes / 2, stores);
    std::vector<char> usual(kBytes);
    sum_arrays(DType::bf16, usual.data(), std::span(two), kBytes / 2);
    EXPECT_EQ(std::memcmp(out.begin(), usual.data(), kBytes), 0);
    EXPECT_EQ(out.begin()[kBytes], 0);
  }
}

}  // namespace
}  // namespace trainmeter
