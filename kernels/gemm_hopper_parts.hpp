// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the GEMM kernels for Hopper share: the ring of stages, the producer that fills it, and the
// way of C to memory.
//
// Thread blocks are persistent: each works through every so many-th tile of C. Its first warpgroup
// is the producer: one thread has TMA fill a ring of stages, each a row of swizzled memory (128
// bytes) deep in k. The others are consumers: each multiplies its rows of the tile, 64 at a time,
// and has the sums in its registers. Two blocks of a cluster have tiles below each other, and each
// loads half of the B that both need and multicasts it; or tiles beside each other, and share A;
// or, where a GEMM has few tiles, its blocks have a part of k each of one tile, whose sums go to
// the first block through its shared memory. Two consumers may also take turns, a whole tile each.
// C goes out through shared memory, slab by slab: a thread of the producer's warpgroup for each
// consumer has TMA write it, while the next tile is multiplied. TMA reads zeros outside of A and B
// and writes nothing outside of C, so that ragged edges need no code.
//
// `Ptx` stands for the instructions: hopper_ptx.cuh, or their models in tests.
#pragma once

#include "kernels/gemm_hopper_tasks.hpp"
#include "kernels/gemm_hopper_tile.hpp"
#include "kernels/host_device.hpp"

#include <cstdint>

namespace trainmeter::hopper {

// Named barriers of two consumers, whose turn it is: 1 and 2. 0 is __syncthreads'.
constexpr int kTurnBarriers = 1;

// A place in the ring, and how often it came round.
template <int kStages>
struct Ring {
  int stage = 0;
  std::uint32_t parity = 0;

  TRAINMETER_BOTH void advance() {
    if (++stage < kStages) return;
    stage = 0;
    parity ^= 1;
  }
  TRAINMETER_BOTH void skip(int steps) {
    stage += steps;
    parity ^= static_cast<std::uint32_t>(stage / kStages) & 1;
    stage %= kStages;
  }
};

struct Place {
  int thread = 0;
  int rank = 0;  // of the block in its cluster
  int cluster = 0;
  int clusters = 0;
};

// A kernel derives from this, adds consume(consumer), and calls work().
template <class Config, class Ptx, class Tasks>
struct GemmParts {
  using Task = typename Tasks::Task;
  using TensorMap = typename Ptx::TensorMap;

  Tasks tasks;
  std::uint32_t shared;  // address of the kBytes that TileConfig lays out, a multiple of 1024
  Place place;

  TRAINMETER_DEVICE std::uint32_t full(int stage) const {
    return shared + Config::kBarriersAt + stage * 8;
  }
  TRAINMETER_DEVICE std::uint32_t empty(int stage) const { return full(Config::kStages + stage); }
  TRAINMETER_DEVICE std::uint32_t a_of(int stage) const {
    return shared + stage * Config::kStageBytes;
  }
  TRAINMETER_DEVICE std::uint32_t b_of(int stage) const { return a_of(stage) + Config::kBytesA; }
  TRAINMETER_DEVICE std::uint32_t scales_of(int stage) const {
    return shared + Config::kScalesAt + stage * Config::kScaleBytes;
  }

  TRAINMETER_DEVICE std::uint32_t slab_of(int consumer, int slot) const {
    return shared + Config::kStagingAt +
           (consumer * Config::kSlabsHeld + slot) * Config::kSlabBytes;
  }
  TRAINMETER_DEVICE std::uint32_t slab_full(int consumer, int slot) const {
    return shared + Config::kSlabBarriersAt + (consumer * Config::kSlabsHeld + slot) * 8;
  }
  TRAINMETER_DEVICE std::uint32_t slab_empty(int consumer, int slot) const {
    return slab_full(Config::kConsumers + consumer, slot);
  }

  // Element coordinates of this block's part of a tile.
  TRAINMETER_DEVICE int row_of(const TileAt& tile) const {
    return tile.row * Config::kClusterRows + (Config::kSharesB ? place.rank * Config::kRows : 0);
  }
  TRAINMETER_DEVICE int column_of(const TileAt& tile) const {
    return tile.column * Config::kClusterColumns +
           (Config::kSharesA ? place.rank * Config::kColumns : 0);
  }

  // A consumer's tiles: every so many-th from the first on.
  TRAINMETER_DEVICE int first_tile(int consumer) const {
    return place.cluster + (Config::kAlternates ? consumer * place.clusters : 0);
  }
  TRAINMETER_DEVICE int tiles_on() const {
    return place.clusters * (Config::kAlternates ? Config::kConsumers : 1);
  }

  // This block's steps of k where the cluster shares a tile.
  struct Part {
    int begin, end;
  };
  TRAINMETER_DEVICE Part part_of(int k_steps) const {
    return {k_steps * place.rank / Config::kSplits, k_steps * (place.rank + 1) / Config::kSplits};
  }

  template <class Kernel>
  TRAINMETER_DEVICE void work(const Kernel& kernel) const {
    if (place.thread == 0) init_barriers();
    Ptx::cluster_sync();
    const int warpgroup = Ptx::uniform(place.thread / kWarpgroupThreads);
    if (warpgroup == 0) {
      if constexpr (Config::kConsumers > 1)
        Ptx::template setmaxnreg_dec<Config::kProducerRegisters>();
      const int warp = Ptx::uniform(place.thread / kWarpThreads);
      if (place.thread % kWarpThreads == 0) {
        if (warp == 0) produce(kernel);
        if (warp > 0 && warp <= Config::kConsumers) store_c(warp - 1);
      }
    } else {
      if constexpr (Config::kConsumers > 1)
        Ptx::template setmaxnreg_inc<Config::kConsumerRegisters>();
      kernel.consume(warpgroup - 1);
    }
    Ptx::cluster_sync();  // nobody arrives at the barriers of a block that has ended
  }

  // A stage is full when the producer has said how many bytes to expect and they are there, and
  // empty when every consumer warp of the cluster has read it: the other block writes it, too.
  TRAINMETER_DEVICE void init_barriers() const {
    for (int stage = 0; stage < Config::kStages; ++stage) {
      Ptx::barrier_init(full(stage), 1);
      Ptx::barrier_init(empty(stage), Config::kReaders * Config::kConsumersOfTile * 4);
    }
    for (int consumer = 0; consumer < Config::kConsumers; ++consumer) {
      for (int slot = 0; slot < Config::kSlabsHeld; ++slot) {
        Ptx::barrier_init(slab_full(consumer, slot), 4);  // by each of its warps
        Ptx::barrier_init(slab_empty(consumer, slot), 1);
      }
    }
    if constexpr (Config::kSplits > 1) {
      Ptx::barrier_init(parts_here(), 1);
      Ptx::barrier_init(part_taken(), 4);  // by each warp of the first block
    }
    Ptx::barrier_init_fence();
    if constexpr (!Tasks::kInMemory) {
      Ptx::prefetch(tasks.task.a);
      Ptx::prefetch(tasks.task.b);
      Ptx::prefetch(tasks.task.c);
    }
  }

  template <class Kernel>
  TRAINMETER_DEVICE void produce(const Kernel& kernel) const {
    Ring<Config::kStages> ring;
    int from = 0;
    [[maybe_unused]] const Task* acquired = nullptr;
    for (int index = place.cluster; index < tasks.tiles(); index += place.clusters) {
      const auto [task, tile] = tasks.at(index, from);
      if constexpr (Tasks::kInMemory) {
        if (acquired != &task) {
          acquired = &task;
          Ptx::acquire(task.a);
          Ptx::acquire(task.b);
          if constexpr (Config::kScaleBytes > 0) kernel.acquire_scales(task);
        }
      }
      if constexpr (Config::kSplits > 1) {
        const Part part = part_of(task.k_steps);
        TRAINMETER_ROLLED
        for (int step = part.begin; step < part.end; ++step, ring.advance())
          fill(kernel, task, tile, ring, step);
      } else {
        for (int step = 0; step < task.k_steps; ++step, ring.advance())
          fill(kernel, task, tile, ring, step);
      }
    }
  }

  template <class Kernel>
  TRAINMETER_DEVICE void fill(const Kernel& kernel, const Task& task, const TileAt& tile,
                              const Ring<Config::kStages>& ring, int step) const {
    Ptx::wait(empty(ring.stage), ring.parity ^ 1);
    Ptx::arrive_expecting(full(ring.stage), Config::kStageBytes + Config::kScaleBytes);
    const int k = step * Config::kStepK;
    load<typename Config::LoadsOfA>(task.a, a_of(ring.stage), ring.stage, row_of(tile), k,
                                    tile.group);
    load<typename Config::LoadsOfB>(task.b, b_of(ring.stage), ring.stage, column_of(tile), k,
                                    tile.group);
    if constexpr (Config::kScaleBytes > 0) kernel.load_scales(task, ring.stage, tile, step);
  }

  // Rows of A or columns of B from `first` on, box by box; of a shared operand this block's part,
  // to all blocks of the cluster.
  template <class Loads>
  TRAINMETER_DEVICE void load(const TensorMap& map, std::uint32_t to, int stage, int first, int k,
                              int group) const {
    const int part = Loads::kShared && !Loads::kByDepth ? place.rank * Loads::kLoaded : 0;
    const int deep = Loads::kByDepth ? place.rank * Loads::kDepth : 0;
    TRAINMETER_UNROLL
    for (int r = 0; r < Loads::kLoaded; r += Loads::kBox) {
      const std::uint32_t there = to + (part + r + deep) * kRowBytes;
      const int other = first + part + r;
      const int x = Loads::kMajor == Major::k ? k : other;
      const int y = Loads::kMajor == Major::k ? other : k + deep;
      if constexpr (Loads::kShared) {
        Ptx::load_multicast(there, map, full(stage), x, y, group, (1 << Config::kBlocks) - 1);
      } else {
        Ptx::load(there, map, full(stage), x, y, group);
      }
    }
  }

  // Consumers that have a tile together: the second begins kLead steps behind the first, and stays
  // behind, so that one has the tensor cores to itself while the other writes its C. The first says
  // when, in its first tile. Those that alternate: each begins when the other has seen all stages
  // of the tile before, since a stage's parity tells only two rounds of the ring apart. Waits for
  // this consumer's turn; returns the step in which it passes it to the other, -1 for none.
  TRAINMETER_DEVICE int wait_for_turn(int consumer, int index, int k_steps) const {
    const bool first = index == place.cluster;
    if constexpr (Config::kAlternates) {
      if (!first) Ptx::bar_sync(kTurnBarriers + consumer);
      return index + place.clusters < tasks.tiles() ? k_steps - 1 : -1;
    }
    if constexpr (Config::kLead == 0 || Config::kConsumers != 2) return -1;
    if (!first) return -1;
    if (consumer == 1) Ptx::bar_sync(kTurnBarriers + 1);
    return consumer == 1 ? -1 : (Config::kLead < k_steps ? Config::kLead : k_steps) - 1;
  }
  TRAINMETER_DEVICE void pass_turn(int consumer, int step, int pass_at) const {
    if constexpr (Config::kConsumers == 2 && (Config::kLead > 0 || Config::kAlternates)) {
      if (step == pass_at) Ptx::bar_arrive(kTurnBarriers + 1 - consumer);
    }
  }

  // For this warp, in every block that writes the stage.
  TRAINMETER_DEVICE void release(int stage) const {
    const int lane = place.thread % kWarpThreads;
    if (lane < Config::kReaders)
      Ptx::arrive_at(empty(stage), Config::kSplits > 1 ? place.rank : lane);
  }

  TRAINMETER_DEVICE std::uint32_t parts_here() const { return shared + Config::kPartBarriersAt; }
  TRAINMETER_DEVICE std::uint32_t part_taken() const { return parts_here() + 8; }

  // The sums of the cluster's blocks, each of its part of k, added up in the first, which keeps
  // them: the others send theirs, four values a thread at a time. `parity`: of the next tile, 0 at
  // first.
  TRAINMETER_DEVICE void combine(std::uint32_t& parity, float (&c)[Config::kColumns / 2]) const {
    constexpr int kFour = 4 * kWarpgroupThreads * static_cast<int>(sizeof(float));
    const int thread = place.thread % kWarpgroupThreads;
    const std::uint32_t own = shared + Config::kPartsAt + thread * 16;
    if (place.rank > 0) {
      Ptx::wait(part_taken(), parity ^ 1);
      TRAINMETER_UNROLL
      for (int i = 0; i < Config::kColumns / 2; i += 4) {
        const std::uint32_t to = own + (place.rank - 1) * Config::kPartBytes + i / 4 * kFour;
        Ptx::st_async_v4(to, &c[i], parts_here(), 0);
      }
    } else {
      if (thread == 0) Ptx::arrive_expecting(parts_here(), Config::kPartsBytes);
      Ptx::wait(parts_here(), parity);
      TRAINMETER_ROLLED
      for (int part = 0; part < Config::kSplits - 1; ++part) {
        TRAINMETER_UNROLL
        for (int i = 0; i < Config::kColumns / 2; i += 4) {
          float four[4];
          Ptx::read_shared_four(own + part * Config::kPartBytes + i / 4 * kFour, four);
          TRAINMETER_UNROLL
          for (int j = 0; j < 4; ++j) c[i + j] += four[j];
        }
      }
      Ptx::warp_sync();
      const int lane = place.thread % kWarpThreads;
      if (lane > 0 && lane < Config::kSplits) Ptx::arrive_at(part_taken(), lane);
    }
    parity ^= 1;
  }

  // The first of an mma_tile's rows: where its A lies in a stage, and its C in the tile.
  TRAINMETER_DEVICE static int first_row(int consumer, int mma_tile) {
    return ((Config::kAlternates ? 0 : consumer * Config::kMmaTiles) + mma_tile) * kMmaRows;
  }

  // Descriptors of what a consumer multiplies in the ring's first stage; a stage's are `stage`
  // times kStageBytes further on.
  TRAINMETER_DEVICE std::uint64_t first_a(int consumer, int mma_tile) const {
    return operand_descriptor(a_of(0) + first_row(consumer, mma_tile) * kRowBytes);
  }
  TRAINMETER_DEVICE std::uint64_t first_b() const { return operand_descriptor(b_of(0)); }

  // A consumer's part of a tile of C, from its registers to shared memory, a slab of columns at a
  // time: as bf16, or in fp32. `parity`: of the slots' next round, 0 at first.
  TRAINMETER_DEVICE void write(int consumer, std::uint32_t& parity,
                               const float (&c)[Config::kMmaTiles][Config::kColumns / 2]) const {
    TRAINMETER_UNROLL
    for (int slab = 0; slab < Config::kSlabs; ++slab) {
      const int slot = slab % Config::kSlabsHeld;
      const int column = Config::column_of_slab(slab % Config::kSlabsOfMmaTile);
      Ptx::wait(slab_empty(consumer, slot), parity ^ 1);
      stage(slab_of(consumer, slot), c[slab / Config::kSlabsOfMmaTile] + column / 2);
      Ptx::fence_proxy_async();
      Ptx::warp_sync();
      if (place.thread % kWarpThreads == 0) Ptx::arrive_at(slab_full(consumer, slot), place.rank);
      if (slot == Config::kSlabsHeld - 1) parity ^= 1;
    }
  }

  // And from there to memory, by a thread that does nothing else, so that the consumer's go on. One
  // slab at a time is on its way.
  TRAINMETER_DEVICE void store_c(int consumer) const {
    if constexpr (Config::kSplits > 1) {
      if (place.rank > 0) return;
    }
    Ring<Config::kSlabsHeld> ring;
    int from = 0;
    [[maybe_unused]] const Task* acquired = nullptr;
    for (int index = first_tile(consumer); index < tasks.tiles(); index += tiles_on()) {
      const auto [task, tile] = tasks.at(index, from);
      if constexpr (Tasks::kInMemory) {
        if (acquired != &task) {
          acquired = &task;
          Ptx::acquire(task.c);
        }
      }
      for (int mma_tile = 0; mma_tile < Config::kMmaTiles; ++mma_tile) {
        const int row = row_of(tile) + first_row(consumer, mma_tile);
        for (int i = 0; i < Config::kSlabsOfMmaTile; ++i, ring.advance()) {
          const int column = column_of(tile) + Config::column_of_slab(i);
          Ptx::wait(slab_full(consumer, ring.stage), ring.parity);
          const std::uint32_t slab = slab_of(consumer, ring.stage);
          if constexpr (Config::kAdds) {
            Ptx::add(task.c, slab, column, row, tile.group);
          } else {
            Ptx::store(task.c, slab, column, row, tile.group, task.policy_of_c);
          }
          Ptx::wait_for_reads();
          Ptx::arrive_at(slab_empty(consumer, ring.stage), place.rank);
        }
      }
    }
  }

  TRAINMETER_DEVICE void stage(std::uint32_t staged, const float* values) const {
    if constexpr (Config::kFp32Out) {
      stage_fp32(staged, values);
    } else {
      stage_bf16(staged, values);
    }
  }

  TRAINMETER_DEVICE void stage_bf16(std::uint32_t staged, const float* values) const {
    const int thread = place.thread % kWarpgroupThreads;
    TRAINMETER_UNROLL
    for (int chunk = 0; chunk < Config::kStoreColumns / 8; chunk += 2) {
      const float* v = values + chunk * 4;
      const std::uint32_t words[4] = {Ptx::bf16_pair(v[0], v[1]), Ptx::bf16_pair(v[2], v[3]),
                                      Ptx::bf16_pair(v[4], v[5]), Ptx::bf16_pair(v[6], v[7])};
      Ptx::stmatrix(staged + swizzled(stmatrix_row(thread) * kRowBytes +
                                      (chunk + stmatrix_chunk(thread)) * 16),
                    words);
    }
  }

  TRAINMETER_DEVICE void stage_fp32(std::uint32_t staged, const float* values) const {
    const int thread = place.thread % kWarpgroupThreads;
    TRAINMETER_UNROLL
    for (int i = 0; i < Config::kStoreColumns / 2; i += 2) {
      Ptx::store_pair(
          staged + swizzled(fragment_row(thread, i) * kRowBytes + fragment_column(thread, i) * 4),
          values[i], values[i + 1]);
    }
  }
};

}  // namespace trainmeter::hopper
