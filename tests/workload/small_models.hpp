// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Small models of each kind, and what their work lists hold by name.
#pragma once

#include "record/formulas.hpp"
#include "record/real.hpp"
#include "workload/run.hpp"
#include "workload/worklist.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <ostream>
#include <string>

namespace trainmeter {

inline Model published(const std::string& id) {
  return Library(std::filesystem::path(TRAINMETER_SOURCE_DIR) / "results" / "published").model(id);
}

inline Model small_llama() {  // grouped queries, a gate
  Model m;
  m.id = "llama";
  m.layers = 4;
  m.hidden = 64;
  m.heads = 8;
  m.kv_heads = 2;
  m.head_dim = 8;
  m.attention = AttentionKind::gqa;
  m.ffn = 96;
  m.vocab = 100;
  return m;
}

inline Model small_gpt() {
  Model m = small_llama();
  m.id = "gpt";
  m.kv_heads = 8;
  m.attention = AttentionKind::mha;
  m.ffn_kind = FfnKind::gelu;
  m.tied_embeddings = true;
  return m;
}

inline Model small_moe() {  // 2 of 8 experts and a shared one, after a dense layer
  Model m = small_llama();
  m.id = "moe";
  m.moe = Moe{.experts = 8,
              .experts_per_token = 2,
              .shared_experts = 1,
              .expert_ffn = 32,
              .dense_layers = 1,
              .group_limit = {}};
  return m;
}

inline Model small_mla() {
  Model m = small_moe();
  m.id = "mla";
  m.kv_heads = 8;
  m.attention = AttentionKind::mla;
  m.mla = Mla{24, 16, 8, 4, 8};
  m.mtp_depth = 1;
  return m;
}

inline Layout two_sequences_of_16() {
  Layout l;
  l.microbatch_sequences = 2;
  l.seq_len = 16;
  return l;
}

inline Layout deepseek_layout() {  // of the report, 3.2: 120 micro-batches of a sequence
  Layout l;
  l.gpus = 2048;
  l.pp = 16;
  l.dp = 128;
  l.ep = 64;
  l.zero = 1;
  l.schedule = Schedule::dualpipe;
  l.microbatches = 120;
  l.seq_len = 4096;
  l.overlap_ep = true;
  return l;
}

inline const WorkOptions kDeepSeek{"fp8", TrainingStack::deepseek, 8};

struct Shape {
  std::int64_t m, n, k, groups;
  bool operator==(const Shape&) const = default;
};

inline Shape shape(const LayerWork& work, const std::string& name, Pass pass = Pass::fprop) {
  for (const GemmWork& g : work.gemms) {
    if (g.name == name && g.pass == pass) return {g.m, g.n, g.k, g.groups};
  }
  ADD_FAILURE() << "no GEMM " << name;
  return {};
}

inline void PrintTo(const Shape& s, std::ostream* out) {
  *out << s.groups << " x (" << s.m << ", " << s.n << ", " << s.k << ")";
}

inline double traffic(const LayerWork& work, const std::string& name, Half half) {
  double bytes = 0;
  for (const Traffic& t : work.traffic) {
    if (t.name == name && t.half == half) bytes += t.bytes;
  }
  return bytes;
}

inline const Collective& only(const LayerWork& work, const std::string& name, Half half,
                              std::optional<Group> group = std::nullopt) {
  const Collective* found = nullptr;
  for (const Collective& c : work.collectives) {
    if (c.name != name || c.half != half || (group && c.group != *group)) continue;
    if (found != nullptr) ADD_FAILURE() << "two of " << name;
    found = &c;
  }
  if (found == nullptr) {
    static const Collective none;
    ADD_FAILURE() << "no " << name;
    return none;
  }
  return *found;
}

// Times a collective is done in a layer, all of one payload.
inline double count(const LayerWork& work, const std::string& operation, Half half,
                    double payload) {
  double sum = 0;
  for (const Collective& c : work.collectives) {
    if (c.operation != operation || c.half != half) continue;
    EXPECT_DOUBLE_EQ(c.payload_bytes, payload) << c.name;
    sum += c.count;
  }
  return sum;
}

inline double gemm_work(const LayerWork& work) {
  double sum = 0;
  for (const GemmWork& g : work.gemms) sum += g.count * real(g.groups) * gemm_flops(g.m, g.n, g.k);
  return sum;
}

inline Collective placed(const char* operation, std::int64_t ranks, std::int64_t on_node) {
  Collective c{
      .operation = operation, .payload_bytes = 800, .ranks = ranks, .ranks_on_node = on_node};
  place_bytes(c);
  return c;
}

}  // namespace trainmeter
