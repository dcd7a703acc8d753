// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the tensor-core kernels of the attention core compute and where their tiles lie in shared
// memory: pure arithmetic, the same on the CPU.
//
// All query heads of one head of keys and values are its rows, one head after the other, as Q lies
// in memory: row r is query r % queries. So a decode step of grouped queries fills its tiles too.
#pragma once

#include "kernels/attention.hpp"
#include "kernels/mma_layout.hpp"

#include <cmath>
#include <cstdint>

namespace trainmeter::attention_mma {

using mma::Along;
using mma::ChunkAt;
using mma::kChunk;
using mma::Side;

inline constexpr int kChunkBytes = 2 * kChunk;
inline constexpr int kThreads = 128;
inline constexpr int kWarps = 4;
inline constexpr int kBlockRows = 64;  // of a block of the forward pass, 16 a warp
inline constexpr int kBlockKeys = 64;  // of a step forward, of a block backward, 16 a warp
inline constexpr int kTileRows = 32;   // of a step backward
inline constexpr float kLog2E = 1.44269504088896341F;

// Widths that a kernel is compiled for: at least those of a problem, the rest is read as zeros.
template <int kHeadDim, int kValueDim>
struct Widths {
  static constexpr int kD = kHeadDim;
  static constexpr int kV = kValueDim;
  static_assert(kD % 64 == 0 && kV % 64 == 0);
  // Forward: Q, and two stages of K and V. Backward: K and V, two stages of Q and dO, and dS.
  static constexpr int kForwardBytes = 2 * (kBlockRows * kD + 2 * kBlockKeys * (kD + kV));
  static constexpr int kBackwardBytes =
      2 * ((kBlockKeys + 2 * kTileRows) * (kD + kV) + kBlockKeys * kTileRows);
};

// bf16 as its bits. Pointers are to the first element of all heads.
struct Task {
  const std::uint16_t *q = nullptr, *k = nullptr, *v = nullptr, *d_o = nullptr;
  std::uint16_t *o = nullptr, *d_q = nullptr, *d_k = nullptr, *d_v = nullptr;
  float* l = nullptr;         // fp32[heads, rows]
  float* delta = nullptr;     // fp32[heads, rows]: dO . O
  float* d_q_sums = nullptr;  // fp32[heads, rows, head_dim], zeros before
  // Of splits of the keys, where there are several: fp32[heads, splits, rows, value_dim] and
  // [heads, splits, rows].
  float *part_o = nullptr, *part_l = nullptr;
  int heads = 1;  // of keys and values, of all sequences
  int rows = 1, queries = 1, keys = 1;
  int head_dim = 8, value_dim = 8;
  bool causal = true;
  float scale = 1;  // of scores
  int splits = 1, keys_of_split = 0;
};

// Sizes, mask and scale of the problem; pointers and splits are the caller's.
inline Task sizes_of(const AttentionProblem& p) {
  Task t;
  t.heads = static_cast<int>(p.batch * p.kv_heads);
  t.rows = static_cast<int>(p.group() * p.queries);
  t.queries = static_cast<int>(p.queries);
  t.keys = static_cast<int>(p.keys);
  t.head_dim = static_cast<int>(p.head_dim);
  t.value_dim = static_cast<int>(p.value_dim);
  t.causal = p.causal;
  t.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(p.head_dim)));
  return t;
}

// The last key that a row sees.
TRAINMETER_BOTH int last_key(const Task& t, int row) {
  return t.causal ? t.keys - t.queries + row % t.queries : t.keys - 1;
}
// None of `count` rows from `first` on sees this key or a later one.
TRAINMETER_BOTH int end_key(const Task& t, int first, int count) {
  const int query = first % t.queries;
  return t.causal && query + count < t.queries ? t.keys - t.queries + query + count : t.keys;
}
// Each of them sees the keys below this one.
TRAINMETER_BOTH int whole_keys(const Task& t, int first, int count) {
  if (!t.causal) return t.keys;
  const int query = first % t.queries;
  return t.keys - t.queries + 1 + (query + count > t.queries ? 0 : query);
}

// Of a tile whose lines have `width` elements, a multiple of 64: ldmatrix reads one chunk of eight
// successive lines, which the exclusive or spreads over all 32 banks.
TRAINMETER_BOTH int place_of(int width, ChunkAt at) {
  return at.line * (width / kChunk) + (at.chunk ^ at.line % 8);
}

// Where a lane's ldmatrix reads the first 16 x 16 of such a tile, in bytes; tiles are aligned to
// 128.
TRAINMETER_BOTH std::uint32_t first_of_lane(int width, Side side, Along along, int lane) {
  return static_cast<std::uint32_t>(place_of(width, mma::chunk_for_lane(side, along, lane, 0, 0)) *
                                    kChunkBytes);
}
// And `lines` and `elements` further, both multiples of 16: four pieces of 32 bytes trade places
// within 128, by what the lane has of the exclusive or.
TRAINMETER_BOTH std::uint32_t further(std::uint32_t first, int width, int lines, int elements) {
  return (first ^ static_cast<std::uint32_t>(elements % 64 * 2)) +
         static_cast<std::uint32_t>(elements / 64 * 128 + lines * width * 2);
}

}  // namespace trainmeter::attention_mma
