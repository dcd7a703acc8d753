// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The attention core's forward pass on tensor cores, as FlashAttention-2 has it (Dao 2023,
// algorithm 1): a block keeps 64 rows of Q and walks over the keys in steps of 64; scores, their
// online softmax and the sums of O stay in a warp's registers. `Ptx` are the instructions: a GPU's
// (mma_ptx.cuh), or their models.
#pragma once

#include "kernels/attention_mma_layout.hpp"
#include "kernels/rounding.hpp"

#include <limits>

namespace trainmeter::attention_mma {

inline constexpr float kNone = -3.0e38F;  // less than any score
inline constexpr float kMasked = -std::numeric_limits<float>::infinity();
inline constexpr int kFragments = kBlockKeys / 8;

// `count` lines of `width` elements into a tile of kLines x kWidth, with zeros around them. Eight
// threads copy 64 elements of a line; a thread's chunks lie at the same place of all of them.
template <class Ptx, int kLines, int kWidth>
TRAINMETER_DEVICE void copy_tile(std::uint32_t to, const std::uint16_t* from, int count, int width,
                                 int thread) {
  constexpr int kLinesAtOnce = kThreads / 8;
  static_assert(kLines % kLinesAtOnce == 0);
  const ChunkAt first{thread / 8, thread % 8};
  const std::uint32_t start =
      to + static_cast<std::uint32_t>(place_of(kWidth, first) * kChunkBytes);
  TRAINMETER_UNROLL
  for (int line = 0; line < kLines; line += kLinesAtOnce) {
    TRAINMETER_UNROLL
    for (int element = 0; element < kWidth; element += 64) {
      const bool inside = first.line + line < count && first.chunk * kChunk + element < width;
      const std::uint16_t* chunk = from + static_cast<std::int64_t>(first.line + line) * width +
                                   first.chunk * kChunk + element;
      Ptx::copy_chunk(start + static_cast<std::uint32_t>(line * kWidth * 2 + element * 2),
                      inside ? chunk : from, inside);
    }
  }
}

// Two columns of a fragment of sums of 16 rows, and the two 8 rows on, as half of an A operand.
template <class Ptx>
TRAINMETER_DEVICE void as_operand(std::uint32_t (&a)[4], const float (&left)[4],
                                  const float (&right)[4]) {
  a[0] = Ptx::bf16_pair(left[0], left[1]);
  a[1] = Ptx::bf16_pair(left[2], left[3]);
  a[2] = Ptx::bf16_pair(right[0], right[1]);
  a[3] = Ptx::bf16_pair(right[2], right[3]);
}

// sums[16 x 16 kPieces] += A B^T over kWidth: 16 lines of one tile from `line` on, and all lines of
// another.
template <class Ptx, int kWidth, int kPieces>
TRAINMETER_DEVICE void multiply_lines(float (&sums)[2 * kPieces][4], std::uint32_t tile_a, int line,
                                      std::uint32_t tile_b, int lane) {
  const std::uint32_t of_a = tile_a + first_of_lane(kWidth, Side::a, Along::k, lane);
  const std::uint32_t of_b = tile_b + first_of_lane(kWidth, Side::b, Along::k, lane);
  TRAINMETER_UNROLL_TWICE  // wholly, the widest backward pass would spill
      for (int depth = 0; depth < kWidth; depth += 16) {
    std::uint32_t a[4];
    Ptx::template load_matrices<false>(a, further(of_a, kWidth, line, depth));
    TRAINMETER_UNROLL
    for (int piece = 0; piece < kPieces; ++piece) {
      std::uint32_t b[4];
      Ptx::template load_matrices<false>(b, further(of_b, kWidth, 16 * piece, depth));
      Ptx::multiply_add(sums[2 * piece], a, b[0], b[1]);
      Ptx::multiply_add(sums[2 * piece + 1], a, b[2], b[3]);
    }
  }
}

// sums[16 x kWidth] += A B: A of 16 x 16, and 16 lines of a tile from `line` on.
template <class Ptx, int kWidth>
TRAINMETER_DEVICE void multiply_columns(float (&sums)[kWidth / 8][4], const std::uint32_t (&a)[4],
                                        std::uint32_t tile, int line, int lane) {
  const std::uint32_t of_b = tile + first_of_lane(kWidth, Side::b, Along::other, lane);
  TRAINMETER_UNROLL
  for (int column = 0; column < kWidth; column += 16) {
    std::uint32_t b[4];
    Ptx::template load_matrices<true>(b, further(of_b, kWidth, line, column));
    Ptx::multiply_add(sums[column / 8], a, b[0], b[1]);
    Ptx::multiply_add(sums[column / 8 + 1], a, b[2], b[3]);
  }
}

// A value over the four lanes that hold a row.
template <class Ptx, class F>
TRAINMETER_DEVICE float over_row(float value, F combine) {
  value = combine(value, Ptx::other_lanes(value, 1));
  return combine(value, Ptx::other_lanes(value, 2));
}

// What a lane keeps of its two rows, lane / 4 and 8 more.
template <int kV>
struct RowSums {
  float o[kV / 8][4] = {};
  float top[2] = {kNone, kNone};  // of the scores so far, in units of log 2
  float sum[2] = {};              // of the exponentials, this lane's columns
};

// Scores become probabilities of what was seen so far; sums are brought to the same maximum.
template <class Ptx, int kV>
TRAINMETER_DEVICE void soften(float (&s)[kFragments][4], RowSums<kV>& rows, float scale) {
  const auto larger = [](float x, float y) { return x > y ? x : y; };
  TRAINMETER_UNROLL
  for (int half = 0; half < 2; ++half) {
    float top = rows.top[half];
    TRAINMETER_UNROLL
    for (int j = 0; j < kFragments; ++j) {
      top = larger(top, larger(s[j][2 * half], s[j][2 * half + 1]) * scale);
    }
    top = over_row<Ptx>(top, larger);
    const float shift = top > kNone ? top : 0;  // where nothing was seen, all are exp2(-3e38) = 0
    const float shrink = Ptx::exp2(rows.top[half] - shift);
    rows.top[half] = top;
    rows.sum[half] *= shrink;
    TRAINMETER_UNROLL
    for (int j = 0; j < kV / 8; ++j) {
      rows.o[j][2 * half] *= shrink;
      rows.o[j][2 * half + 1] *= shrink;
    }
    TRAINMETER_UNROLL
    for (int j = 0; j < kFragments; ++j) {
      TRAINMETER_UNROLL
      for (int i = 0; i < 2; ++i) {
        float& score = s[j][2 * half + i];
        score = Ptx::exp2(score * scale - shift);
        rows.sum[half] += score;
      }
    }
  }
}

// O and L of the warp's rows, or this split's part of them.
template <class Ptx, int kV>
TRAINMETER_DEVICE void write_rows(const Task& t, RowSums<kV>& rows, int head, int split, int first,
                                  int lane) {
  TRAINMETER_UNROLL
  for (int half = 0; half < 2; ++half) {
    const float sum = over_row<Ptx>(rows.sum[half], [](float x, float y) { return x + y; });
    const int row = first + mma::sum_of_lane(lane, half).row;
    if (row >= t.rows) continue;
    const float inverse = sum > 0 ? 1 / sum : 0;
    const float l = sum > 0 ? (rows.top[half] + Ptx::log2(sum)) / kLog2E : kNone;
    const std::int64_t at = (static_cast<std::int64_t>(head) * t.splits + split) * t.rows + row;
    if (lane % 4 == 0) (t.splits > 1 ? t.part_l : t.l)[at] = l;
    TRAINMETER_UNROLL
    for (int j = 0; j < kV / 8; ++j) {
      const int column = 8 * j + mma::sum_of_lane(lane, half).column;
      if (column >= t.value_dim) continue;
      const float x = rows.o[j][2 * half] * inverse;
      const float y = rows.o[j][2 * half + 1] * inverse;
      if (t.splits > 1) {
        t.part_o[at * t.value_dim + column] = x;
        t.part_o[at * t.value_dim + column + 1] = y;
      } else {
        Ptx::store_pair(t.o + at * t.value_dim + column, Ptx::bf16_pair(x, y));
      }
    }
  }
}

// Block `index` of heads x ceil_div(rows, kBlockRows) x splits; those with the most keys first.
template <class Ptx, class W>
TRAINMETER_DEVICE void forward(const Task& t, int index, int thread, std::uint32_t shared) {
  const int row_blocks = ceil_div(t.rows, kBlockRows);
  const int head = index % t.heads;
  const int first_row = (row_blocks - 1 - index / t.heads % row_blocks) * kBlockRows;
  const int split = index / t.heads / row_blocks;
  const int row_count = t.rows - first_row < kBlockRows ? t.rows - first_row : kBlockRows;
  const int lane = thread % 32;
  const int warp_row = thread / 32 * 16;
  const std::int64_t kv_head = static_cast<std::int64_t>(head) * t.keys;
  const std::uint16_t* q =
      t.q + (static_cast<std::int64_t>(head) * t.rows + first_row) * t.head_dim;

  const int whole = whole_keys(t, first_row, row_count);
  const int first_key = split * t.keys_of_split;
  int end = end_key(t, first_row, row_count);
  if (t.splits > 1 && end > first_key + t.keys_of_split) end = first_key + t.keys_of_split;

  const std::uint32_t stages = shared + 2 * kBlockRows * W::kD;
  const auto stage_of = [&](int step) {
    return stages + static_cast<std::uint32_t>(step % 2 * 2 * kBlockKeys * (W::kD + W::kV));
  };
  const auto copy_step = [&](int step) {
    const int key = first_key + step * kBlockKeys;
    const std::uint32_t stage = stage_of(step);
    copy_tile<Ptx, kBlockKeys, W::kD>(stage, t.k + (kv_head + key) * t.head_dim, t.keys - key,
                                      t.head_dim, thread);
    copy_tile<Ptx, kBlockKeys, W::kV>(stage + 2 * kBlockKeys * W::kD,
                                      t.v + (kv_head + key) * t.value_dim, t.keys - key,
                                      t.value_dim, thread);
  };

  const int steps = end > first_key ? ceil_div(end - first_key, kBlockKeys) : 0;
  copy_tile<Ptx, kBlockRows, W::kD>(shared, q, row_count, t.head_dim, thread);
  if (steps > 0) copy_step(0);
  Ptx::end_group();
  RowSums<W::kV> rows;
  for (int step = 0; step < steps; ++step) {
    Ptx::template wait_for_groups<0>();
    Ptx::sync();  // the stage is there for all, and the one before it is done with
    if (step + 1 < steps) copy_step(step + 1);
    Ptx::end_group();
    const std::uint32_t keys = stage_of(step);
    float s[kFragments][4] = {};
    multiply_lines<Ptx, W::kD, kBlockKeys / 16>(s, shared, warp_row, keys, lane);
    const int key = first_key + step * kBlockKeys;
    if (key + kBlockKeys > whole) {
      TRAINMETER_UNROLL
      for (int half = 0; half < 2; ++half) {
        const mma::SumAt at = mma::sum_of_lane(lane, half);
        const int last = last_key(t, first_row + warp_row + at.row);
        TRAINMETER_UNROLL
        for (int j = 0; j < kFragments; ++j) {
          TRAINMETER_UNROLL
          for (int i = 0; i < 2; ++i) {
            if (key + 8 * j + at.column + i > last) s[j][2 * half + i] = kMasked;
          }
        }
      }
    }
    soften<Ptx, W::kV>(s, rows, t.scale * kLog2E);
    TRAINMETER_UNROLL
    for (int piece = 0; piece < kBlockKeys / 16; ++piece) {
      std::uint32_t p[4];
      as_operand<Ptx>(p, s[2 * piece], s[2 * piece + 1]);
      multiply_columns<Ptx, W::kV>(rows.o, p, keys + 2 * kBlockKeys * W::kD, 16 * piece, lane);
    }
  }
  Ptx::template wait_for_groups<0>();
  write_rows<Ptx, W::kV>(t, rows, head, split, first_row + warp_row, lane);
}

// A warp a row: O and L of its splits' parts.
template <class Ptx>
TRAINMETER_DEVICE void combine(const Task& t, std::int64_t row, int lane) {
  const std::int64_t head = row / t.rows;
  const auto part = [&](int split) { return (head * t.splits + split) * t.rows + row % t.rows; };
  float top = kNone;
  for (int split = 0; split < t.splits; ++split)
    top = t.part_l[part(split)] > top ? t.part_l[part(split)] : top;
  float sum = 0;
  for (int split = 0; split < t.splits; ++split)
    sum += Ptx::exp2((t.part_l[part(split)] - top) * kLog2E);
  const float l = top + Ptx::log2(sum) / kLog2E;
  if (lane == 0) t.l[row] = l;
  for (int column = 2 * lane; column < t.value_dim; column += 64) {
    float o[2] = {};
    for (int split = 0; split < t.splits; ++split) {
      const float share = Ptx::exp2((t.part_l[part(split)] - l) * kLog2E);
      const float* from = t.part_o + part(split) * t.value_dim + column;
      o[0] += share * from[0];
      o[1] += share * from[1];
    }
    Ptx::store_pair(t.o + row * t.value_dim + column, Ptx::bf16_pair(o[0], o[1]));
  }
}

}  // namespace trainmeter::attention_mma
