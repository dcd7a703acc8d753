// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Our own all-reduce between GPUs that read and write each other's memory: what a thread does.
//
// Each rank runs as many thread blocks. Block b of a rank works on the same part of the payload in
// every call, and meets block b of all ranks at barriers; blocks of one rank don't meet. So all
// blocks of all ranks have to run at once.
//
// one_shot: a rank copies its payload to a slot that all can read, meets the others, and adds up
// everybody's slot: (n - 1) S bytes read, one barrier. Calls alternate between two slots. Who
// writes a slot again, two calls later, has met the others in the call between, which each of them
// began after it had read the slot.
//
// two_shot: a rank meets the others, reads its n-th of every rank's payload (reduce-scatter),
// writes the sum to every rank's result (all-gather), and meets them again, since results come from
// others: (n - 1) S / n bytes read, as many written. Only its owner touches an n-th, so that it
// works in place.
//
// Numbers are added in fp32 in the order of ranks: the result is the same on all of them.
//
// A barrier is a number that only grows, the epoch. Each rank has a flag in its own memory for each
// block of each rank; to arrive is to write the epoch to one's flag at all ranks, to wait is to
// poll one's own memory. A rank that doesn't arrive within the time-out ends the call of all:
// `lost` names it.
//
// `Gpu` stands for the instructions: those of a GPU (allreduce_cuda.cu), or their models in tests.
#pragma once

#include "kernels/allreduce_plan.hpp"
#include "kernels/host_device.hpp"

#include <cstdint>

namespace trainmeter::peer {

using Epoch = std::uint32_t;

// Right across 2^32 - 1, as long as ranks are less than 2^31 epochs apart: they are at most one.
TRAINMETER_BOTH bool reached(Epoch seen, Epoch wanted) {
  return static_cast<std::int32_t>(seen - wanted) >= 0;
}

// In its rank's memory, zero at first.
struct RankState {
  struct alignas(32) Flags {  // read at once
    Epoch of_rank[kMostPeers];
  };
  Flags arrived[kMostPeerBlocks];
  Epoch epochs[kMostPeerBlocks];  // that its own blocks are in
};

// Types by the size of an element's bits.
struct Fp32 {
  using Bits = std::uint32_t;
};
struct Bf16 {
  using Bits = std::uint16_t;
};
struct Fp16 {
  using Bits = std::uint16_t;
};

struct alignas(16) Pack {
  std::uint32_t words[4];
};

// A call, with everybody's memory by rank. Pointers are multiples of 16 bytes.
struct Task {
  const void* send[kMostPeers];
  void* receive[kMostPeers];  // may be `send`
  Pack* slots[kMostPeers];    // two, each of `slot_packs`; one_shot alone uses them
  RankState* states[kMostPeers];
  int* lost;  // 0, or 1 + the rank that did not come
  std::int64_t slot_packs;
  std::int64_t count;  // elements
  std::uint64_t timeout_ns;
  AllReduceAlgorithm algorithm;
  int ranks;
  int blocks;  // of each rank
  int first;   // rank of this launch
};

struct Place {
  int rank, block, thread, threads;  // threads: of a block
};

// kMost: ranks that the code has room for, 2, 4 or 8.
template <class Element, int kMost, class Gpu>
class AllReduce {
 public:
  TRAINMETER_DEVICE AllReduce(const Task& task, const Place& place) : task_(task), at_(place) {}

  TRAINMETER_DEVICE void run() {
    Epoch* const kept = task_.states[at_.rank]->epochs + at_.block;
    epoch_ = *kept;
    const bool done = task_.algorithm == AllReduceAlgorithm::one_shot ? one_shot() : two_shot();
    if (done && at_.thread == 0) *kept = epoch_;
  }

 private:
  using Bits = typename Element::Bits;
  static constexpr int kLanes = sizeof(Pack) / sizeof(Bits);
  static constexpr int kAtOnce = kMostPeers / kMost;  // packs of each rank that a thread waits for
  static constexpr int kPollsPerLook = 256;           // at the clock and at `lost`

  TRAINMETER_DEVICE bool one_shot() {
    const std::int64_t slot = epoch_ % 2 * task_.slot_packs;
    const auto* const mine = static_cast<const Pack*>(task_.send[at_.rank]);
    Pack* const copy = task_.slots[at_.rank] + slot;
    for (std::int64_t i = begin(0); i < packs(); i += step())
      Gpu::store(copy + i, Gpu::load(mine + i));
    for_tail([&](std::int64_t i) { bits(copy)[i] = bits(mine)[i]; });
    if (!barrier()) return false;
    const auto from = [&](int rank) { return task_.slots[rank] + slot; };
    auto* const to = static_cast<Pack*>(task_.receive[at_.rank]);
    add_up(0, packs(), from, [&](std::int64_t i, const Pack& sum) { Gpu::store(to + i, sum); });
    for_tail([&](std::int64_t i) { bits(to)[i] = sum_at(from, i); });
    return true;
  }

  TRAINMETER_DEVICE bool two_shot() {
    if (!barrier()) return false;
    const auto from = [&](int rank) { return static_cast<const Pack*>(task_.send[rank]); };
    const auto to = [&](int rank) { return static_cast<Pack*>(task_.receive[rank]); };
    // As piece_of() cuts; the last rank has what is no whole pack.
    add_up(packs() * at_.rank / task_.ranks, packs() * (at_.rank + 1) / task_.ranks, from,
           [&](std::int64_t i, const Pack& sum) {
             TRAINMETER_UNROLL
             for (int rank = 0; rank < kMost; ++rank) {
               if (rank < task_.ranks) Gpu::store(to(rank) + i, sum);
             }
           });
    if (at_.rank == task_.ranks - 1) {
      for_tail([&](std::int64_t i) {
        const Bits sum = sum_at(from, i);
        for (int rank = 0; rank < task_.ranks; ++rank) bits(to(rank))[i] = sum;
      });
    }
    return barrier();
  }

  // All that the blocks of this number did before is seen by all of them after. False where a rank
  // is lost.
  TRAINMETER_DEVICE bool barrier() {
    Gpu::block_sync();
    ++epoch_;
    for (int rank = at_.thread; rank < task_.ranks; rank += at_.threads) {
      Gpu::store_release(&task_.states[rank]->arrived[at_.block].of_rank[at_.rank], epoch_);
    }
    bool lost = false;
    for (int rank = at_.thread; rank < task_.ranks; rank += at_.threads) {
      lost = lost || !wait_for(rank);
    }
    return !Gpu::any_of_block(lost);
  }

  TRAINMETER_DEVICE bool wait_for(int rank) {
    const Epoch* const flag = &task_.states[at_.rank]->arrived[at_.block].of_rank[rank];
    std::uint64_t begin_ns = 0;
    for (int polls = 1; !reached(Gpu::load_acquire(flag), epoch_); ++polls) {
      if (polls % kPollsPerLook != 0) continue;
      if (Gpu::look(task_.lost) != 0) return false;
      const std::uint64_t now_ns = Gpu::now_ns();
      if (begin_ns == 0) begin_ns = now_ns;
      if (now_ns - begin_ns < task_.timeout_ns) continue;
      Gpu::tell(task_.lost, rank + 1);
      return false;
    }
    return true;
  }

  // Sums of packs [first, last) of all ranks, this block's share of them.
  template <class From, class To>
  TRAINMETER_DEVICE void add_up(std::int64_t first, std::int64_t last, const From& from,
                                const To& to) {
    for (std::int64_t i = begin(first); i < last; i += kAtOnce * step()) {
      Pack in[kAtOnce][kMost];
      TRAINMETER_UNROLL
      for (int u = 0; u < kAtOnce; ++u) {
        TRAINMETER_UNROLL
        for (int rank = 0; rank < kMost; ++rank) {
          if (rank < task_.ranks && i + u * step() < last) {
            in[u][rank] = Gpu::load(from(rank) + i + u * step());
          }
        }
      }
      TRAINMETER_UNROLL
      for (int u = 0; u < kAtOnce; ++u) {
        if (i + u * step() < last) to(i + u * step(), sum_of(in[u]));
      }
    }
  }

  TRAINMETER_DEVICE Pack sum_of(const Pack (&in)[kMost]) const {
    Pack out;
    TRAINMETER_UNROLL
    for (int w = 0; w < 4; ++w) {
      if constexpr (sizeof(Bits) == 4) {
        float sum = Gpu::widen(Element{}, in[0].words[w]);
        TRAINMETER_UNROLL
        for (int rank = 1; rank < kMost; ++rank) {
          if (rank < task_.ranks) sum += Gpu::widen(Element{}, in[rank].words[w]);
        }
        out.words[w] = Gpu::narrow(Element{}, sum);
      } else {
        float low = widen_low(in[0].words[w]);
        float high = widen_high(in[0].words[w]);
        TRAINMETER_UNROLL
        for (int rank = 1; rank < kMost; ++rank) {
          if (rank >= task_.ranks) continue;
          low += widen_low(in[rank].words[w]);
          high += widen_high(in[rank].words[w]);
        }
        out.words[w] = Gpu::narrow(Element{}, low) |
                       static_cast<std::uint32_t>(Gpu::narrow(Element{}, high)) << 16;
      }
    }
    return out;
  }
  TRAINMETER_DEVICE static float widen_low(std::uint32_t word) {
    return Gpu::widen(Element{}, static_cast<Bits>(word));
  }
  TRAINMETER_DEVICE static float widen_high(std::uint32_t word) {
    return Gpu::widen(Element{}, static_cast<Bits>(word >> 16));
  }

  // The elements after the last whole pack: the first block's.
  template <class Visit>
  TRAINMETER_DEVICE void for_tail(const Visit& visit) const {
    if (at_.block != 0) return;
    for (std::int64_t i = packs() * kLanes + at_.thread; i < task_.count; i += at_.threads)
      visit(i);
  }
  template <class From>
  TRAINMETER_DEVICE Bits sum_at(const From& from, std::int64_t i) const {
    float sum = Gpu::widen(Element{}, bits(from(0))[i]);
    for (int rank = 1; rank < task_.ranks; ++rank) {
      sum += Gpu::widen(Element{}, bits(from(rank))[i]);
    }
    return Gpu::narrow(Element{}, sum);
  }
  TRAINMETER_DEVICE static Bits* bits(Pack* packs) { return reinterpret_cast<Bits*>(packs); }
  TRAINMETER_DEVICE static const Bits* bits(const Pack* packs) {
    return reinterpret_cast<const Bits*>(packs);
  }

  TRAINMETER_DEVICE std::int64_t packs() const { return task_.count / kLanes; }
  TRAINMETER_DEVICE std::int64_t begin(std::int64_t first) const {
    return first + at_.block * at_.threads + at_.thread;
  }
  TRAINMETER_DEVICE int step() const { return task_.blocks * at_.threads; }

  const Task& task_;
  Place at_;
  Epoch epoch_ = 0;
};

}  // namespace trainmeter::peer
