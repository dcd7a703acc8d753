// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What follows from the size of a GEMM's tile on Hopper: who loads how much of it, and where it all
// lies in shared memory. gemm_hopper_parts.hpp works by it.
#pragma once

#include "kernels/hopper_layout.hpp"
#include "kernels/rounding.hpp"

namespace trainmeter::hopper {

constexpr int kMmaRows = 64;       // of one wgmma
constexpr int kBoxRows = 64;       // of C that one TMA store writes, each a row of swizzled memory
constexpr int kRegisters = 65536;  // of an SM
constexpr int kRegisterStep = 8;   // in which a thread has them

// What the blocks of a cluster share: an operand, or one tile, of whose k each multiplies its part.
enum class Shared { a, b, tile };

// A tile: rows x columns of C a block, blocks a cluster, stages of the ring, what the cluster's
// blocks share, and whose it is.
struct TileShape {
  int rows, columns, blocks, stages;
  Shared shared = Shared::b;
  bool alternates = false;  // each consumer has tiles of its own
};

// What it multiplies, and what becomes of that.
struct TileTypes {
  Major major_a = Major::k, major_b = Major::k;
  int operand_bytes = 0;  // an element of A and of B
  int output_bytes = 0;   // an element of C
  int scale_bytes = 0;    // of a stage
  int lead = 0;           // steps that the first of two consumers is ahead
};

// How an operand of `kOther` rows of A or columns of B comes to a stage, by kSharers blocks: each
// loads its part for all of them, box by box. A box is rows of swizzled memory: along k, one of
// them is a row of A or a column of B; mn-major, 64 of those at one place of k, in slabs.
template <Major kMajorOfIt, int kOther, int kSharers>
struct OperandLoads {
  static constexpr Major kMajor = kMajorOfIt;
  static constexpr bool kShared = kSharers > 1;
  static constexpr int kMnSlab = 64;  // of m or n; and as many of k
  static constexpr int kHeld =        // rows of memory
      kMajor == Major::k ? kOther : round_up(kOther, kMnSlab);
  // Slabs that the blocks can't share evenly: each loads its part of the depth of all.
  static constexpr bool kByDepth =
      kMajor == Major::mn && kShared && kHeld / kSharers % kMnSlab != 0;
  static constexpr int kLoaded = kByDepth ? kHeld : kHeld / kSharers;     // of m or n, by a block
  static constexpr int kDepth = kByDepth ? kMnSlab / kSharers : kMnSlab;  // of k, of a mn-major box
  static constexpr int kBox = kMajor == Major::k ? kLoaded : kMnSlab;     // of m or n
  static constexpr int kBoxRows = kMajor == Major::k ? kLoaded : kDepth;
  static constexpr int kBytes = kHeld * kRowBytes;

  static_assert(kOther % kSharers == 0 && kLoaded % 8 == 0 && kDepth % 8 == 0,
                "parts begin at whole atoms of the swizzle");
  static_assert(kBoxRows <= 256, "TMA's limit");
  static_assert(kBytes % kAtomBytes == 0);
};

// Sizes that follow from a tile and from what is multiplied.
template <TileShape kShape, TileTypes kTypes>
struct TileConfig {
  static constexpr int kRows = kShape.rows;
  static constexpr int kColumns = kShape.columns;
  static constexpr int kBlocks = kShape.blocks;
  static constexpr int kStages = kShape.stages;
  static constexpr int kLead = kTypes.lead;
  static constexpr Major kMajorA = kTypes.major_a;
  static constexpr Major kMajorB = kTypes.major_b;
  static constexpr bool kFp32Out = kTypes.output_bytes == 4;
  // A row's: elements of k in a stage, columns of C in a TMA store.
  static constexpr int kStepK = kRowBytes / kTypes.operand_bytes;
  static constexpr int kStoreColumns = kRowBytes / kTypes.output_bytes;

  static constexpr int kConsumers = kRows == kMmaRows ? 1 : kRows == 3 * kMmaRows ? 3 : 2;
  // Whether each consumer has tiles of its own, every other one, so that one's C goes out while the
  // other multiplies; else all consumers have rows of the same tile.
  static constexpr bool kAlternates = kShape.alternates;
  static constexpr int kConsumersOfTile = kAlternates ? 1 : kConsumers;
  // Of a consumer: each 64 rows of its tile, which one wgmma multiplies.
  static constexpr int kMmaTiles = kRows / kMmaRows / kConsumersOfTile;
  static constexpr int kThreads = (1 + kConsumers) * kWarpgroupThreads;
  // Registers of a thread, where there are several consumers: the producer's go to them. Nobody
  // gets more than the launch gave all of them, which is less than the SM has: who asks for more
  // waits for ever.
  static constexpr int kLaunchRegisters = kRegisters / kThreads / kRegisterStep * kRegisterStep;
  static constexpr int kConsumerRegisters = kConsumers == 3 ? 160 : 232;
  static constexpr int kProducerRegisters =
      (1 + kConsumers) * kLaunchRegisters - kConsumers * kConsumerRegisters;
  // By each block of the cluster, of the A and B that a tile needs.
  static constexpr bool kSharesA = kBlocks > 1 && kShape.shared == Shared::a;
  static constexpr bool kSharesB = kBlocks > 1 && kShape.shared == Shared::b;
  static constexpr int kSplits = kShape.shared == Shared::tile ? kBlocks : 1;  // of k
  static constexpr int kReaders = kBlocks / kSplits;  // blocks that read one block's loads
  using LoadsOfA = OperandLoads<kMajorA, kRows, kSharesA ? kBlocks : 1>;
  using LoadsOfB = OperandLoads<kMajorB, kColumns, kSharesB ? kBlocks : 1>;
  // Of C, that a cluster has the tiles of.
  static constexpr int kClusterRows = kSharesB ? kRows * kBlocks : kRows;
  static constexpr int kClusterColumns = kSharesA ? kColumns * kBlocks : kColumns;

  // Shared memory, from a multiple of 1024 bytes. Where something begins there is its ...At, how
  // much of it there is its ...Bytes; each barrier has 8.
  //   0               the ring: kStages times a tile's A, then B, of kStepK deep
  //   kStagingAt      kSlabsHeld slabs of C of each consumer, on their way to TMA
  //   kPartsAt        sums of the cluster's other blocks, where k is split
  //   kScalesAt       kStages times the scales, of fp8
  //   kBarriersAt     kStages of what is loaded (full), as many of what has been read (empty)
  //   kSlabBarriersAt of each slab that it is filled, then of each that TMA has read it
  //   kPartBarriersAt that the parts are there, that they were taken; where k is split
  //   kBytes          the end
  static constexpr int kBytesA = LoadsOfA::kBytes;
  static constexpr int kStageBytes = kBytesA + LoadsOfB::kBytes;
  static constexpr int kSlabBytes = kBoxRows * kRowBytes;
  static constexpr int kStagingAt = kStages * kStageBytes;
  static constexpr int kScaleBytes = kTypes.scale_bytes;
  static constexpr int kSlabsOfMmaTile = ceil_div(kColumns, kStoreColumns);
  static constexpr int kSlabs = kMmaTiles * kSlabsOfMmaTile;  // of a consumer's C
  // Where a slab begins. The last begins early where no slab ends with the tile: what it has in
  // common with the one before is written twice, alike.
  TRAINMETER_BOTH static int column_of_slab(int slab) {
    return slab * kStoreColumns < kColumns - kStoreColumns ? slab * kStoreColumns
                                                           : kColumns - kStoreColumns;
  }
  // Sums of the blocks but the first, where k is split; they come to the first one.
  static constexpr int kPartBytes = kRows * kColumns * 4;
  static constexpr int kPartsBytes = (kSplits - 1) * kPartBytes;
  static constexpr int kRest = kStages * (kScaleBytes + 2 * 8) + kPartsBytes + kAtomBytes;
  // That there is room for beside the ring: all, so that the next tile begins while TMA writes; or
  // a part of them, some being filled while TMA reads the others.
  static constexpr int kSlabsHeld = [] {
    const int room = (kSharedBytes - kStagingAt - kRest) / (kConsumers * (kSlabBytes + 2 * 8));
    int held = kSlabs;
    while (held > room || kSlabs % held != 0) --held;
    return held;
  }();
  static constexpr int kPartsAt = kStagingAt + kConsumers * kSlabsHeld * kSlabBytes;
  static constexpr int kScalesAt = kPartsAt + kPartsBytes;
  static constexpr int kBarriersAt = kScalesAt + kStages * kScaleBytes;
  static constexpr int kSlabBarriersAt = kBarriersAt + 2 * kStages * 8;
  static constexpr int kPartBarriersAt = kSlabBarriersAt + 2 * kConsumers * kSlabsHeld * 8;
  static constexpr int kBytes = kPartBarriersAt + (kSplits > 1 ? 2 * 8 : 0);
  // That a launch asks for: the window's start is only 16-aligned.
  static constexpr int kDynamicSharedBytes = kBytes + kAtomBytes;

  static_assert(kRows == kMmaTiles * kConsumersOfTile * kMmaRows && kStoreColumns <= kColumns);
  static_assert(!kAlternates || (kConsumers == 2 && kLead == 0));
  static_assert(kColumns % 8 == 0 && (kColumns % kStoreColumns == 0 || !kFp32Out),
                "what adds, adds once");
  static_assert(kSlabs % kSlabsHeld == 0, "each tile starts with the first slab");
  static_assert(kSlabsHeld > 1 || kSlabs == 1, "one is filled while TMA reads another");
  static_assert(kConsumers == 1 ||
                    (kProducerRegisters >= 24 && kProducerRegisters % kRegisterStep == 0 &&
                     kConsumerRegisters % kRegisterStep == 0),
                "what setmaxnreg takes");
  static_assert(kScaleBytes % 128 == 0, "TMA writes to multiples of 128 bytes");
  static_assert(kSplits == 1 || kConsumers == 1, "a block sends and adds by one warpgroup");
  static_assert(kDynamicSharedBytes <= kSharedBytes);
};

}  // namespace trainmeter::hopper
