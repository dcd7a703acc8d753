// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ranks and their GPUs, and the watch over them, without any GPU.
#include "kernels/rank_gpus.hpp"

#include "kernels/all_made.hpp"
#include "kernels/collective.hpp"
#include "kernels/rank_watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::HasSubstr;

// As seen by rank 0 of two, the other of which says `said`.
std::vector<std::string> made_beside(const std::string& said,
                                     const std::function<std::string()>& make) {
  return all_made([&](const std::string& mine) { return std::vector{mine, said}; }, make);
}

TEST(AllMade, TextsComeAsTheyWereMade) {
  EXPECT_THAT(made_beside("+", [] { return "a handle"; }), testing::ElementsAre("a handle", ""));
  EXPECT_THAT(made_beside("+-", [] { return ""; }), testing::ElementsAre("", "-"));
}

TEST(AllMade, WhatFailsOnOneRankFailsOnAll) {
  for (const std::string said : {"-no memory", "", "what is this"}) {
    EXPECT_THROW(made_beside(said, [] { return "a handle"; }), Unavailable) << said;
  }
  try {
    made_beside("+", []() -> std::string { throw std::runtime_error("no memory"); });
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Unavailable& error) {
    EXPECT_STREQ(error.what(), "rank 0: no memory");
  }
  EXPECT_THROW(made_beside("+", []() -> std::string { throw RankLost("rank 1 is gone"); }),
               RankLost);
}

TEST(RankGpus, ByPlaceOnTheHost) {
  const std::vector<std::string> hosts = {"a", "b", "a", "b", "a"};
  EXPECT_EQ(gpu_of_rank(0, hosts, 8), 0);
  EXPECT_EQ(gpu_of_rank(2, hosts, 8), 1);
  EXPECT_EQ(gpu_of_rank(3, hosts, 8), 1);
  EXPECT_EQ(gpu_of_rank(4, hosts, 8), 2);
  EXPECT_EQ(gpu_of_rank(4, hosts, 1), 0) << "the launcher shows each its own";
}

TEST(RankGpus, EachHasItsOwnOrThoseWhoDontAreNamed) {
  const std::vector<std::string> hosts = {"a", "a", "b"};
  const std::string x = gpu_said("GPU-x");
  const std::string y = gpu_said("GPU-y");
  EXPECT_EQ(why_not_these_gpus(hosts, {x, y, x}), "") << "of another host";
  EXPECT_EQ(why_not_these_gpus(hosts, {x, x, y}),
            "more ranks than GPUs on host a: 2 ranks; ranks 0 and 1 would share one");
  EXPECT_EQ(why_not_these_gpus(hosts, {x, y, no_gpu_said("no CUDA device: driver not found")}),
            "rank 2 (host b): no CUDA device: driver not found");
  EXPECT_THAT(why_not_these_gpus(hosts, {x, "/trainmeter-17-4", x}),
              HasSubstr("rank 1 (host a) works on its CPU"));
}

// Device work that the test holds.
struct Work {
  std::atomic<bool> done = true, failed = false;
  std::atomic<int> aborted = 0;

  RankWatch::Over over() {
    return {.finished = [this] { return done.load(); },
            .failed = [this] { return std::string(failed ? "NCCL: remote error" : ""); },
            .abort =
                [this] {
                  ++aborted;
                  done = true;
                }};
  }
  [[nodiscard]] bool is_aborted() const {
    for (int i = 0; i < 1000 && aborted == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return aborted == 1;
  }
};

TEST(RankWatch, WorkThatDoesNotEndIsAbortedAndSaid) {
  Work work;
  const RankWatch watch(work.over(), 0.1);
  std::this_thread::sleep_for(std::chrono::milliseconds(250));
  EXPECT_NO_THROW(watch.require()) << "what has ended may rest";
  work.done = false;
  EXPECT_TRUE(work.is_aborted());
  try {
    watch.require();
    ADD_FAILURE() << "went on";
  } catch (const RankLost& lost) {
    EXPECT_THAT(lost.what(), HasSubstr("a rank hangs or is gone"));
  }
}

TEST(RankWatch, AnErrorEndsItAtOnce) {
  Work work;
  work.done = false;
  const RankWatch watch(work.over(), 1000);
  EXPECT_NO_THROW(watch.require());
  work.failed = true;
  EXPECT_TRUE(work.is_aborted());
  EXPECT_THROW(watch.require(), RankLost);
}

TEST(RankWatch, WhatIsQueuedAnewHasItsTime) {
  Work work;
  work.done = false;
  RankWatch watch(work.over(), 1);
  for (int i = 0; i < 15; ++i) {
    watch.started();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_EQ(work.aborted, 0);
}

}  // namespace
}  // namespace trainmeter
