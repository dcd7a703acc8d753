// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The block-scaled fp8 GEMM for Hopper: C[m,n] = A[m,k] B[k,n] in e4m3, K-major, of which each
// 1 x 128 of A has a scale, and each 128 x 128 of B (forward and data gradient: bf16 out), or each
// 1 x 128 of B along k (weight gradient: added to C in fp32). Scales and passes as in DeepSeek-V3's
// report, 3.3. gemm_hopper_parts.hpp says how the work is shared.
//
// Tensor cores keep some 14 bits of an fp8 sum. So their sum ends after 128 of k, the depth of a
// stage and of a scale, and is added, scaled, to one in fp32: the promotion. Where registers allow
// it, there are two partial sums in turn: one is promoted while the next is multiplied. Where there
// is one (in tiles larger than 128 x 128), the two consumers alternate.
#pragma once

#include "kernels/gemm_hopper_parts.hpp"

#include <numeric>

namespace trainmeter::hopper {

constexpr int kMmaKFp8 = 32;      // fp8 elements of k of one wgmma
constexpr int kScaleBlock = 128;  // elements of k that a scale is for; and columns of B, or one

// Of a consumer: sums that aren't promoted yet.
constexpr int partial_sums(int rows, int columns) {
  return 128 * kScaleBlock < rows * columns ? 1 : 2;
}

// Each row has a scale; where it adds, each column, too.
constexpr TileTypes fp8_types(const TileShape& shape, bool adds) {
  return {.operand_bytes = 1,
          .output_bytes = adds ? 4 : 2,
          .scale_bytes = (shape.rows + (adds ? shape.columns : 0)) * 4};
}

template <TileShape kShape, bool kAdding>
struct Fp8Config : TileConfig<kShape, fp8_types(kShape, kAdding)> {
  static constexpr bool kAdds = kAdding;
  static constexpr bool kScaledColumns = kAdding;     // B by 1 x 128, not by 128 x 128
  static constexpr int kScalesOfA = kShape.rows * 4;  // bytes
  static constexpr int kPartials = partial_sums(kShape.rows, kShape.columns);
  // A tile's columns may belong to two blocks of B, which meet at some multiple of kMeet columns.
  static constexpr bool kStraddles = !kAdding && kScaleBlock % kShape.columns != 0;
  static constexpr int kMeet = std::gcd(kShape.columns, kScaleBlock);
  static_assert(!kShape.alternates, "only bf16's consumers do");
  static_assert(!kStraddles || kShape.columns <= kScaleBlock + kMeet, "not to three");
  static_assert(Fp8Config::kStepK == kScaleBlock && kPartials * Fp8Config::kMmaTiles <= 2);
};

// Scales as TMA sees them, {row of A or column of B, block of k, 1}; or, of blocks of 128 columns,
// where they lie: blocks of k contiguous, those of the next columns `stride` further.
template <class TensorMap>
struct Fp8Task : GemmTask<TensorMap> {
  TensorMap scales_a;
  TensorMap scales_b;
  const float* scales_of_blocks = nullptr;
  int stride = 0;
  int last_block = 0;  // of columns
};

// `Tasks` of Fp8Task.
template <class Config, class Ptx, class Tasks>
struct Fp8Kernel : GemmParts<Config, Ptx, Tasks> {
  using Parts = GemmParts<Config, Ptx, Tasks>;
  using Task = typename Tasks::Task;
  using Parts::b_of;
  using Parts::full;
  using Parts::place;
  using Parts::release;
  using Parts::scales_of;
  using Parts::tasks;

  static constexpr int kSums = Config::kColumns / 2;  // of 64 rows, of a thread
  using Sums = float[kSums];

  TRAINMETER_DEVICE void run() const { this->work(*this); }

  TRAINMETER_DEVICE void acquire_scales(const Task& task) const {
    Ptx::acquire(task.scales_a);
    if constexpr (Config::kScaledColumns) Ptx::acquire(task.scales_b);
  }

  TRAINMETER_DEVICE void load_scales(const Task& task, int stage, const TileAt& tile,
                                     int step) const {
    Ptx::load(scales_of(stage), task.scales_a, full(stage), this->row_of(tile), step, 0);
    if constexpr (Config::kScaledColumns) {
      Ptx::load(scales_of(stage) + Config::kScalesOfA, task.scales_b, full(stage),
                this->column_of(tile), step, 0);
    }
  }

  TRAINMETER_DEVICE void consume(int consumer) const {
    Ring<Config::kStages> ring;
    std::uint32_t written = 0;
    std::uint32_t combined = 0;
    int from = 0;
    for (int index = place.cluster; index < tasks.tiles(); index += place.clusters) {
      const auto [task, tile] = tasks.at(index, from);
      BlockScales blocks;
      if constexpr (!Config::kScaledColumns) blocks = scales_of_tile(task, this->column_of(tile));
      Sums c[Config::kMmaTiles] = {};
      if constexpr (Config::kSplits > 1) {
        const auto part = this->part_of(task.k_steps);
        for (const float*& scales : blocks.scales) scales += part.begin;
        if (part.begin < part.end)
          multiply_ahead(consumer, part.end - part.begin, blocks, ring, c[0]);
        this->combine(combined, c[0]);
        if (place.rank > 0) continue;
      } else if constexpr (Config::kPartials == 2) {
        multiply_ahead(consumer, task.k_steps, blocks, ring, c[0]);
      } else {
        multiply_in_turn(consumer, task.k_steps, blocks, ring, c);
      }
      this->write(consumer, written, c);
    }
  }

  // Scales of the blocks of B that a tile's columns belong to, one a step: of its first `columns`,
  // and of the others.
  static constexpr int kBlocksOfB = Config::kStraddles ? 2 : 1;
  struct BlockScales {
    const float* scales[kBlocksOfB] = {};
    int columns = 0;
  };

  TRAINMETER_DEVICE static BlockScales scales_of_tile(const Task& task, int column) {
    BlockScales of;
    TRAINMETER_UNROLL
    for (int i = 0; i < kBlocksOfB; ++i) {
      // A cluster's last tile may lie beyond B, where there are no scales.
      const int block = column / kScaleBlock + i;
      of.scales[i] =
          task.scales_of_blocks + (block < task.last_block ? block : task.last_block) * task.stride;
    }
    of.columns = kScaleBlock - column % kScaleBlock;
    return of;
  }

  // Of scaled columns, sums of a thread whose scales are read and multiplied before the sums are
  // there, so that nobody waits for shared memory then. Two partial sums leave no registers for it.
  static constexpr int kFirst = Config::kScaledColumns && Config::kPartials == 1 ? 16 : 0;

  // What a thread's two rows of a partial sum are multiplied by, and what the first `columns` of
  // its columns are and the others.
  struct Scales {
    int stage;
    int columns;
    float rows[2];
    float blocks[kBlocksOfB];
    float first[kFirst > 0 ? kFirst : 1];  // rows x columns of kFirst sums
  };

  TRAINMETER_DEVICE Scales scales_at(int consumer, int mma_tile, int stage,
                                     const BlockScales& blocks, int step) const {
    const int row =
        this->first_row(consumer, mma_tile) + fragment_row(place.thread % kWarpgroupThreads, 0);
    const std::uint32_t at = scales_of(stage) + row * 4;
    Scales found = {
        stage, blocks.columns, {Ptx::read_shared(at), Ptx::read_shared(at + 8 * 4)}, {}, {}};
    multiply_columns(found, 0, kFirst, found.first);
    if constexpr (!Config::kScaledColumns) {
      TRAINMETER_UNROLL
      for (int i = 0; i < kBlocksOfB; ++i) found.blocks[i] = Ptx::read(blocks.scales[i] + step);
    }
    return found;
  }

  // Rows x columns of sums `begin` to `end`.
  TRAINMETER_DEVICE void multiply_columns(const Scales& scales, int begin, int end,
                                          float* products) const {
    const int first = fragment_column(place.thread % kWarpgroupThreads, 0);
    const std::uint32_t at = scales_of(scales.stage) + Config::kScalesOfA + first * 4;
    TRAINMETER_UNROLL
    for (int i = begin; i < end; i += 4) {
      float columns[2];
      Ptx::read_shared_pair(at + i / 4 * 8 * 4, columns);
      TRAINMETER_UNROLL
      for (int j = 0; j < 4; ++j) products[i - begin + j] = scales.rows[j / 2] * columns[j % 2];
    }
  }

  TRAINMETER_DEVICE void issue(int consumer, int mma_tile, int stage, Sums& part) const {
    Ptx::wgmma_fence();
    const std::uint64_t a =
        advanced(this->first_a(consumer, mma_tile), stage * Config::kStageBytes);
    const std::uint64_t b = advanced(this->first_b(), stage * Config::kStageBytes);
    TRAINMETER_UNROLL
    for (int k = 0; k < Config::kStepK / kMmaKFp8; ++k) {
      Ptx::wgmma_fp8(part, advanced(a, k * kMmaKFp8), advanced(b, k * kMmaKFp8), k > 0);
    }
    Ptx::wgmma_commit();
  }

  // c += part x scales.
  TRAINMETER_DEVICE void promote(Sums& part, const Scales& scales, Sums& c) const {
    Ptx::fence_operand(part);
    if constexpr (Config::kScaledColumns) {
      TRAINMETER_UNROLL
      for (int i = 0; i < kSums; i += 4) {  // two columns, two rows
        float four[4];
        if (kFirst <= i) multiply_columns(scales, i, i + 4, four);
        TRAINMETER_UNROLL
        for (int j = 0; j < 4; ++j)
          c[i + j] += (i < kFirst ? scales.first[i + j] : four[j]) * part[i + j];
      }
      Ptx::warp_sync();  // before one lane says that the warp has read the stage
    } else {
      // Not as they are read, where the step's last product would wait for memory.
      float both[kBlocksOfB][2];
      TRAINMETER_UNROLL
      for (int i = 0; i < 2 * kBlocksOfB; ++i)
        both[i / 2][i % 2] = scales.rows[i % 2] * scales.blocks[i / 2];
      TRAINMETER_UNROLL
      for (int i = 0; i < kSums; ++i) {
        const int row = i / 2 % 2;
        const int column = i / 4 * 8 / Config::kMeet * Config::kMeet;
        const bool own = column == 0 || (column < kScaleBlock && column < scales.columns);
        c[i] += (own ? both[0][row] : both[kBlocksOfB - 1][row]) * part[i];
      }
    }
  }

  // A step is promoted while the next one's products are under way.
  TRAINMETER_DEVICE void multiply_ahead(int consumer, const int k_steps, const BlockScales& blocks,
                                        Ring<Config::kStages>& ring, Sums& c) const {
    Sums even, odd;
    Scales scales_even = begin(consumer, 0, blocks, ring, even);
    TRAINMETER_ROLLED
    for (int step = 1;; step += 2) {
      if (step >= k_steps) return end(even, scales_even, c);
      const Scales scales_odd = begin(consumer, step, blocks, ring, odd);
      Ptx::template wgmma_wait<1>();
      promote(even, scales_even, c);
      release(scales_even.stage);
      if (step + 1 >= k_steps) return end(odd, scales_odd, c);
      scales_even = begin(consumer, step + 1, blocks, ring, even);
      Ptx::template wgmma_wait<1>();
      promote(odd, scales_odd, c);
      release(scales_odd.stage);
    }
  }

  // Scales are read while the tensor cores are at work already.
  TRAINMETER_DEVICE Scales begin(int consumer, int step, const BlockScales& blocks,
                                 Ring<Config::kStages>& ring, Sums& part) const {
    Ptx::wait(full(ring.stage), ring.parity);
    issue(consumer, 0, ring.stage, part);
    const Scales scales = scales_at(consumer, 0, ring.stage, blocks, step);
    ring.advance();
    // That it is the warp's, two exits of the loop hide from the compiler, which would have the
    // descriptors in vector registers, and move them for each product.
    ring.stage = Ptx::uniform(ring.stage);
    return scales;
  }

  TRAINMETER_DEVICE void end(Sums& part, const Scales& scales, Sums& c) const {
    Ptx::template wgmma_wait<0>();
    promote(part, scales, c);
    release(scales.stage);
  }

  TRAINMETER_DEVICE void multiply_in_turn(int consumer, const int k_steps,
                                          const BlockScales& blocks, Ring<Config::kStages>& ring,
                                          Sums (&c)[Config::kMmaTiles]) const {
    TRAINMETER_ROLLED
    for (int step = 0; step < k_steps; ++step, ring.advance()) {
      Ptx::wait(full(ring.stage), ring.parity);
      TRAINMETER_UNROLL
      for (int mma_tile = 0; mma_tile < Config::kMmaTiles; ++mma_tile) {
        Sums part;
        issue(consumer, mma_tile, ring.stage, part);
        const Scales scales = scales_at(consumer, mma_tile, ring.stage, blocks, step);
        Ptx::template wgmma_wait<0>();
        promote(part, scales, c[mma_tile]);
      }
      release(ring.stage);
    }
  }
};

}  // namespace trainmeter::hopper
