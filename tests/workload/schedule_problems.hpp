// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Pipelines of stages that are all alike.
#pragma once

#include "workload/schedule.hpp"

#include <cstddef>
#include <cstdint>

namespace trainmeter {

inline const ChunkTimes kUnit{.forward_s = 1, .backward_input_s = 1, .weight_s = 1};

// Stages all alike; an overlapped slot takes as long as its halves one after the other.
inline PipelineProblem even(Schedule schedule, std::int64_t ranks, std::int64_t microbatches,
                            ChunkTimes times = kUnit, std::int64_t vpp = 2) {
  PipelineProblem p{.schedule = schedule, .ranks = ranks, .microbatches = microbatches};
  if (schedule == Schedule::interleaved) p.chunks_per_rank = vpp;
  p.chunks.assign(static_cast<std::size_t>(ranks * p.chunks_per_rank), times);
  if (schedule == Schedule::dualpipe) {
    p.chunks_per_rank = 2;
    p.overlapped_s.assign(p.chunks.size(),
                          times.forward_s + times.backward_input_s + times.weight_s);
  }
  return p;
}

}  // namespace trainmeter
