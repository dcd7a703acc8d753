// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What follows from the size of a GEMM's tile on Hopper: who loads how much of it, and where it all
// lies in shared memory. gemm_hopper_parts.hpp works by it.
#pragma once

#include "kernels/hopper_layout.hpp"

namespace trainmeter::hopper {

constexpr int kMmaRows = 64;  // of one wgmma
constexpr int kBoxRows = 64;  // of C that one TMA store writes, each a row of swizzled memory

// What the blocks of a cluster share: an operand, or one tile, of whose k each multiplies its part.
enum class Shared { a, b, tile };

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
  static constexpr int kSplits = kSharedOperand == Shared::tile ? kBlocks : 1;  // of k
  static constexpr int kReaders = kBlocks / kSplits;  // blocks that read one block's loads
  static constexpr int kRowsLoaded = kSharesA ? kRows / kBlocks : kRows;
  static constexpr int kColumnsLoaded = kSharesB ? kColumns / kBlocks : kColumns;
  // Of C, that a cluster has the tiles of.
  static constexpr int kClusterRows = kSharesB ? kRows * kBlocks : kRows;
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
  // Sums of the blocks but the first, where k is split; they come to the first one.
  static constexpr int kPartBytes = kRows * kColumns * 4;
  static constexpr int kPartsBytes = (kSplits - 1) * kPartBytes;
  static constexpr int kRest = kStages * (kScaleBytes + 2 * 8) + kPartsBytes + kAtomBytes;
  // That there is room for beside the ring: all, so that the next tile begins while TMA writes; or
  // two, one being filled while TMA reads the other.
  static constexpr int kSlabsHeld =
      kStaging + kConsumers * kSlabs * (kSlabBytes + 2 * 8) + kRest <= kSharedBytes ? kSlabs : 2;
  static constexpr int kParts = kStaging + kConsumers * kSlabsHeld * kSlabBytes;
  static constexpr int kScales = kParts + kPartsBytes;
  static constexpr int kBarriers = kScales + kStages * kScaleBytes;
  static constexpr int kSlabBarriers = kBarriers + 2 * kStages * 8;
  static constexpr int kPartBarriers = kSlabBarriers + 2 * kConsumers * kSlabsHeld * 8;
  static constexpr int kBytes = kPartBarriers + (kSplits > 1 ? 2 * 8 : 0);
  static constexpr int kSharedAsked = kBytes + kAtomBytes;  // the window's start is only 16-aligned

  static_assert(kRows == kWaves * kConsumers * kMmaRows && kColumns % kSlab == 0);
  static_assert(kRowsLoaded % 64 == 0 && kColumnsLoaded % 64 == 0);
  static_assert(kBoxRowsA <= 256 && kBoxRowsB <= 256, "TMA's limit");
  static_assert(kSlabs % kSlabsHeld == 0, "each tile starts with the first slab");
  static_assert(kBytesA % kAtomBytes == 0 && kBytesB % kAtomBytes == 0);
  static_assert(kScaleBytes % 128 == 0, "TMA writes to multiples of 128 bytes");
  static_assert(kSplits == 1 || kConsumers == 1, "a block sends and adds by one warpgroup");
  static_assert(kSharedAsked <= kSharedBytes);
};

}  // namespace trainmeter::hopper
