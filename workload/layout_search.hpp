// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Every parallel layout in which a model's training step can run on so many GPUs: legal by
// workload/layout.hpp, small enough by workload/memory_fit.hpp.
//
// What is searched. tp: divisors of a node's GPUs, since tensor parallelism between nodes costs
//   more than it gains (Megatron-LM, arXiv 2104.04473, takeaway 1). pp: divisors of the GPUs, up to
//   the layers. cp: powers of two that leave each rank kLeastTokens of a sequence. ep: divisors of
//   the experts; etp 1, as Megatron-Core and DeepSeek have it (experts are not cut). sp wherever
//   tp > 1. ZeRO: 1 under Megatron and its like, 2 and 3 under FSDP (one under a pipeline, where
//   they are the same). Micro-batches: divisors of a
//   replica's sequences, up to kMostSequences and kMostMicrobatchTokens. Schedule and virtual
//   stages: what layouts() lists. Recomputation: the least that fits.
#pragma once

#include "workload/memory_fit.hpp"
#include "workload/run.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace trainmeter {

inline constexpr std::int64_t kLeastTokens = 2048;  // of a sequence, on one context-parallel rank
inline constexpr std::int64_t kMostSequences = 64;  // of a micro-batch

// One layout, with nothing open but which traffic the stack overlaps.
struct FittingLayout {
  Parallel parallel;
  double held_bytes = 0;  // of a GPU's memory; see held()
};

struct LayoutSearch {
  std::vector<FittingLayout> fitting;  // in no order that says anything
  std::size_t legal = 0;               // that were looked at, recomputation apart
  std::string nearest_miss;  // of those that don't fit, the one that needs least; empty: all do
  std::string refusal;       // why the last of those that aren't legal wasn't one
};

// Of `run.parallel` no more is looked at than what its software overlaps. Memory only of a
// GPU that says it. BadInput where the run
// lacks model, seq_len or batch.
LayoutSearch search_layouts(Run run, const System& system);

// "tp 8, pp 4 x 2 virtual, dp 16, micro-batch 1, interleaved, selective recomputation".
std::string shown(const Parallel& parallel);

}  // namespace trainmeter
