// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Our own all-reduce over peer memory, between virtual ranks of one GPU, and between GPUs where
// there are several.
#include "kernels/allreduce_cuda.hpp"
#include "kernels/collective.hpp"
#include "kernels/collective_cuda.hpp"
#include "kernels/gpu_timer.hpp"
#include "kernels/launch.hpp"

#include "needs_gpu.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::HasSubstr;

// The plan of what is made while this lives.
class Forced {
 public:
  explicit Forced(const std::string& plan) {
    ::setenv("TRAINMETER_ALLREDUCE_PLAN", plan.c_str(), 1);
  }
  ~Forced() { ::unsetenv("TRAINMETER_ALLREDUCE_PLAN"); }
  Forced(const Forced&) = delete;  // undoes itself once
  Forced& operator=(const Forced&) = delete;
};

CollectiveProblem problem_of(DType type, std::int64_t bytes, bool in_place) {
  return {.dtype = type,
          .bytes = bytes,
          .what = CollectiveKind::all_reduce,
          .in_place = in_place,
          .counts = {}};
}

// Each round finds the epochs of the one before, and another slot.
void expect_right(World& world, const CollectiveProblem& problem, const std::string& plan,
                  int rounds = 2) {
  const Forced forced(plan);
  const auto operation = world.collective("peer", problem, {});
  for (int round = 0; round < rounds; ++round) {
    const Check check = operation->verify();
    EXPECT_TRUE(check.ok) << world.ranks() << " ranks, " << to_string(problem.dtype) << ", "
                          << problem.bytes << " bytes, " << plan
                          << (problem.in_place ? ", in place" : "") << ": " << check.wrong
                          << " wrong, error " << check.error;
    EXPECT_THAT(operation->notes().at("algorithm"), HasSubstr(plan.substr(0, 8)));
  }
}

TEST(GpuAllReduce, VirtualRanksAreRight) {
  NEEDS_GPU();
  for (int ranks = 2; ranks <= kMostPeers; ++ranks) {
    const auto world = make_virtual_world(ranks);
    for (const DType type : {DType::fp32, DType::bf16, DType::fp16}) {
      for (const char* plan : {"one_shot,3", "two_shot,3"}) {
        // A pack; less; no whole packs; a block; several packs a thread.
        for (const std::int64_t bytes : {16, 4, 1332, 8192, 65556}) {
          for (const bool in_place : {false, true}) {
            expect_right(*world, problem_of(type, bytes, in_place), plan);
          }
        }
      }
    }
  }
}

// Every number of ranks in every type; the host makes and checks the data of all ranks, which takes
// it far longer than the GPU (some 20 ns for an element and the square of the ranks: 25 s in all).
// So the largest payloads come last, each number of ranks in one type, and end after a minute,
// which is said.
TEST(GpuAllReduce, LargePayloadsOfVirtualRanksAreRight) {
  NEEDS_GPU();
  constexpr DType kTypes[] = {DType::fp32, DType::bf16, DType::fp16};
  constexpr const char* kPlans[] = {"one_shot,36", "two_shot,36"};
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  for (int ranks = 2; ranks <= kMostPeers; ++ranks) {
    const auto world = make_virtual_world(ranks);
    for (const DType type : kTypes) {
      for (const char* plan : kPlans) {
        expect_right(*world, problem_of(type, (1 << 20) + 4, ranks % 2 == 0), plan, 1);
      }
    }
  }
  for (const int ranks : {2, 8, 5, 3, 7, 4, 6}) {
    const std::int64_t bytes = ranks == 2 ? 64 << 20 : ranks == 8 ? (8 << 20) + 4 : (4 << 20) + 4;
    if (std::chrono::steady_clock::now() > end) {
      std::printf("left out, no time: %lld bytes between %d ranks\n", static_cast<long long>(bytes),
                  ranks);
      continue;
    }
    const auto world = make_virtual_world(ranks);
    for (const char* plan : kPlans) {
      expect_right(*world, problem_of(kTypes[(ranks - 2) % 3], bytes, ranks % 2 == 0), plan, 1);
    }
  }
}

// Epochs are in the GPU's memory: a graph's launches are the same every time.
TEST(GpuAllReduce, AGraphOfCallsIsRight) {
  NEEDS_GPU();
  const auto world = make_virtual_world(4);
  for (const char* plan : {"one_shot,8", "two_shot,8"}) {
    const Forced forced(plan);
    const auto operation = world->collective("peer", problem_of(DType::bf16, 65536, false), {});
    GpuTimer timer;
    EXPECT_GT(timer.time_as_graph(
                  operation->stream(), 7, [&](int) { operation->run(0); }, 3),
              0);
    EXPECT_TRUE(operation->verify().ok) << plan;
  }
}

TEST(GpuAllReduce, ARankThatDoesNotComeIsNamedWithinTheTimeOut) {
  NEEDS_GPU();
  constexpr int kRanks = 4;
  constexpr std::int64_t kBytes = 1 << 20;
  for (const auto algorithm : {AllReduceAlgorithm::one_shot, AllReduceAlgorithm::two_shot}) {
    PeerGroup group(std::vector<int>(kRanks, 0), DType::fp32, kBytes, {algorithm, 8}, 0.2);
    std::vector<DeviceBuffer> buffers;
    std::vector<const void*> send;
    std::vector<void*> receive;
    for (int rank = 0; rank < kRanks; ++rank) {
      buffers.emplace_back(kBytes).fill_bytes(0);
      send.push_back(buffers.back().data());
      receive.push_back(buffers.back().data());
    }
    const CudaStream stream;
    group.launch(0, kRanks, send, receive, stream.get());  // all come
    stream.wait();
    EXPECT_NO_THROW(group.check());
    group.launch(0, kRanks - 1, send, receive, stream.get());
    stream.wait();
    try {
      group.check();
      ADD_FAILURE() << "nobody was missed";
    } catch (const RankLost& error) {
      EXPECT_THAT(error.what(), HasSubstr("rank 3 (GPU 0) did not come within 0.2 s"));
    }
    EXPECT_THROW(group.launch(0, kRanks, send, receive, stream.get()), RankLost);
  }
}

// What the timer holds back is counted by this; beyond a thousand or so the host would wait for
// what waits for the host.
void expect_all_counted(World& world, int gpus) {
  const auto operation = world.collective("peer", problem_of(DType::bf16, 8192, false), {});
  EXPECT_EQ(operation->launches(), 3 + gpus);
  GpuTimer timer;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(
      timer
          .time(
              operation->stream(), 300, [&](int) { operation->run(0); }, operation->launches())
          .size(),
      300U);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(9));
}

TEST(GpuAllReduce, ItsEventsAndWaitsAreCounted) {
  NEEDS_GPU();
  expect_all_counted(*make_virtual_world(4), 1);
}

TEST(GpuAllReduce, BetweenGpusIsRight) {
  NEEDS_GPU();
  if (gpus().devices.size() < 2) {
    std::puts("skipped: one GPU");
    GTEST_SKIP();
  }
  const auto world = make_gpu_world(
      {}, static_cast<int>(std::min<std::size_t>(gpus().devices.size(), kMostPeers)));
  for (const char* plan : {"one_shot,36", "two_shot,36"}) {
    for (const std::int64_t bytes : {16, 1332, 1 << 20}) {
      expect_right(*world, problem_of(DType::bf16, bytes, false), plan);
    }
  }
  expect_all_counted(*world, world->ranks());
}

// Two processes that map each other's memory, on a GPU each where there are two; on one they take
// turns: so only a few small calls. Each of them is this program again, in the test after this one.
constexpr const char* kPort = "TRAINMETER_PORT";

TEST(GpuAllReduce, BetweenProcessesIsRight) {
  NEEDS_GPU();
  if (std::getenv(kPort) != nullptr) GTEST_SKIP() << "skipped: one of the processes";
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  const std::string port = std::to_string(20000 + ::getpid() % 10000);
  std::vector<std::future<int>> ends;
  for (const char* rank : {"0", "1"}) {
    std::string command = "unset";  // what a launcher said of this process
    for (const char* name : kLaunchVariables) command += std::string(" ") + name;
    command +=
        "; WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 TRAINMETER_TIMEOUT=30 RANK=" + std::string(rank) +
        " " + kPort + "=" + port + " '" + program +
        "' --gtest_brief=1 --gtest_filter=GpuAllReduce.AProcessOfTwo";
    ends.push_back(
        std::async(std::launch::async, [command] { return std::system(command.c_str()); }));
  }
  for (std::future<int>& end : ends) EXPECT_EQ(end.get(), 0);
}

TEST(GpuAllReduce, AProcessOfTwo) {
  if (std::getenv(kPort) == nullptr)
    GTEST_SKIP() << "skipped: GpuAllReduce.BetweenProcesses* starts two";
  const auto world = make_bootstrap_world();
  const Gather gather = [&](const std::string& text) { return world->gather(text); };
  const auto devices = static_cast<int>(gpus().devices.size());
  const OnDevice here(world->rank() % devices);
  std::vector<GpuRank> mine;
  mine.push_back({.device = world->rank() % devices, .group = world->group(), .stream = {}});
  const auto peer = make_peer_ranks(mine, world->hosts(), gather,
                                    [](const std::function<void()>& calls) { calls(); });
  ASSERT_NE(peer, nullptr);
  for (const char* plan : {"one_shot,2", "two_shot,2"}) {
    for (const bool in_place : {false, true}) {
      for (const std::int64_t bytes : {4, 1332, 65556}) {
        const Forced forced(plan);
        const auto operation = peer->make(problem_of(DType::bf16, bytes, in_place), {});
        for (int round = 0; round < 3; ++round) {
          const Check check = operation->verify();
          EXPECT_TRUE(check.ok) << plan << ", " << bytes << " bytes: " << check.wrong << " wrong";
        }
      }
    }
  }
}

TEST(GpuAllReduce, WhatOthersMapIsWholeBlocks) {
  NEEDS_GPU();
  EXPECT_EQ(DeviceBuffer(1, kIpcBlock).bytes(), kIpcBlock);
  EXPECT_EQ(DeviceBuffer(kIpcBlock + 1, kIpcBlock).bytes(), 2 * kIpcBlock);
  EXPECT_EQ(DeviceBuffer(5).bytes(), 5);
}

TEST(GpuAllReduce, ArgumentsAreCheckedFirst) {
  EXPECT_THROW(make_virtual_world(1), std::invalid_argument);
  EXPECT_THROW(make_virtual_world(kMostPeers + 1), std::invalid_argument);
  EXPECT_NE(why_no_peer_sum(DType::fp8), "");
  EXPECT_EQ(why_no_peer_sum(DType::bf16), "");
}

}  // namespace
}  // namespace trainmeter
