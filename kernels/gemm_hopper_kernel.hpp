// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The bf16 GEMM for Hopper: C[m,n] = A[m,k] B[k,n], fp32 accumulation, bf16 out, any m, n, k.
//
// Thread blocks are persistent: each works through every so many-th tile of C. Its first warpgroup
// is the producer: one thread has TMA fill a ring of stages, each 64 deep in k. The others are
// consumers, each with 64 rows of the tile in its registers. Two blocks of a cluster have tiles
// below each other: each loads half of the B that both need and multicasts it. An epilogue writes C
// through shared memory, while the producer already loads for the next tile. TMA reads zeros
// outside of A and B and writes nothing outside of C, so that ragged edges need no code.
//
// `Ptx` stands for the instructions: hopper_ptx.cuh, or their models in tests.
#pragma once

#include "kernels/gemm.hpp"
#include "kernels/hopper_layout.hpp"
#include "kernels/tile_schedule.hpp"

#include <cstdint>

#ifdef __CUDACC__
#define TRAINMETER_DEVICE __device__ __forceinline__
#define TRAINMETER_UNROLL _Pragma("unroll")
#else
#define TRAINMETER_DEVICE inline
#define TRAINMETER_UNROLL
#endif

namespace trainmeter::hopper {

constexpr int kStepK = 64;     // elements of k in a stage: a row of swizzled memory
constexpr int kSlab = 64;      // columns of C that one TMA store writes: again such a row
constexpr int kMmaK = 16;      // of one wgmma
constexpr int kSlabsHeld = 2;  // of a consumer's C, one being written while TMA reads the other

// One kernel of the family: a tile of kRows x kColumns of C a block, kBlocks blocks a cluster.
template <int kRowsOfTile, int kColumnsOfTile, int kBlocksOfCluster, int kStagesOfRing,
          Layout kLayout>
struct GemmConfig {
  static constexpr int kRows = kRowsOfTile;
  static constexpr int kColumns = kColumnsOfTile;
  static constexpr int kBlocks = kBlocksOfCluster;
  static constexpr int kStages = kStagesOfRing;
  static constexpr Major kMajorA = kLayout == Layout::tn ? Major::mn : Major::k;
  static constexpr Major kMajorB = kLayout == Layout::nt ? Major::k : Major::mn;

  static constexpr int kConsumers = kRows / 64;
  static constexpr int kThreads = (1 + kConsumers) * kWarpgroupThreads;
  static constexpr int kColumnsLoaded = kColumns / kBlocks;  // of B by each block of the cluster
  // Rows (of m or n) of one TMA box; an mn-major box is a slab of 64.
  static constexpr int kBoxRowsA = kMajorA == Major::k ? kRows : 64;
  static constexpr int kBoxRowsB = kMajorB == Major::k ? kColumnsLoaded : 64;

  // Shared memory, from a multiple of 1024 bytes.
  static constexpr int kBytesA = kRows * kRowBytes;
  static constexpr int kBytesB = kColumns * kRowBytes;
  static constexpr int kStageBytes = kBytesA + kBytesB;
  static constexpr int kSlabBytes = 64 * kRowBytes;
  static constexpr int kStaging = kStages * kStageBytes;
  static constexpr int kBarriers = kStaging + kConsumers * kSlabsHeld * kSlabBytes;
  static constexpr int kBytes = kBarriers + 2 * kStages * 8;
  static constexpr int kSharedAsked = kBytes + kAtomBytes;  // the window's start is only 16-aligned

  static_assert(kRows % 64 == 0 && kColumns % kSlab == 0);
  static_assert(kColumnsLoaded % 64 == 0 && kBoxRowsA <= 256 && kBoxRowsB <= 256, "TMA's limit");
  static_assert(kColumns / kSlab % kSlabsHeld == 0, "each tile starts with the first slab");
  static_assert(kBytesA % kAtomBytes == 0 && kBytesB % kAtomBytes == 0);
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
  constexpr int kRows = Config::kRows * Config::kBlocks;
  return {(m + kRows - 1) / kRows, (n + Config::kColumns - 1) / Config::kColumns, groups};
}

// C and its operands as TMA sees them, {contiguous, other, group}, and how much there is to do. A
// tile of the grid is one cluster's: kBlocks tiles below each other.
template <class TensorMap>
struct GemmTask {
  TensorMap a;
  TensorMap b;
  TensorMap c;
  TileGrid grid;
  int k_steps = 0;
};

template <class Config, class Ptx>
struct GemmKernel {
  using Task = GemmTask<typename Ptx::TensorMap>;

  const Task& task;
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

  TRAINMETER_DEVICE void run() const {
    if (place.thread == 0) init_barriers();
    Ptx::cluster_sync();
    const int warpgroup = place.thread / kWarpgroupThreads;
    if (warpgroup == 0) {
      if constexpr (Config::kConsumers > 1) Ptx::template fewer_registers<40>();
      if (place.thread == 0) produce();
    } else {
      if constexpr (Config::kConsumers > 1) Ptx::template more_registers<232>();
      consume(warpgroup - 1);
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
    Ptx::barrier_init_fence();
    Ptx::prefetch(task.a);
    Ptx::prefetch(task.b);
    Ptx::prefetch(task.c);
  }

  TRAINMETER_DEVICE void produce() const {
    Ring<Config::kStages> ring;
    for (int index = place.cluster; index < task.grid.count(); index += place.clusters) {
      const TileAt tile = tile_at(task.grid, index);
      const int row = (tile.row * Config::kBlocks + place.rank) * Config::kRows;
      const int column = tile.column * Config::kColumns + place.rank * Config::kColumnsLoaded;
      for (int step = 0; step < task.k_steps; ++step, ring.advance()) {
        Ptx::wait(empty(ring.stage), ring.parity ^ 1);
        Ptx::arrive_expecting(full(ring.stage), Config::kStageBytes);
        load_a(ring.stage, row, step * kStepK, tile.group);
        load_b(ring.stage, column, step * kStepK, tile.group);
      }
    }
  }

  TRAINMETER_DEVICE void load_a(int stage, int row, int k, int group) const {
    TRAINMETER_UNROLL
    for (int r = 0; r < Config::kRows; r += Config::kBoxRowsA) {
      const std::uint32_t to = a_of(stage) + r * kRowBytes;
      if constexpr (Config::kMajorA == Major::k) {
        Ptx::load(to, task.a, full(stage), k, row + r, group);
      } else {
        Ptx::load(to, task.a, full(stage), row + r, k, group);
      }
    }
  }

  // This block's part of B, to all blocks of the cluster.
  TRAINMETER_DEVICE void load_b(int stage, int column, int k, int group) const {
    const int part = place.rank * Config::kColumnsLoaded * kRowBytes;
    TRAINMETER_UNROLL
    for (int c = 0; c < Config::kColumnsLoaded; c += Config::kBoxRowsB) {
      const std::uint32_t to = b_of(stage) + part + c * kRowBytes;
      const int x = Config::kMajorB == Major::k ? k : column + c;
      const int y = Config::kMajorB == Major::k ? column + c : k;
      if constexpr (Config::kBlocks > 1) {
        Ptx::load_multicast(to, task.b, full(stage), x, y, group, (1 << Config::kBlocks) - 1);
      } else {
        Ptx::load(to, task.b, full(stage), x, y, group);
      }
    }
  }

  TRAINMETER_DEVICE void consume(int consumer) const {
    Ring<Config::kStages> ring;
    for (int index = place.cluster; index < task.grid.count(); index += place.clusters) {
      float c[Config::kColumns / 2];
      multiply(consumer, ring, c);
      const TileAt tile = tile_at(task.grid, index);
      const int row = (tile.row * Config::kBlocks + place.rank) * Config::kRows + consumer * 64;
      write(consumer, c, tile.column * Config::kColumns, row, tile.group);
    }
    if (place.thread % kWarpgroupThreads == 0) Ptx::template wait_for_reads<0>();
  }

  // One step's wgmmas stay in flight while the next step's are issued; a stage is given back when
  // the step after it has been issued.
  TRAINMETER_DEVICE void multiply(int consumer, Ring<Config::kStages>& ring,
                                  float (&c)[Config::kColumns / 2]) const {
    int read = ring.stage;
    for (int step = 0; step < task.k_steps; ++step, ring.advance()) {
      Ptx::wait(full(ring.stage), ring.parity);
      Ptx::wgmma_fence();
      const std::uint32_t a = a_of(ring.stage) + consumer * 64 * kRowBytes;
      TRAINMETER_UNROLL
      for (int k = 0; k < kStepK / kMmaK; ++k) {
        Ptx::template wgmma<Config::kMajorA == Major::mn, Config::kMajorB == Major::mn>(
            c, operand_descriptor(a + k * step_bytes(Config::kMajorA)),
            operand_descriptor(b_of(ring.stage) + k * step_bytes(Config::kMajorB)),
            step > 0 || k > 0);
      }
      Ptx::wgmma_commit();
      if (step > 0) {
        Ptx::template wgmma_wait<1>();
        release(read);
      }
      read = ring.stage;
    }
    Ptx::template wgmma_wait<0>();
    Ptx::settle(c);
    release(read);
  }

  // For this warp, in every block that writes the stage.
  TRAINMETER_DEVICE void release(int stage) const {
    const int lane = place.thread % kWarpThreads;
    if (lane < Config::kBlocks) Ptx::arrive_at(empty(stage), lane);
  }

  TRAINMETER_DEVICE void write(int consumer, const float (&c)[Config::kColumns / 2], int column,
                               int row, int group) const {
    const bool leads = place.thread % kWarpgroupThreads == 0;
    const int thread = place.thread % kWarpgroupThreads;
    TRAINMETER_UNROLL
    for (int slab = 0; slab < Config::kColumns / kSlab; ++slab) {
      const std::uint32_t staged = shared + Config::kStaging +
                                   (consumer * kSlabsHeld + slab % kSlabsHeld) * Config::kSlabBytes;
      if (leads) Ptx::template wait_for_reads<kSlabsHeld - 1>();
      Ptx::warpgroup_sync(1 + consumer);
      TRAINMETER_UNROLL
      for (int chunk = 0; chunk < kSlab / 8; chunk += 2) {
        const float* v = c + (slab * kSlab / 8 + chunk) * 4;
        const std::uint32_t words[4] = {Ptx::bf16_pair(v[0], v[1]), Ptx::bf16_pair(v[2], v[3]),
                                        Ptx::bf16_pair(v[4], v[5]), Ptx::bf16_pair(v[6], v[7])};
        Ptx::stmatrix(staged + swizzled(stmatrix_row(thread) * kRowBytes +
                                        (chunk + stmatrix_chunk(thread)) * 16),
                      words);
      }
      Ptx::fence_for_tma();
      Ptx::warpgroup_sync(1 + consumer);
      if (leads) Ptx::store(task.c, staged, column + slab * kSlab, row, group);
    }
  }
};

}  // namespace trainmeter::hopper
