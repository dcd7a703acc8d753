// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Models and stacks whose memory is known.
#pragma once

#include "workload/memory_fit.hpp"

#include <cstdint>

namespace trainmeter {

inline Model gpt(std::int64_t layers, std::int64_t hidden, std::int64_t heads, std::int64_t vocab) {
  Model m;
  m.id = "gpt";
  m.layers = layers;
  m.hidden = hidden;
  m.heads = m.kv_heads = heads;
  m.head_dim = hidden / heads;
  m.ffn = 4 * hidden;
  m.ffn_kind = FfnKind::gelu;
  m.vocab = vocab;
  m.tied_embeddings = true;
  return m;
}

inline Model llama(std::int64_t layers, std::int64_t hidden, std::int64_t heads, std::int64_t ffn) {
  Model m = gpt(layers, hidden, heads, 128256);
  m.attention = AttentionKind::gqa;
  m.kv_heads = 8;
  m.ffn = ffn;
  m.ffn_kind = FfnKind::swiglu;
  m.tied_embeddings = false;
  return m;
}

inline const MemoryOptions kMegatron{"bf16", TrainingStack::megatron};
inline const MemoryOptions kFsdp{"bf16", TrainingStack::fsdp};
inline const MemoryOptions kDeepSeekMemory{"fp8", TrainingStack::deepseek};

}  // namespace trainmeter
