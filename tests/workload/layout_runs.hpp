// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Runs whose layouts are looked at, and what is looked at.
#pragma once

#include "record/error.hpp"
#include "workload/layout.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace trainmeter {

inline Model dense() {
  Model m;
  m.id = "dense";
  m.layers = 24;
  m.hidden = 1024;
  m.heads = 16;
  m.kv_heads = 8;
  m.head_dim = 64;
  m.attention = AttentionKind::gqa;
  m.ffn = 4096;
  m.vocab = 32000;
  return m;
}

inline Model with_experts() {
  Model m = dense();
  m.moe = Moe{.experts = 12,
              .experts_per_token = 2,
              .shared_experts = 1,
              .expert_ffn = 512,
              .dense_layers = 1,
              .group_limit = {}};
  return m;
}

inline trainmeter::Run run_of(const Parallel& parallel, std::int64_t gpus = 64) {
  trainmeter::Run run;
  run.place.file = "r.json";
  run.id = "r";
  run.model = dense();
  run.gpus = gpus;
  run.seq_len = 4096;
  run.global_batch_sequences = 512;
  run.parallel = parallel;
  return run;
}

inline std::string refusal(const trainmeter::Run& run) {
  try {
    (void)layouts(run);
  } catch (const BadInput& error) {
    return error.what();
  }
  return "nothing was refused";
}

// The one layout of a run that leaves nothing open.
inline Layout only(const trainmeter::Run& run) {
  const std::vector<Choice> all = layouts(run);
  EXPECT_EQ(all.size(), 1U);
  return all.front().layout;
}

// Nothing open but what the test is about.
inline Parallel printed() {
  Parallel p;
  p.microbatch_sequences = 1;
  p.recompute = Recompute::none;
  p.overlap.emplace();
  return p;
}

// The values that a field takes over all choices, in their order.
template <class T>
std::vector<T> values(const trainmeter::Run& run, T Layout::*field) {
  std::vector<T> out;
  for (const Choice& c : layouts(run)) {
    if (std::ranges::find(out, c.layout.*field) == out.end()) out.push_back(c.layout.*field);
  }
  return out;
}

}  // namespace trainmeter
