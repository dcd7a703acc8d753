// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The bf16 GEMM for Hopper: C[m,n] = A[m,k] B[k,n], fp32 accumulation, any m, n, k; C in bf16, in
// fp32, or added to in fp32, as weight gradients are. gemm_hopper_parts.hpp says how the work is
// shared.
#pragma once

#include "kernels/gemm.hpp"
#include "kernels/gemm_hopper_parts.hpp"

namespace trainmeter::hopper {

constexpr int kMmaK = 16;     // bf16 elements of k of one wgmma
constexpr int kBf16Lead = 2;  // steps

// What becomes of the sums.
enum class Output { bf16, fp32, added };

constexpr TileTypes bf16_types(const TileShape& shape, GemmLayout layout, Output output) {
  return {.major_a = layout == GemmLayout::tn ? Major::mn : Major::k,
          .major_b = layout == GemmLayout::nt ? Major::k : Major::mn,
          .operand_bytes = 2,
          .output_bytes = output == Output::bf16 ? 2 : 4,
          .lead = shape.alternates ? 0 : kBf16Lead};
}

template <TileShape kShape, GemmLayout kLayout, Output kOutput = Output::bf16>
struct GemmConfig : TileConfig<kShape, bf16_types(kShape, kLayout, kOutput)> {
  static constexpr bool kAdds = kOutput == Output::added;
};

// `Tasks` of GemmTask.
template <class Config, class Ptx, class Tasks>
struct GemmKernel : GemmParts<Config, Ptx, Tasks> {
  using Parts = GemmParts<Config, Ptx, Tasks>;
  using Parts::full;
  using Parts::place;
  using Parts::release;
  using Parts::tasks;

  TRAINMETER_DEVICE void run() const { this->work(*this); }

  static constexpr int kMmaTiles = Config::kMmaTiles;
  using Sums = float[kMmaTiles][Config::kColumns / 2];  // of a thread

  TRAINMETER_DEVICE void consume(int consumer) const {
    Ring<Config::kStages> ring;
    std::uint32_t written = 0;
    std::uint32_t combined = 0;
    int from = 0;
    for (int index = this->first_tile(consumer); index < tasks.tiles(); index += this->tiles_on()) {
      const int k_steps = tasks.at(index, from).task.k_steps;
      Sums c;
      if constexpr (Config::kSplits > 1) {
        multiply_part(consumer, k_steps, ring, c);
        this->combine(combined, c[0]);
        if (place.rank > 0) continue;
      } else {
        if (Config::kAlternates && consumer > 0) ring.skip(k_steps);  // the other's tile
        const int pass_at = this->wait_for_turn(consumer, index, k_steps);
        multiply(consumer, k_steps, pass_at, ring, c);
        if (Config::kAlternates && consumer == 0) ring.skip(k_steps);
      }
      this->write(consumer, written, c);
    }
  }

  TRAINMETER_DEVICE void multiply_part(int consumer, int k_steps, Ring<Config::kStages>& ring,
                                       Sums& c) const {
    const auto part = this->part_of(k_steps);
    if (part.begin < part.end) return multiply(consumer, part.end - part.begin, -1, ring, c);
    for (float& sum : c[0]) sum = 0;
  }

  // One step's wgmmas stay in flight while the next step's are issued; a stage is given back when
  // the step after it has been issued.
  TRAINMETER_DEVICE void multiply(int consumer, const int k_steps, int pass_at,
                                  Ring<Config::kStages>& ring, Sums& c) const {
    std::uint64_t first_a[kMmaTiles];
    TRAINMETER_UNROLL
    for (int mma_tile = 0; mma_tile < kMmaTiles; ++mma_tile)
      first_a[mma_tile] = this->first_a(consumer, mma_tile);
    const std::uint64_t first_b = this->first_b();
    int read = ring.stage;
    TRAINMETER_ROLLED
    for (int step = 0; step < k_steps; ++step, ring.advance()) {
      Ptx::wait(full(ring.stage), ring.parity);
      Ptx::wgmma_fence();
      const std::uint64_t b = advanced(first_b, ring.stage * Config::kStageBytes);
      TRAINMETER_UNROLL
      for (int mma_tile = 0; mma_tile < kMmaTiles; ++mma_tile) {
        const std::uint64_t a = advanced(first_a[mma_tile], ring.stage * Config::kStageBytes);
        TRAINMETER_UNROLL
        for (int k = 0; k < Config::kStepK / kMmaK; ++k) {
          Ptx::template wgmma<Config::kMajorA == Major::mn, Config::kMajorB == Major::mn>(
              c[mma_tile], advanced(a, k * step_bytes(Config::kMajorA)),
              advanced(b, k * step_bytes(Config::kMajorB)), step > 0 || k > 0);
        }
      }
      Ptx::wgmma_commit();
      this->pass_turn(consumer, step, pass_at);
      if (step > 0) {
        Ptx::template wgmma_wait<1>();
        release(read);
      }
      read = ring.stage;
    }
    Ptx::template wgmma_wait<0>();
    TRAINMETER_UNROLL
    for (int mma_tile = 0; mma_tile < kMmaTiles; ++mma_tile) Ptx::fence_operand(c[mma_tile]);
    release(read);
  }
};

}  // namespace trainmeter::hopper
