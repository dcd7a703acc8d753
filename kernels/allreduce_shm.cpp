// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Steps, blocks and waiting. Every rank counts its steps in one number that only grows; what it
// publishes as step s lies in its ring. A rank reads step s of the others before it publishes step
// s + 2. So when it begins to write step s it has seen step s - 2 of all, which they published
// after reading step s - 4: a ring that keeps the last four steps is enough, and nobody says what
// it has read.
#include "kernels/allreduce_shm.hpp"

#include "kernels/allreduce_sum.hpp"
#include "kernels/collective.hpp"
#include "kernels/rounding.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>

namespace trainmeter {
namespace {

constexpr std::int64_t kPage = 4096;
constexpr std::int64_t kLine = 64;
constexpr std::int64_t kRingBytes = BlockRing::bytes_for(kMostBlockBytes);
constexpr std::int64_t kTimedBytes = 4096;  // of a block; shorter: not worth two looks at a clock
constexpr double kSleepAfterS = 0.01;       // then waiting costs no core

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

std::int64_t whole_pages(std::int64_t bytes) {
  return round_up(bytes, kPage);
}

}  // namespace

struct ShmGroup::Shared {
  std::atomic<int> lost;  // 1 + the first rank that didn't come; negative: that gave up
};

// On lines of its own, and two of them, since processors fetch pairs.
struct alignas(2 * kLine) ShmGroup::RankState {
  std::atomic<std::uint64_t> step;
  std::atomic<int> process;
};

struct ShmGroup::Call {
  const char* send;
  char* receive;
  std::int64_t bytes;
  DType type;
  AllReducePlan plan;

  [[nodiscard]] std::int64_t blocks() const { return ceil_div(bytes, plan.block_bytes); }
  [[nodiscard]] std::int64_t first(std::int64_t block) const { return block * plan.block_bytes; }
  [[nodiscard]] std::int64_t length(std::int64_t block) const {
    return std::min(plan.block_bytes, bytes - first(block));
  }
  // A block's input; none beyond the last.
  [[nodiscard]] std::span<const char> sent(std::int64_t block) const {
    if (block >= blocks()) return {};
    return {send + first(block), static_cast<std::size_t>(length(block))};
  }
};

std::int64_t ShmGroup::region_bytes(int ranks) {
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
  return kPage + whole_pages(ranks * static_cast<std::int64_t>(sizeof(RankState))) +
         ranks * kRingBytes;
}

ShmGroup::ShmGroup(std::shared_ptr<void> region, int rank, int ranks, double timeout_s)
    : region_(std::move(region)),
      rank_(rank),
      ranks_(ranks),
      timeout_s_(timeout_s),
      ring_(kRingBytes),
      arrays_(static_cast<std::size_t>(ranks)) {
  for (int one = 0; one < ranks; ++one) names_.push_back({.rank = one, .host = ""});
  char* const base = static_cast<char*>(region_.get());
  shared_ = reinterpret_cast<Shared*>(base);
  states_ = reinterpret_cast<RankState*>(base + kPage);
  rings_ = base + kPage + whole_pages(ranks * static_cast<std::int64_t>(sizeof(RankState)));
  states_[rank].process.store(::getpid(), std::memory_order_relaxed);
}

char* ShmGroup::place(std::int64_t bytes) {
  return rings_ + rank_ * kRingBytes + ring_.place(step_ + 1, bytes);
}

char* ShmGroup::block_of(int rank, std::uint64_t step) const {
  return rings_ + rank * kRingBytes + ring_.at(step);
}

template <class Write>
void ShmGroup::hand_over(std::int64_t bytes, const Write& write) {
  const bool timed = bytes >= kTimedBytes;
  const bool past_caches = timed && stores_.past_caches();
  const double begin_s = timed ? now_s() : 0;
  write(past_caches);
  if (timed) stores_.took(past_caches, bytes, now_s() - begin_s);
  publish();
}

void ShmGroup::publish() {
  states_[rank_].step.store(++step_, std::memory_order_release);
}

void ShmGroup::wait_for(std::uint64_t step) {
  for (int rank = 0; rank < ranks_; ++rank) {
    if (rank != rank_) wait_for(step, rank);
  }
}

void ShmGroup::wait_for(std::uint64_t step, int rank) {
  const std::atomic<std::uint64_t>& theirs = states_[rank].step;
  for (int spin = 0; spin < spins_; ++spin) {
    if (theirs.load(std::memory_order_acquire) >= step) return;
    relax();
  }
  const double begin_s = now_s();
  while (theirs.load(std::memory_order_acquire) < step) {
    const double waited_s = now_s() - begin_s;
    leave_if_lost(rank, waited_s);
    if (waited_s < kSleepAfterS) {
      ::sched_yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }
}

void ShmGroup::leave_if_lost(int rank, double waited_s) {
  int lost = shared_->lost.load(std::memory_order_relaxed);
  if (lost == 0) {
    if (waited_s < timeout_s_) return;
    if (shared_->lost.compare_exchange_strong(lost, rank + 1)) lost = rank + 1;
  }
  const auto who = static_cast<std::size_t>(std::abs(lost) - 1);
  const Named& named = names_[who];
  const std::string name = "rank " + std::to_string(named.rank) + " (" +
                           (named.host.empty() ? "" : "host " + named.host + ", ") + "process " +
                           std::to_string(states_[who].process.load(std::memory_order_relaxed)) +
                           ")";
  if (lost < 0) throw RankLost("collective: " + name + " gave up");
  throw RankLost("collective: " + name + " did not come within " +
                 std::to_string(static_cast<int>(timeout_s_)) + " s");
}

void ShmGroup::give_up() {
  int none = 0;
  shared_->lost.compare_exchange_strong(none, -(rank_ + 1));
}

void ShmGroup::barrier() {
  publish();
  wait_for(step_);
}

std::vector<double> ShmGroup::gather(double mine) {
  std::memcpy(place(sizeof mine), &mine, sizeof mine);
  barrier();
  std::vector<double> all(static_cast<std::size_t>(ranks_));
  for (int rank = 0; rank < ranks_; ++rank) {
    std::memcpy(&all[static_cast<std::size_t>(rank)], block_of(rank, step_), sizeof mine);
  }
  return all;
}

std::vector<std::string> ShmGroup::gather(const std::string& mine) {
  const std::vector<double> lengths = gather(static_cast<double>(mine.size()));
  const auto longest = static_cast<std::size_t>(*std::ranges::max_element(lengths));
  std::vector<std::string> all(lengths.size());
  constexpr auto kPiece = static_cast<std::size_t>(kMostBlockBytes);
  const auto piece_of = [kPiece](std::size_t length, std::size_t at) {
    return length > at ? std::min(kPiece, length - at) : 0;
  };
  for (std::size_t at = 0; at < longest; at += kPiece) {
    std::copy_n(mine.data() + std::min(at, mine.size()), piece_of(mine.size(), at),
                place(kMostBlockBytes));
    barrier();
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
      all[rank].append(block_of(static_cast<int>(rank), step_),
                       piece_of(static_cast<std::size_t>(lengths[rank]), at));
    }
  }
  return all;
}

void ShmGroup::exchange(
    std::int64_t steps, const Put& put,
    const std::function<void(std::int64_t, std::span<const char* const>)>& take) {
  std::vector<const char*> blocks(static_cast<std::size_t>(ranks_));
  for (std::int64_t step = 0; step < steps; ++step) {
    char* const to = place(kMostBlockBytes);
    hand_over(put.bytes(step), [&](bool past_caches) { put.write(step, to, past_caches); });
    wait_for(step_);
    for (int rank = 0; rank < ranks_; ++rank) {
      blocks[static_cast<std::size_t>(rank)] = block_of(rank, step_);
    }
    take(step, blocks);
  }
}

void ShmGroup::all_reduce(const void* send, void* receive, std::int64_t count, DType type,
                          const AllReducePlan& plan) {
  const Call call = {.send = static_cast<const char*>(send),
                     .receive = static_cast<char*>(receive),
                     .bytes = count * size_of(type),
                     .type = type,
                     .plan = plan};
  if (plan.block_bytes < kLine || plan.block_bytes > kMostBlockBytes ||
      plan.block_bytes % kLine != 0) {
    throw std::invalid_argument("a block is whole lines of 64 bytes, at most " +
                                std::to_string(kMostBlockBytes));
  }
  plan.algorithm == AllReduceAlgorithm::one_shot ? one_shot(call) : two_shot(call);
}

void ShmGroup::one_shot(const Call& call) {
  const auto put = [&](std::int64_t block) {
    char* const to = place(call.length(block));
    hand_over(call.length(block), [&](bool past_caches) {
      copy_bytes(to, call.send + call.first(block), call.length(block),
                 {.past_caches = past_caches});
    });
  };
  const std::uint64_t begin = step_ + 1;
  const std::int64_t blocks = call.blocks();
  std::int64_t published = 0;
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t wanted = std::min(blocks, block + (call.plan.ahead ? 2 : 1));
    for (; published < wanted; ++published) put(published);
    const std::uint64_t step = begin + static_cast<std::uint64_t>(block);
    wait_for(step);
    for (int rank = 0; rank < ranks_; ++rank) {
      arrays_[static_cast<std::size_t>(rank)] = block_of(rank, step);
    }
    // One's own block holds the same, but the others are reading it: that costs an eighth.
    arrays_[static_cast<std::size_t>(rank_)] = call.send + call.first(block);
    sum_arrays(call.type, call.receive + call.first(block), arrays_,
               call.length(block) / size_of(call.type),
               {.past_caches = call.plan.streaming, .next = call.sent(published)});
  }
}

// Steps 2 b and 2 b + 1 from the first are block b: the inputs of the others' pieces, then the sums
// of one's own.
void ShmGroup::two_shot(const Call& call) {
  const std::int64_t size = size_of(call.type);
  const auto piece = [&](std::int64_t block, int rank) {  // in bytes, within the block
    const Piece elements = piece_of(call.length(block) / size, ranks_, rank, kLine / size);
    return Piece{elements.first * size, elements.count * size};
  };
  const auto put = [&](std::int64_t block) {
    const char* const from = call.send + call.first(block);
    char* const to = place(call.length(block));
    const Piece own = piece(block, rank_);
    const std::int64_t after = own.first + own.count;
    hand_over(call.length(block) - own.count, [&](bool past_caches) {
      copy_bytes(to, from, own.first, {.past_caches = past_caches});
      copy_bytes(to + after, from + after, call.length(block) - after,
                 {.past_caches = past_caches});
    });
  };
  const std::uint64_t begin = step_ + 1;
  const std::int64_t blocks = call.blocks();
  if (blocks > 0) put(0);
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::uint64_t inputs = begin + 2 * static_cast<std::uint64_t>(block);
    char* const to = call.receive + call.first(block);
    const Piece own = piece(block, rank_);
    wait_for(inputs);
    for (int rank = 0; rank < ranks_; ++rank) {
      arrays_[static_cast<std::size_t>(rank)] =
          (rank == rank_ ? call.send + call.first(block) : block_of(rank, inputs)) + own.first;
    }
    // As much as the longest piece, on all ranks.
    char* const sums = place(std::min(call.length(block), call.length(block) / ranks_ + kLine));
    sum_arrays(call.type, sums, arrays_, own.count / size);
    publish();
    const Stores stores = {.past_caches = call.plan.streaming};
    copy_bytes(to + own.first, sums, own.count, stores);
    if (call.plan.ahead && block + 1 < blocks) put(block + 1);
    wait_for(inputs + 1);
    for (int rank = 0; rank < ranks_; ++rank) {
      const Piece theirs = piece(block, rank);
      if (rank == rank_) continue;
      copy_bytes(to + theirs.first, block_of(rank, inputs + 1), theirs.count, stores);
    }
    if (!call.plan.ahead && block + 1 < blocks) put(block + 1);
  }
}

}  // namespace trainmeter
