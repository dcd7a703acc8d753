// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a training stack (Megatron, PyTorch FSDP, DeepSeek's own, ...) does to kernels: its
// attention, how far it fuses, and what communication leaves of the SMs.
#pragma once

#include "report/factors.hpp"
#include "workload/run.hpp"
#include "workload/system.hpp"

#include <string>
#include <vector>

namespace trainmeter {

inline constexpr const char* kUnfused = "unfused";  // attention with its scores in memory

struct Stack {
  std::string
      attention;  // backend of its attention kernel in published micro-benchmarks, or kUnfused
  Factor attention_factor = Factor::attention_fused;
  bool fused = true;          // memory-bound neighbours in one kernel
  double compute_sms = 1;     // share of the SMs left for compute by communication that has its own
  double gradient_bytes = 4;  // of one weight's, where replicas reduce them
  std::string assumed;        // which attention kernel, where that is; empty: it is known
};

// The ways it may have been, all alike: which attention kernel a stack had is rarely printed. A
// plan, which neither has a source nor was timed, has the newest unless it says an older one.
// BadInput where communication leaves no SM to compute on.
std::vector<Stack> stacks_of(const Run& run, const System& system);

}  // namespace trainmeter
