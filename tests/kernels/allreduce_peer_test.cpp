// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The all-reduce over peer memory, run on the CPU with models of a GPU's instructions: every thread
// of every block of every rank is a thread, with random delays. Built a second time with the thread
// sanitizer, which sees whether the barriers order all accesses.
#include "kernels/allreduce_peer_kernel.hpp"
#include "kernels/dtype.hpp"
#include "kernels/rounding.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace trainmeter::peer {
namespace {

// Flags are atomic, payloads are not: as on a GPU.
struct ModelGpu {
  struct Block {
    explicit Block(int threads) : sync(threads) {}
    std::barrier<> sync;
    std::atomic<bool> any = false;
  };
  static inline thread_local Block* block = nullptr;
  static inline thread_local bool leads = false;  // of its block
  static inline thread_local std::minstd_rand random;

  static void maybe_sleep(unsigned seldom) {
    if (random() % seldom == 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 100));
    }
  }

  static Pack load(const Pack* from) {
    maybe_sleep(200);
    return *from;
  }
  static void store(Pack* to, const Pack& pack) { *to = pack; }

  static void store_release(Epoch* to, Epoch value) {
    maybe_sleep(10);
    std::atomic_ref(*to).store(value, std::memory_order_release);
  }
  static Epoch load_acquire(const Epoch* from) {
    std::this_thread::yield();
    return std::atomic_ref(const_cast<Epoch&>(*from)).load(std::memory_order_acquire);
  }
  static int look(const int* from) {
    return std::atomic_ref(const_cast<int&>(*from)).load(std::memory_order_relaxed);
  }
  static void tell(int* to, int value) {
    std::atomic_ref(*to).store(value, std::memory_order_relaxed);
  }
  static std::uint64_t now_ns() {
    return static_cast<std::uint64_t>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
  }

  static void block_sync() { block->sync.arrive_and_wait(); }
  static bool any_of_block(bool value) {
    if (value) block->any = true;
    block_sync();
    const bool any = block->any;
    block_sync();
    if (leads) block->any = false;
    block_sync();
    return any;
  }

  static float widen(Fp32, std::uint32_t bits) { return std::bit_cast<float>(bits); }
  static float widen(Bf16, std::uint16_t bits) { return float_from_bf16(bits); }
  static float widen(Fp16, std::uint16_t bits) { return float_from_fp16(bits); }
  static std::uint32_t narrow(Fp32, float x) { return std::bit_cast<std::uint32_t>(x); }
  static std::uint16_t narrow(Bf16, float x) { return bf16_from_float(x); }
  static std::uint16_t narrow(Fp16, float x) { return fp16_from_float(x); }
};

struct Setup {
  int ranks = 2;
  int blocks = 1;
  int threads = 1;  // of a block
  AllReduceAlgorithm algorithm = AllReduceAlgorithm::one_shot;
  std::int64_t count = 0;
  bool in_place = false;
  Epoch begin = 0;  // epoch before the first call
  double timeout_s = 60;
  int missing = -1;  // rank
};

// The ranks' memory. Bits of random numbers near 1, so that the order of adding shows.
template <class Element>
class Ranks {
 public:
  using Bits = typename Element::Bits;
  static constexpr std::int64_t kLanes = sizeof(Pack) / sizeof(Bits);

  explicit Ranks(const Setup& setup) : setup_(setup) {
    const std::int64_t packs = ceil_div(setup.count, kLanes);
    for (int rank = 0; rank < setup.ranks; ++rank) {
      send_.emplace_back(packs + 1);
      receive_.emplace_back(packs + 1);
      slots_.emplace_back(2 * packs);
      states_.push_back(std::make_unique<RankState>());
      std::ranges::fill(states_.back()->epochs, setup.begin);
      for (RankState::Flags& flags : states_.back()->arrived)
        std::ranges::fill(flags.of_rank, setup.begin);
      const auto at = static_cast<std::size_t>(rank);
      task_.send[rank] = send_[at].data();
      task_.receive[rank] = setup.in_place ? send_[at].data() : receive_[at].data();
      task_.slots[rank] = slots_[at].data();
      task_.states[rank] = states_[at].get();
    }
    task_.lost = &lost_;
    task_.slot_packs = packs;
    task_.count = setup.count;
    task_.timeout_ns = static_cast<std::uint64_t>(setup.timeout_s * 1e9);
    task_.algorithm = setup.algorithm;
    task_.ranks = setup.ranks;
    task_.blocks = setup.blocks;
  }

  // Every rank calls `calls` times, each call after all its blocks' last one, as launches do.
  void run(int calls) {
    std::vector<std::unique_ptr<std::barrier<>>> launches;
    std::vector<std::unique_ptr<ModelGpu::Block>> blocks;
    std::vector<std::thread> threads;
    for (int rank = 0; rank < setup_.ranks; ++rank) {
      if (rank == setup_.missing) continue;
      launches.push_back(std::make_unique<std::barrier<>>(setup_.blocks * setup_.threads));
      std::barrier<>* const launch = launches.back().get();
      for (int block = 0; block < setup_.blocks; ++block) {
        blocks.push_back(std::make_unique<ModelGpu::Block>(setup_.threads));
        for (int thread = 0; thread < setup_.threads; ++thread) {
          const Place place = {rank, block, thread, setup_.threads};
          threads.emplace_back([this, place, calls, launch, here = blocks.back().get()] {
            ModelGpu::block = here;
            ModelGpu::leads = place.thread == 0;
            ModelGpu::random.seed(
                static_cast<unsigned>(100 * place.rank + 10 * place.block + place.thread + 1));
            for (int call = 0; call < calls; ++call) run_call(place, call, *launch);
          });
        }
      }
    }
    for (std::thread& thread : threads) thread.join();
  }

  std::atomic<int> wrong = 0;  // elements
  [[nodiscard]] int lost() const { return lost_; }

 private:
  static Bits value(int rank, std::int64_t index, int call) {
    std::minstd_rand random(static_cast<unsigned>(rank * 7919 + index * 31 + call + 1));
    random.discard(2);
    return ModelGpu::narrow(Element{}, std::uniform_real_distribution<float>(-1, 1)(random));
  }

  void run_call(const Place& place, int call, std::barrier<>& launch) {
    const bool first = place.block == 0 && place.thread == 0;
    auto* const send = reinterpret_cast<Bits*>(send_[static_cast<std::size_t>(place.rank)].data());
    auto* const receive = static_cast<Bits*>(task_.receive[place.rank]);
    if (first) {
      for (std::int64_t i = 0; i < setup_.count; ++i) {
        if (!setup_.in_place) receive[i] = static_cast<Bits>(-1);
        send[i] = value(place.rank, i, call);
      }
      receive[setup_.count] = static_cast<Bits>(0x5a5a);  // after the end: not to be written
    }
    launch.arrive_and_wait();
    if (setup_.ranks == 2) AllReduce<Element, 2, ModelGpu>(task_, place).run();
    if (setup_.ranks == 3) AllReduce<Element, 4, ModelGpu>(task_, place).run();
    if (setup_.ranks > 3) AllReduce<Element, 8, ModelGpu>(task_, place).run();
    launch.arrive_and_wait();
    if (!first || setup_.missing >= 0) return;
    for (std::int64_t i = 0; i < setup_.count; ++i) {
      float sum = ModelGpu::widen(Element{}, value(0, i, call));
      for (int rank = 1; rank < setup_.ranks; ++rank)
        sum += ModelGpu::widen(Element{}, value(rank, i, call));
      if (receive[i] != ModelGpu::narrow(Element{}, sum)) ++wrong;
    }
    if (receive[setup_.count] != static_cast<Bits>(0x5a5a)) ++wrong;
  }

  Setup setup_;
  Task task_ = {};
  int lost_ = 0;
  std::vector<std::vector<Pack>> send_, receive_, slots_;
  std::vector<std::unique_ptr<RankState>> states_;
};

template <class Element>
void expect_right(Setup setup, int calls) {
  for (const auto algorithm : {AllReduceAlgorithm::one_shot, AllReduceAlgorithm::two_shot}) {
    for (const bool in_place : {false, true}) {
      setup.algorithm = algorithm;
      setup.in_place = in_place;
      Ranks<Element> ranks(setup);
      ranks.run(calls);
      EXPECT_EQ(ranks.wrong, 0) << setup.ranks << " ranks, " << setup.blocks << " blocks of "
                                << setup.threads << ", " << setup.count << " elements, "
                                << to_string(algorithm) << (in_place ? " in place" : "");
      EXPECT_EQ(ranks.lost(), 0);
    }
  }
}

// Less than a pack, whole ones, some more; fewer packs than ranks.
TEST(PeerAllReduce, EveryElementOnEveryRank) {
  for (const std::int64_t count : {1, 3, 8, 15, 64, 333}) {
    expect_right<Fp32>({.ranks = 2, .blocks = 2, .threads = 2, .count = count}, 3);
    expect_right<Bf16>({.ranks = 3, .blocks = 1, .threads = 3, .count = count}, 3);
    expect_right<Fp16>({.ranks = 4, .blocks = 2, .threads = 1, .count = count}, 3);
  }
  expect_right<Bf16>({.ranks = 8, .blocks = 2, .threads = 1, .count = 1001}, 5);
  expect_right<Fp32>({.ranks = 5, .blocks = 1, .threads = 2, .count = 77}, 5);
}

// Many packs a thread, the last one not whole; parts of two shots that the ranks don't share
// evenly.
template <class Element>
void expect_large_right() {
  for (int ranks = 2; ranks <= kMostPeers; ++ranks) {
    expect_right<Element>({.ranks = ranks, .blocks = 2, .threads = 2, .count = (1 << 15) + 5}, 1);
  }
}

TEST(PeerAllReduce, LargePayloadsOfEveryTypeBetweenTwoToEightRanks) {
  expect_large_right<Fp32>();
  expect_large_right<Bf16>();
  expect_large_right<Fp16>();
}

// One call after the other, nobody waiting for anybody between them.
TEST(PeerAllReduce, ManyCallsInARow) {
  expect_right<Fp32>({.ranks = 4, .blocks = 1, .threads = 1, .count = 50}, 200);
}

TEST(PeerAllReduce, TheEpochMayPassItsLargestNumber) {
  expect_right<Fp32>({.ranks = 3, .blocks = 2, .threads = 1, .count = 40, .begin = 0xfffffffb}, 10);
  EXPECT_TRUE(reached(0, 0xffffffff));
  EXPECT_TRUE(reached(7, 7));
  EXPECT_FALSE(reached(0xffffffff, 0));
}

TEST(PeerAllReduce, ARankThatDoesNotComeIsNamedAndEndsTheOthers) {
  for (const auto algorithm : {AllReduceAlgorithm::one_shot, AllReduceAlgorithm::two_shot}) {
    Ranks<Fp32> ranks({.ranks = 4,
                       .blocks = 2,
                       .threads = 2,
                       .algorithm = algorithm,
                       .count = 100,
                       .timeout_s = 0.1,
                       .missing = 2});
    ranks.run(2);  // and the calls that were queued behind it
    EXPECT_EQ(ranks.lost(), 1 + 2);
  }
}

TEST(PeerPlan, EveryPayloadHasARow) {
  for (int ranks = 2; ranks <= kMostPeers; ++ranks) {
    for (std::int64_t bytes = 1; bytes < std::int64_t{1} << 50; bytes *= 3) {
      const PeerPlan plan = plan_peer_all_reduce(ranks, bytes);
      EXPECT_GE(plan.blocks, 1);
      EXPECT_LE(plan.blocks, kMostPeerBlocks);
    }
  }
  EXPECT_THROW(plan_peer_all_reduce(1, 16), std::invalid_argument);
  EXPECT_THROW(plan_peer_all_reduce(kMostPeers + 1, 16), std::invalid_argument);
}

TEST(PeerPlan, NoRowIsHiddenByTheOnesBefore) {
  for (const PeerSwitchPoint& row : peer_switch_points()) {
    const PeerPlan found = plan_peer_all_reduce(row.most_ranks, row.most_bytes);
    EXPECT_EQ(found.algorithm, row.plan.algorithm);
    EXPECT_EQ(found.blocks, row.plan.blocks);
  }
}

TEST(PeerPlan, BlocksAreAsManyAsHaveWorkAndFit) {
  const PeerPlan one = {.algorithm = AllReduceAlgorithm::one_shot, .blocks = 36};
  const PeerPlan two = {.algorithm = AllReduceAlgorithm::two_shot, .blocks = 36};
  EXPECT_EQ(peer_blocks(one, 8, 1, 100), 1);
  EXPECT_EQ(peer_blocks(one, 8, 16 * kPeerThreads, 100), 1);
  EXPECT_EQ(peer_blocks(one, 8, 16 * kPeerThreads + 1, 100), 2);
  EXPECT_EQ(peer_blocks(two, 8, 16 * kPeerThreads * 8, 100), 1);
  EXPECT_EQ(peer_blocks(two, 8, 1 << 30, 100), 36);
  EXPECT_EQ(peer_blocks(two, 8, 1 << 30, 16), 16);
  EXPECT_EQ(peer_blocks({.algorithm = one.algorithm, .blocks = 999}, 2, 1 << 30, 999),
            kMostPeerBlocks);
}

}  // namespace
}  // namespace trainmeter::peer
