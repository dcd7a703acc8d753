// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Where the generic tensor-core kernel keeps its tiles in shared memory, and which lane reads what
// of them: pure arithmetic. A chunk is 8 elements of 16 bits: 16 bytes, what a lane copies, and a
// row of what ldmatrix loads. (PTX ISA, "ldmatrix" and "Matrix Fragments for mma.m16n8k16".)
#pragma once

#include "kernels/tile_schedule.hpp"

namespace trainmeter::mma {

inline constexpr int kTile = 128;  // rows of A and columns of B of a block's tile
inline constexpr int kStepK = 32;  // of a stage
inline constexpr int kChunk = 8;   // elements
inline constexpr int kTileChunks = kTile * kStepK / kChunk;  // of an operand in a stage

enum class Side { a, b };  // rows of A, or columns of B

// A line of an operand is what is contiguous in memory: one row or column along k, or all of them
// at one k.
enum class Along { k, other };
struct ChunkAt {
  int line = 0;
  int chunk = 0;
};

// Lines along k have 4 chunks, the others 16. ldmatrix reads one chunk of eight successive
// lines: the exclusive or spreads them over all 32 banks.
TRAINMETER_BOTH int chunks_of_line(Along along) {
  return (along == Along::k ? kStepK : kTile) / kChunk;
}
TRAINMETER_BOTH int place_of(Along along, ChunkAt at) {
  // Two lines of 64 bytes fill the banks.
  const int turn = along == Along::k ? at.line / 2 % 4 : at.line % 8;
  return at.line * chunks_of_line(along) + (at.chunk ^ turn);
}

// The chunk whose address a lane gives ldmatrix.x4, of a piece of 16 x 16 whose first element is
// (other, k): rows of A, columns of B. Matrices come in the order in which mma takes them: of A
// first 8 rows, last 8 rows, and the same of the last 8 of k; of B the k of the first 8 columns,
// then of the last. Where lines are not along k, ldmatrix transposes.
TRAINMETER_BOTH ChunkAt chunk_for_lane(Side side, Along along, int lane, int other, int k) {
  const bool of_a = side == Side::a;
  const int low = lane % 8;
  const int second = lane / 8 % 2;           // matrices 1 and 3
  const int upper = lane / 16;               // matrices 2 and 3
  const int later = of_a ? second : upper;   // 8 rows or columns further
  const int deeper = of_a ? upper : second;  // 8 of k further
  return along == Along::k ? ChunkAt{other + 8 * later + low, k / kChunk + deeper}
                           : ChunkAt{k + 8 * deeper + low, other / kChunk + later};
}

// Of a lane's sums of 16 x 8: where pair `half` (0, 1) lies; the second of it is one column on.
struct SumAt {
  int row = 0;
  int column = 0;
};
TRAINMETER_BOTH SumAt sum_of_lane(int lane, int half) {
  return {lane / 4 + 8 * half, lane % 4 * 2};
}

}  // namespace trainmeter::mma
