// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A transformer as a model file describes it (results/published/models/<id>.json; fields in
// docs/files.md).
#pragma once

#include "record/strict_json.hpp"
#include "workload/words.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace trainmeter {

struct Source {  // where a published file's figures stand
  std::string title, locator, url, read_on;
};

struct Mla {
  std::int64_t q_lora_rank = 0, kv_lora_rank = 0, qk_nope_head_dim = 0, qk_rope_head_dim = 0,
               v_head_dim = 0;
};

struct Moe {
  std::int64_t experts = 0, experts_per_token = 0, shared_experts = 0, expert_ffn = 0,
               dense_layers = 0;
  std::optional<std::int64_t> group_limit;  // nodes that a token's experts may lie on
};

struct Model {
  KeyPlace place;  // of the object in a file
  std::string id;
  std::int64_t layers = 0, hidden = 0, heads = 0, kv_heads = 0, head_dim = 0;
  AttentionKind attention = AttentionKind::mha;
  std::optional<Mla> mla;
  std::int64_t ffn = 0;  // of dense layers; 0 where there are none
  FfnKind ffn_kind = FfnKind::swiglu;
  std::int64_t vocab = 0;
  bool tied_embeddings = false;
  std::int64_t mtp_depth = 0;
  std::optional<Moe> moe;
  std::optional<double> params_total, params_active;  // as published
  std::optional<Source> source;
};

Model read_model(StrictObject object);
Source read_source(StrictObject object);

}  // namespace trainmeter
