// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A run's parallel layout with nothing left open: every size resolved, legal, and consistent with
// the run's GPUs and batch. What the run file doesn't print is a choice of `Choice`.
#pragma once

#include "workload/run.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace trainmeter {

struct Layout {
  std::int64_t gpus = 1;
  std::int64_t tp = 1, pp = 1, vpp = 1, cp = 1, dp = 1, ep = 1, etp = 1;
  int zero = 0;  // 0..3
  bool sp = false;
  Schedule schedule = Schedule::one_f_one_b;
  std::int64_t microbatch_sequences = 1;
  std::int64_t microbatches = 1;  // of one pipeline in one step
  std::int64_t seq_len = 1;
  Recompute recompute = Recompute::none;
  bool overlap_tp = false, overlap_dp = false, overlap_pp = false, overlap_ep = false;

  // Tokens of one micro-batch that one GPU works on (its context-parallel share).
  [[nodiscard]] std::int64_t tokens() const { return microbatch_sequences * seq_len / cp; }
};

// One way to fill in what a run file leaves open, and why it is plausible.
struct Choice {
  Layout layout;
  double weight = 1;               // of all choices' weights
  std::vector<std::string> notes;  // what was assumed, for the report
};

// Tokens of a micro-batch beyond which none of several sequences is tried.
inline constexpr std::int64_t kMostMicrobatchTokens = 64 * 1024;

// Checks what the file gives (BadInput names file and key: tp x pp x cp x dp != gpus, heads or
// experts that don't divide, a batch that dp doesn't divide, ...) and lists the plausible ways to
// fill in the rest, at least one. Memory is not looked at here.
std::vector<Choice> layouts(const Run& run);

// Of a run with `parallel`: printed, or DeepSeek's stack, where nothing says otherwise.
bool is_dualpipe(const Run& run);

// Layers of each virtual stage in model order: pp x vpp stages where the schedule is interleaved,
// else pp. No stage holds more than it must. Where they aren't even the last gives way first, since
// it holds the head and what predicts further tokens, then the first, which holds the embedding:
// so do Llama 3 (126 layers on 128 stages: none on either end, arXiv 2407.21783, 3.3.2) and
// Megatron Bridge's layout of DeepSeek-V3 (61 on 32: none on the last).
std::vector<std::int64_t> layers_of_stages(std::int64_t layers, const Layout& layout);

// FSDP under a pipeline gathers weights and scatters gradients once a step (PyTorch's
// PipelineStage, as in torchtitan); without one, layer by layer for each micro-batch, as ZeRO-3 of
// other stacks does.
bool whole_for_a_step(const Layout& layout, TrainingStack stack);
bool gathers_by_layer(const Layout& layout, TrainingStack stack);

}  // namespace trainmeter
