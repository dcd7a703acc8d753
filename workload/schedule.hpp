// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How long one pipeline takes for one training step: the order of each rank's slots under 1F1B,
// interleaved 1F1B, zero-bubble or DualPipe, then an event simulation of them.
#pragma once

#include "workload/words.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace trainmeter {

// Of a pipeline: far above any there is (64 ranks with 1,000 micro-batches are 64,000), and far
// below what fills a machine's memory.
inline constexpr std::int64_t kMostPasses = 4'000'000;  // micro-batches x stages

// What a rank does in one go. `backward` is input and weight gradient together, `overlapped` a
// forward and such a backward side by side (DualPipe).
enum class Slot { forward, backward, backward_input, weight, overlapped };
inline constexpr std::size_t kSlotKinds = 5;

// Of one micro-batch through one chunk of layers.
struct ChunkTimes {
  double forward_s = 0;
  double backward_input_s = 0;
  double weight_s = 0;
};

struct PipelineProblem {
  Schedule schedule = Schedule::one_f_one_b;
  std::int64_t ranks = 1;
  std::int64_t microbatches = 1;     // of this pipeline in one step
  std::int64_t chunks_per_rank = 1;  // 1; vpp where interleaved; 2 for dualpipe

  // By stage of the model, first layers first: ranks x chunks_per_rank of them, stage v on rank
  // v % ranks. DualPipe has only `ranks`, each held twice: by rank v and by rank ranks - 1 - v.
  std::vector<ChunkTimes> chunks;

  // An activation or a gradient on its way to a neighbouring rank, where nothing hides it.
  double send_s = 0;

  // DualPipe only: an overlapped slot whose forward is of stage v. The backward beside it is always
  // of stage ranks - 1 - v, since it belongs to the other direction.
  std::vector<double> overlapped_s;
};

// One slot of a rank. A half that the slot lacks is -1; a weight gradient is a backward half.
struct Task {
  Slot slot = Slot::forward;
  std::int32_t forward_chunk = -1, forward_microbatch = -1;
  std::int32_t backward_chunk = -1, backward_microbatch = -1;
};
using RankOrder = std::vector<Task>;
using PipelineOrder = std::vector<RankOrder>;  // by rank

// BadInput where sizes don't fit each other or the schedule, or where a time is negative or isn't
// finite.
void check_pipeline(const PipelineProblem& problem);

// The order of every rank's slots, which no duration changes. Zero-bubble has two to choose from,
// the first better for even stages; the others have one.
std::vector<PipelineOrder> slot_orders(const PipelineProblem& problem);

// Slots of one chunk (of one pair of chunks where overlapped) on the critical path. -1: no such
// half.
struct CriticalWork {
  Slot slot = Slot::forward;
  std::int64_t forward_chunk = -1, backward_chunk = -1;
  double count = 0;
};

struct PipelineResult {
  double total_s = 0;
  std::vector<double> busy_s;                               // by rank
  std::vector<std::array<std::int64_t, kSlotKinds>> slots;  // by rank, then by Slot
  // One chain of work that lasts as long as the step: the sum of count x duration, and of
  // critical_sends x send_s, is total_s.
  std::vector<CriticalWork> critical;
  double critical_sends = 0;

  [[nodiscard]] std::int64_t slots_of(std::int64_t rank, Slot slot) const {
    return slots[static_cast<std::size_t>(rank)][static_cast<std::size_t>(slot)];
  }
  [[nodiscard]] double mean_bubble_s() const;  // time a rank stands idle, averaged over ranks
};

// Duration of one slot. Chunks as in CriticalWork.
double slot_s(const PipelineProblem& problem, Slot slot, std::int64_t forward_chunk,
              std::int64_t backward_chunk);

// Of the schedule's orders the one that is done first. Checks the problem.
PipelineResult simulate(const PipelineProblem& problem);

// Closed form of the bubble for stages that are all like chunks[0], without sends: exact for 1F1B
// and for interleaved 1F1B with ranks dividing microbatches, an approximation for the other two.
double even_bubble_s(const PipelineProblem& problem);

}  // namespace trainmeter
