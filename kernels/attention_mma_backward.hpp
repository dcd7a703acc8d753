// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The attention core's backward pass on tensor cores (Dao 2023, algorithm 2): a block keeps 64 keys
// and their values and walks over the rows that see any of them, 32 at a time. It holds scores
// transposed, keys by rows, so that probabilities and their gradient are operands of dV and dK as
// they lie in registers; for dQ they go through shared memory, and blocks add up its sums in fp32.
#pragma once

#include "kernels/attention_mma_forward.hpp"
#include "kernels/rounding.hpp"

namespace trainmeter::attention_mma {

inline constexpr int kTileFragments = kTileRows / 8;

// A warp a row: delta = dO . O, which is the sum over keys of P dP.
template <class Ptx>
TRAINMETER_DEVICE void row_delta(const Task& t, std::int64_t row, int lane) {
  float sum = 0;
  for (int column = lane; column < t.value_dim; column += 32) {
    sum += Ptx::bf16_value(t.d_o[row * t.value_dim + column]) *
           Ptx::bf16_value(t.o[row * t.value_dim + column]);
  }
  for (int mask = 16; mask > 0; mask /= 2) sum += Ptx::other_lanes(sum, mask);
  if (lane == 0) t.delta[row] = sum;
}

// dQ as it is stored; `pair` of all heads x rows x head_dim / 2.
template <class Ptx>
TRAINMETER_DEVICE void finish_d_q(const Task& t, std::int64_t pair) {
  const float* from = t.d_q_sums + 2 * pair;
  Ptx::store_pair(t.d_q + 2 * pair, Ptx::bf16_pair(t.scale * from[0], t.scale * from[1]));
}

// Scores of a tile's rows become probabilities, and `d_s`, the gradient of those, that of the
// scores. `masked`: some row doesn't see all of the block's keys.
template <class Ptx>
TRAINMETER_DEVICE void through_softmax(const Task& t, float (&p)[kTileFragments][4],
                                       float (&d_s)[kTileFragments][4], std::int64_t head,
                                       int first_row, int key, bool masked, int lane) {
  TRAINMETER_UNROLL
  for (int j = 0; j < kTileFragments; ++j) {
    TRAINMETER_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int row = first_row + 8 * j + mma::sum_of_lane(lane, 0).column + i;
      const bool inside = row < t.rows;
      const float l = inside ? t.l[head * t.rows + row] * kLog2E : -kNone;  // no weight at all
      const float delta = inside ? t.delta[head * t.rows + row] : 0;
      const int last = masked ? last_key(t, row) : t.keys;
      TRAINMETER_UNROLL
      for (int half = 0; half < 2; ++half) {
        float& x = p[j][2 * half + i];
        x = Ptx::exp2(x * (t.scale * kLog2E) - l);
        if (key + mma::sum_of_lane(lane, half).row > last) x = 0;
        float& gradient = d_s[j][2 * half + i];
        gradient = x * (gradient - delta);
      }
    }
  }
}

// dS of a tile to shared memory: lines of keys, 32 rows each.
template <class Ptx>
TRAINMETER_DEVICE void store_gradient(std::uint32_t to, const float (&d_s)[kTileFragments][4],
                                      int warp_key, int lane) {
  TRAINMETER_UNROLL
  for (int j = 0; j < kTileFragments; ++j) {
    TRAINMETER_UNROLL
    for (int half = 0; half < 2; ++half) {
      const mma::SumAt at = mma::sum_of_lane(lane, half);
      const int place = mma::place_of(Along::k, {warp_key + at.row, j});
      Ptx::store_shared(to + static_cast<std::uint32_t>(place * kChunkBytes + 2 * at.column),
                        Ptx::bf16_pair(d_s[j][2 * half], d_s[j][2 * half + 1]));
    }
  }
}

// dQ of the tile += dS K, a quarter a warp: 16 rows and half of the columns.
template <class Ptx, class W>
TRAINMETER_DEVICE void add_d_q(const Task& t, std::int64_t head, int first_row,
                               std::uint32_t gradient, std::uint32_t keys, int warp, int lane) {
  const int warp_row = warp % 2 * 16;
  const std::uint32_t of_keys = keys + first_of_lane(W::kD, Side::b, Along::other, lane);
  std::uint32_t a[kBlockKeys / 16][4];
  TRAINMETER_UNROLL
  for (int piece = 0; piece < kBlockKeys / 16; ++piece) {
    const ChunkAt at = mma::chunk_for_lane(Side::a, Along::other, lane, warp_row, 16 * piece);
    Ptx::template load_matrices<true>(
        a[piece], gradient + static_cast<std::uint32_t>(mma::place_of(Along::k, at) * kChunkBytes));
  }
  TRAINMETER_ROLLED
  for (int i = 0; i < W::kD / 2; i += 16) {
    const int column = warp / 2 * (W::kD / 2) + i;
    float sums[2][4] = {};
    TRAINMETER_UNROLL
    for (int piece = 0; piece < kBlockKeys / 16; ++piece) {
      std::uint32_t b[4];
      Ptx::template load_matrices<true>(b, further(of_keys, W::kD, 16 * piece, column));
      Ptx::multiply_add(sums[0], a[piece], b[0], b[1]);
      Ptx::multiply_add(sums[1], a[piece], b[2], b[3]);
    }
    TRAINMETER_UNROLL
    for (int half = 0; half < 2; ++half) {
      const mma::SumAt at = mma::sum_of_lane(lane, half);
      const int row = first_row + warp_row + at.row;
      if (row >= t.rows) continue;
      TRAINMETER_UNROLL
      for (int j = 0; j < 2; ++j) {
        const int to = column + 8 * j + at.column;
        if (to >= t.head_dim) continue;
        float* sum = t.d_q_sums + (head * t.rows + row) * t.head_dim + to;
        Ptx::add_pair(sum, sums[j][2 * half], sums[j][2 * half + 1]);
      }
    }
  }
}

template <class Ptx, int kWidth>
TRAINMETER_DEVICE void write_keys(std::uint16_t* to, const float (&sums)[kWidth / 8][4],
                                  float scale, int count, int width, int warp_key, int lane) {
  TRAINMETER_UNROLL
  for (int half = 0; half < 2; ++half) {
    const mma::SumAt at = mma::sum_of_lane(lane, half);
    const int key = warp_key + at.row;
    if (key >= count) continue;
    TRAINMETER_UNROLL
    for (int j = 0; j < kWidth / 8; ++j) {
      const int column = 8 * j + at.column;
      if (column >= width) continue;
      Ptx::store_pair(to + static_cast<std::int64_t>(key) * width + column,
                      Ptx::bf16_pair(scale * sums[j][2 * half], scale * sums[j][2 * half + 1]));
    }
  }
}

// Block `index` of heads x ceil_div(keys, kBlockKeys); the first keys, which the most rows see,
// first.
template <class Ptx, class W>
TRAINMETER_DEVICE void backward(const Task& t, int index, int thread, std::uint32_t shared) {
  const std::int64_t head = index % t.heads;
  const int first_key = index / t.heads * kBlockKeys;
  const int key_count = t.keys - first_key;
  const int lane = thread % 32;
  const int warp = thread / 32;
  const int warp_key = 16 * warp;
  const std::int64_t kv_row = head * t.keys + first_key;

  const std::uint32_t values = shared + 2 * kBlockKeys * W::kD;
  const std::uint32_t stages = values + 2 * kBlockKeys * W::kV;
  const std::uint32_t gradient = stages + 2 * 2 * kTileRows * (W::kD + W::kV);
  const auto stage_of = [&](int stage) {
    return stages + static_cast<std::uint32_t>(stage * 2 * kTileRows * (W::kD + W::kV));
  };
  const auto copy_rows = [&](int tile, int stage) {
    const int first = tile * kTileRows;
    const std::int64_t row = head * t.rows + first;
    copy_tile<Ptx, kTileRows, W::kD>(stage_of(stage), t.q + row * t.head_dim, t.rows - first,
                                     t.head_dim, thread);
    copy_tile<Ptx, kTileRows, W::kV>(stage_of(stage) + 2 * kTileRows * W::kD,
                                     t.d_o + row * t.value_dim, t.rows - first, t.value_dim,
                                     thread);
  };
  const int tiles = ceil_div(t.rows, kTileRows);
  const auto next_that_sees = [&](int tile) {
    while (tile < tiles) {
      const int left = t.rows - tile * kTileRows;
      if (end_key(t, tile * kTileRows, left < kTileRows ? left : kTileRows) > first_key) break;
      ++tile;
    }
    return tile;
  };

  copy_tile<Ptx, kBlockKeys, W::kD>(shared, t.k + kv_row * t.head_dim, key_count, t.head_dim,
                                    thread);
  copy_tile<Ptx, kBlockKeys, W::kV>(values, t.v + kv_row * t.value_dim, key_count, t.value_dim,
                                    thread);
  int tile = next_that_sees(0);
  if (tile < tiles) copy_rows(tile, 0);
  Ptx::end_group();
  float d_k[W::kD / 8][4] = {};
  float d_v[W::kV / 8][4] = {};
  for (int stage = 0; tile < tiles; stage ^= 1) {
    const int first_row = tile * kTileRows;
    Ptx::template wait_for_groups<0>();
    Ptx::sync();  // the stage is there for all; the other one and dS are done with
    tile = next_that_sees(tile + 1);
    if (tile < tiles) copy_rows(tile, stage ^ 1);
    Ptx::end_group();

    const std::uint32_t tile_q = stage_of(stage);
    const std::uint32_t tile_d_o = tile_q + 2 * kTileRows * W::kD;
    float p[kTileFragments][4] = {};
    float d_s[kTileFragments][4] = {};
    multiply_lines<Ptx, W::kD, kTileRows / 16>(p, shared, warp_key, tile_q, lane);
    multiply_lines<Ptx, W::kV, kTileRows / 16>(d_s, values, warp_key, tile_d_o, lane);
    const bool masked = first_key + kBlockKeys > whole_keys(t, first_row, kTileRows);
    through_softmax<Ptx>(t, p, d_s, head, first_row, first_key + warp_key, masked, lane);
    store_gradient<Ptx>(gradient, d_s, warp_key, lane);
    TRAINMETER_UNROLL
    for (int piece = 0; piece < kTileRows / 16; ++piece) {
      std::uint32_t a[4];
      as_operand<Ptx>(a, p[2 * piece], p[2 * piece + 1]);
      multiply_columns<Ptx, W::kV>(d_v, a, tile_d_o, 16 * piece, lane);
      as_operand<Ptx>(a, d_s[2 * piece], d_s[2 * piece + 1]);
      multiply_columns<Ptx, W::kD>(d_k, a, tile_q, 16 * piece, lane);
    }
    Ptx::sync();  // dS is there
    add_d_q<Ptx, W>(t, head, first_row, gradient, shared, warp, lane);
  }
  Ptx::template wait_for_groups<0>();
  write_keys<Ptx, W::kD>(t.d_k + kv_row * t.head_dim, d_k, t.scale, key_count, t.head_dim, warp_key,
                         lane);
  write_keys<Ptx, W::kV>(t.d_v + kv_row * t.value_dim, d_v, 1, key_count, t.value_dim, warp_key,
                         lane);
}

}  // namespace trainmeter::attention_mma
