// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the GEMM kernels for Hopper share: the ring of stages, the producer that fills it, and the
// way of C to memory.
//
// Thread blocks are persistent: each works through every so many-th tile of C. Its first warpgroup
// is the producer: one thread has TMA fill a ring of stages, each a row of swizzled memory (128
// bytes) deep in k. The others are consumers: each multiplies its rows of the tile, 64 at a time,
// and has the sums in its registers. Two blocks of a cluster have tiles below each other, and each
// loads half of the B that both need and multicasts it; or tiles beside each other, and share A. C
// goes out through shared memory, slab by slab: a thread of the producer's warpgroup for each
// consumer has TMA write it, while the next tile is multiplied. TMA reads zeros outside of A and B
// and writes nothing outside of C, so that ragged edges need no code.
//
// `Ptx` stands for the instructions: hopper_ptx.cuh, or their models in tests.
#pragma once

#include "kernels/hopper_layout.hpp"
#include "kernels/host_device.hpp"
#include "kernels/tile_schedule.hpp"

#include <cstdint>

namespace trainmeter::hopper {

constexpr int kMmaRows = 64;  // of one wgmma
constexpr int kBoxRows = 64;  // of C that one TMA store writes, each a row of swizzled memory

// What L2 is told of lines, as createpolicy encodes it: CUTLASS, TMA::CacheHintSm90.
using CachePolicy = std::uint64_t;
constexpr CachePolicy kEvictNormally = 0x1000000000000000;
constexpr CachePolicy kEvictFirst = 0x12F0000000000000;

constexpr int kPairBarrier = 1;  // a named one; 0 is __syncthreads'

// The operand that the blocks of a cluster share.
enum class Shared { a, b };

// Sizes that follow from a tile of kRows x kColumns, kBlocks of them a cluster, a ring of kStages
// and the types: bytes an element of A and B and of C, bytes of scales a stage.
template <int kRowsOfTile, int kColumnsOfTile, int kBlocksOfCluster, Shared kSharedOperand,
          int kStagesOfRing, Major kA, Major kB, int kBytesOfOperand, int kBytesOfC,
          int kScaleBytesOfStage, int kLeadOfFirst = 0>
struct TileConfig {
  static constexpr int kRows = kRowsOfTile;
  static constexpr int kColumns = kColumnsOfTile;
  static constexpr int kBlocks = kBlocksOfCluster;
  static constexpr int kStages = kStagesOfRing;
  static constexpr int kLead = kLeadOfFirst;  // steps that the first consumer is ahead
  static constexpr Major kMajorA = kA;
  static constexpr Major kMajorB = kB;
  static constexpr bool kFp32Out = kBytesOfC == 4;
  static constexpr int kStepK = kRowBytes / kBytesOfOperand;  // elements of k in a stage
  static constexpr int kSlab = kRowBytes / kBytesOfC;         // columns of C in a TMA store

  static constexpr int kConsumers = kRows == kMmaRows ? 1 : 2;
  static constexpr int kWaves = kRows / kMmaRows / kConsumers;  // of 64 rows, of each consumer
  static constexpr int kThreads = (1 + kConsumers) * kWarpgroupThreads;
  // By each block of the cluster, of the A and B that a tile needs.
  static constexpr bool kSharesA = kBlocks > 1 && kSharedOperand == Shared::a;
  static constexpr bool kSharesB = kBlocks > 1 && kSharedOperand == Shared::b;
  static constexpr int kRowsLoaded = kSharesA ? kRows / kBlocks : kRows;
  static constexpr int kColumnsLoaded = kSharesB ? kColumns / kBlocks : kColumns;
  // Of C, that a cluster has the tiles of.
  static constexpr int kClusterRows = kSharesA ? kRows : kRows * kBlocks;
  static constexpr int kClusterColumns = kSharesA ? kColumns * kBlocks : kColumns;
  // Rows (of m or n) of one TMA box; an mn-major box is a slab of 64.
  static constexpr int kBoxRowsA = kMajorA == Major::k ? kRowsLoaded : 64;
  static constexpr int kBoxRowsB = kMajorB == Major::k ? kColumnsLoaded : 64;

  // Shared memory, from a multiple of 1024 bytes.
  static constexpr int kBytesA = kRows * kRowBytes;
  static constexpr int kBytesB = kColumns * kRowBytes;
  static constexpr int kStageBytes = kBytesA + kBytesB;
  static constexpr int kSlabBytes = kBoxRows * kRowBytes;
  static constexpr int kStaging = kStages * kStageBytes;
  static constexpr int kScaleBytes = kScaleBytesOfStage;
  static constexpr int kSlabs = kWaves * kColumns / kSlab;  // of a consumer's C
  static constexpr int kRest = kStages * (kScaleBytes + 2 * 8) + kAtomBytes;
  // That there is room for beside the ring: all, so that the next tile begins while TMA writes; or
  // two, one being filled while TMA reads the other.
  static constexpr int kSlabsHeld =
      kStaging + kConsumers * kSlabs * (kSlabBytes + 2 * 8) + kRest <= kSharedBytes ? kSlabs : 2;
  static constexpr int kScales = kStaging + kConsumers * kSlabsHeld * kSlabBytes;
  static constexpr int kBarriers = kScales + kStages * kScaleBytes;
  static constexpr int kSlabBarriers = kBarriers + 2 * kStages * 8;
  static constexpr int kBytes = kSlabBarriers + 2 * kConsumers * kSlabsHeld * 8;
  static constexpr int kSharedAsked = kBytes + kAtomBytes;  // the window's start is only 16-aligned

  static_assert(kRows == kWaves * kConsumers * kMmaRows && kColumns % kSlab == 0);
  static_assert(kRowsLoaded % 64 == 0 && kColumnsLoaded % 64 == 0);
  static_assert(kBoxRowsA <= 256 && kBoxRowsB <= 256, "TMA's limit");
  static_assert(kSlabs % kSlabsHeld == 0, "each tile starts with the first slab");
  static_assert(kBytesA % kAtomBytes == 0 && kBytesB % kAtomBytes == 0);
  static_assert(kScaleBytes % 128 == 0, "TMA writes to multiples of 128 bytes");
  static_assert(kSharedAsked <= kSharedBytes);
};

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
};

struct Place {
  int thread = 0;
  int rank = 0;  // of the block in its cluster
  int cluster = 0;
  int clusters = 0;
};

// The clusters' tiles of C, m x n, in each group.
template <class Config>
constexpr TileGrid grid_of(int m, int n, int groups) {
  constexpr int kRows = Config::kClusterRows;
  constexpr int kColumns = Config::kClusterColumns;
  return {(m + kRows - 1) / kRows, (n + kColumns - 1) / kColumns, groups};
}

// C and its operands as TMA sees them, {contiguous, other, group}, and how much there is to do. A
// tile of the grid is one cluster's: kBlocks tiles below or beside each other.
template <class TensorMap>
struct GemmTask {
  TensorMap a;
  TensorMap b;
  TensorMap c;
  TileGrid grid;
  int k_steps = 0;
  CachePolicy policy_of_c = kEvictNormally;
};

// A tile and the task that it belongs to.
template <class Task>
struct TileOfTask {
  const Task& task;
  TileAt tile;
};

// What a launch works through: one task,
template <class TaskType>
struct OneTask {
  using Task = TaskType;
  const Task& task;

  TRAINMETER_DEVICE int tiles() const { return task.grid.count(); }
  TRAINMETER_DEVICE const Task& first() const { return task; }
  TRAINMETER_DEVICE TileOfTask<Task> at(int index, int& /*from*/) const {
    return {task, tile_at(task.grid, index)};
  }
};

// or several, each with sizes of its own: experts, say. Those without tiles are passed over.
template <class TaskType>
struct TaskList {
  using Task = TaskType;
  const Task* tasks = nullptr;
  const int* begins = nullptr;  // of each task, its first tile's index; then how many there are
  int count = 0;

  TRAINMETER_DEVICE int tiles() const { return begins[count]; }
  TRAINMETER_DEVICE const Task& first() const { return tasks[0]; }
  // `from`: the task of an earlier index, 0 before the first.
  TRAINMETER_DEVICE TileOfTask<Task> at(int index, int& from) const {
    while (index >= begins[from + 1]) ++from;
    return {tasks[from], tile_at(tasks[from].grid, index - begins[from])};
  }
};

// A kernel derives from this, adds consume(consumer), and calls work().
template <class Config, class Ptx, class Tasks>
struct GemmParts {
  using Task = typename Tasks::Task;
  using TensorMap = typename Ptx::TensorMap;

  Tasks tasks;
  std::uint32_t shared;  // address of kBytes, a multiple of 1024
  Place place;

  TRAINMETER_DEVICE std::uint32_t full(int stage) const {
    return shared + Config::kBarriers + stage * 8;
  }
  TRAINMETER_DEVICE std::uint32_t empty(int stage) const { return full(Config::kStages + stage); }
  TRAINMETER_DEVICE std::uint32_t a_of(int stage) const {
    return shared + stage * Config::kStageBytes;
  }
  TRAINMETER_DEVICE std::uint32_t b_of(int stage) const { return a_of(stage) + Config::kBytesA; }
  TRAINMETER_DEVICE std::uint32_t scales_of(int stage) const {
    return shared + Config::kScales + stage * Config::kScaleBytes;
  }

  TRAINMETER_DEVICE std::uint32_t slab_of(int consumer, int slot) const {
    return shared + Config::kStaging + (consumer * Config::kSlabsHeld + slot) * Config::kSlabBytes;
  }
  TRAINMETER_DEVICE std::uint32_t filled(int consumer, int slot) const {
    return shared + Config::kSlabBarriers + (consumer * Config::kSlabsHeld + slot) * 8;
  }
  TRAINMETER_DEVICE std::uint32_t taken(int consumer, int slot) const {
    return filled(Config::kConsumers + consumer, slot);
  }

  // Element coordinates of this block's part of a tile.
  TRAINMETER_DEVICE int row_of(const TileAt& tile) const {
    return tile.row * Config::kClusterRows + (Config::kSharesA ? 0 : place.rank * Config::kRows);
  }
  TRAINMETER_DEVICE int column_of(const TileAt& tile) const {
    return tile.column * Config::kClusterColumns +
           (Config::kSharesA ? place.rank * Config::kColumns : 0);
  }

  template <class Kernel>
  TRAINMETER_DEVICE void work(const Kernel& kernel) const {
    if (place.thread == 0) init_barriers();
    Ptx::cluster_sync();
    const int warpgroup = Ptx::uniform(place.thread / kWarpgroupThreads);
    if (warpgroup == 0) {
      if constexpr (Config::kConsumers > 1) Ptx::template fewer_registers<40>();
      const int warp = Ptx::uniform(place.thread / kWarpThreads);
      if (place.thread % kWarpThreads == 0) {
        if (warp == 0) produce(kernel);
        if (warp > 0 && warp <= Config::kConsumers) carry(warp - 1);
      }
    } else {
      if constexpr (Config::kConsumers > 1) Ptx::template more_registers<232>();
      kernel.consume(warpgroup - 1);
    }
    Ptx::cluster_sync();  // nobody arrives at the barriers of a block that has ended
  }

  // A stage is full when the producer has said how many bytes to expect and they are there, and
  // empty when every consumer warp of the cluster has read it: the other block writes it, too.
  TRAINMETER_DEVICE void init_barriers() const {
    for (int stage = 0; stage < Config::kStages; ++stage) {
      Ptx::barrier_init(full(stage), 1);
      Ptx::barrier_init(empty(stage), Config::kBlocks * Config::kConsumers * 4);
    }
    for (int consumer = 0; consumer < Config::kConsumers; ++consumer) {
      for (int slot = 0; slot < Config::kSlabsHeld; ++slot) {
        Ptx::barrier_init(filled(consumer, slot), 4);  // by each of its warps
        Ptx::barrier_init(taken(consumer, slot), 1);
      }
    }
    Ptx::barrier_init_fence();
    Ptx::prefetch(tasks.first().a);
    Ptx::prefetch(tasks.first().b);
    Ptx::prefetch(tasks.first().c);
  }

  template <class Kernel>
  TRAINMETER_DEVICE void produce(const Kernel& kernel) const {
    Ring<Config::kStages> ring;
    int from = 0;
    for (int index = place.cluster; index < tasks.tiles(); index += place.clusters) {
      const auto [task, tile] = tasks.at(index, from);
      for (int step = 0; step < task.k_steps; ++step, ring.advance()) {
        Ptx::wait(empty(ring.stage), ring.parity ^ 1);
        Ptx::arrive_expecting(full(ring.stage), Config::kStageBytes + Config::kScaleBytes);
        const int k = step * Config::kStepK;
        load<Config::kMajorA, Config::kRowsLoaded, Config::kBoxRowsA, Config::kSharesA>(
            task.a, a_of(ring.stage), ring.stage, row_of(tile), k, tile.group);
        load<Config::kMajorB, Config::kColumnsLoaded, Config::kBoxRowsB, Config::kSharesB>(
            task.b, b_of(ring.stage), ring.stage, column_of(tile), k, tile.group);
        if constexpr (Config::kScaleBytes > 0) kernel.load_scales(task, ring.stage, tile, step);
      }
    }
  }

  // kRows rows of A or columns of B from `first` on, box by box; of a shared operand this block's
  // part, to all blocks of the cluster.
  template <Major kMajor, int kRows, int kBoxRows, bool kShared>
  TRAINMETER_DEVICE void load(const TensorMap& map, std::uint32_t to, int stage, int first, int k,
                              int group) const {
    const int part = kShared ? place.rank * kRows : 0;
    TRAINMETER_UNROLL
    for (int r = 0; r < kRows; r += kBoxRows) {
      const std::uint32_t there = to + (part + r) * kRowBytes;
      const int other = first + part + r;
      const int x = kMajor == Major::k ? k : other;
      const int y = kMajor == Major::k ? other : k;
      if constexpr (kShared) {
        Ptx::load_multicast(there, map, full(stage), x, y, group, (1 << Config::kBlocks) - 1);
      } else {
        Ptx::load(there, map, full(stage), x, y, group);
      }
    }
  }

  // The second consumer begins kLead steps behind the first, and stays behind: so one has the
  // tensor cores to itself while the other writes its C. The first says when, in its first tile.
  TRAINMETER_DEVICE int step_to_tell(int consumer, bool first_tile, int k_steps) const {
    if constexpr (Config::kLead == 0 || Config::kConsumers == 1) return -1;
    if (!first_tile) return -1;
    if (consumer == 1) Ptx::wait_for_pair(kPairBarrier);
    return consumer == 1 ? -1 : (Config::kLead < k_steps ? Config::kLead : k_steps) - 1;
  }
  TRAINMETER_DEVICE void tell(int step, int step_to_tell) const {
    if constexpr (Config::kLead > 0 && Config::kConsumers > 1) {
      if (step == step_to_tell) Ptx::say_to_pair(kPairBarrier);
    }
  }

  // For this warp, in every block that writes the stage.
  TRAINMETER_DEVICE void release(int stage) const {
    const int lane = place.thread % kWarpThreads;
    if (lane < Config::kBlocks) Ptx::arrive_at(empty(stage), lane);
  }

  // Rows of a wave: where its A lies in a stage, and its C in the tile.
  TRAINMETER_DEVICE static int first_row(int consumer, int wave) {
    return (consumer * Config::kWaves + wave) * kMmaRows;
  }

  // Descriptors of what a consumer multiplies in the ring's first stage; a stage's are `stage`
  // times kStageBytes further on.
  TRAINMETER_DEVICE std::uint64_t first_a(int consumer, int wave) const {
    return operand_descriptor(a_of(0) + first_row(consumer, wave) * kRowBytes);
  }
  TRAINMETER_DEVICE std::uint64_t first_b() const { return operand_descriptor(b_of(0)); }

  // A consumer's part of a tile of C, from its registers to shared memory, a slab of columns at a
  // time: as bf16, or in fp32. `parity`: of the slots' next round, 0 at first.
  TRAINMETER_DEVICE void write(int consumer, std::uint32_t& parity,
                               const float (&c)[Config::kWaves][Config::kColumns / 2]) const {
    constexpr int kOfWave = Config::kColumns / Config::kSlab;
    TRAINMETER_UNROLL
    for (int slab = 0; slab < Config::kSlabs; ++slab) {
      const int slot = slab % Config::kSlabsHeld;
      Ptx::wait(taken(consumer, slot), parity ^ 1);
      stage(slab_of(consumer, slot), c[slab / kOfWave] + slab % kOfWave * Config::kSlab / 2);
      Ptx::fence_for_tma();
      Ptx::warp_sync();
      if (place.thread % kWarpThreads == 0) Ptx::arrive_at(filled(consumer, slot), place.rank);
      if (slot == Config::kSlabsHeld - 1) parity ^= 1;
    }
  }

  // And from there to memory, by a thread that does nothing else, so that the consumer's go on. One
  // slab at a time is on its way.
  TRAINMETER_DEVICE void carry(int consumer) const {
    Ring<Config::kSlabsHeld> ring;
    int from = 0;
    for (int index = place.cluster; index < tasks.tiles(); index += place.clusters) {
      const auto [task, tile] = tasks.at(index, from);
      for (int wave = 0; wave < Config::kWaves; ++wave) {
        const int row = row_of(tile) + first_row(consumer, wave);
        for (int column = 0; column < Config::kColumns; column += Config::kSlab, ring.advance()) {
          Ptx::wait(filled(consumer, ring.stage), ring.parity);
          const std::uint32_t slab = slab_of(consumer, ring.stage);
          if constexpr (Config::kAdds) {
            Ptx::add(task.c, slab, column_of(tile) + column, row, tile.group);
          } else {
            Ptx::store(task.c, slab, column_of(tile) + column, row, tile.group, task.policy_of_c);
          }
          Ptx::wait_for_reads();
          Ptx::arrive_at(taken(consumer, ring.stage), place.rank);
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
    for (int chunk = 0; chunk < Config::kSlab / 8; chunk += 2) {
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
    for (int i = 0; i < Config::kSlab / 2; i += 2) {
      Ptx::store_pair(
          staged + swizzled(fragment_row(thread, i) * kRowBytes + fragment_column(thread, i) * 4),
          values[i], values[i + 1]);
    }
  }
};

}  // namespace trainmeter::hopper
