// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strict reading of model files.
#include "workload/model.hpp"

namespace trainmeter {
namespace {

Mla read_mla(StrictObject& object) {
  return {.q_lora_rank = object.count("q_lora_rank"),
          .kv_lora_rank = object.count("kv_lora_rank"),
          .qk_nope_head_dim = object.count("qk_nope_head_dim"),
          .qk_rope_head_dim = object.count("qk_rope_head_dim"),
          .v_head_dim = object.count("v_head_dim")};
}

std::int64_t none_or_more(StrictObject& object, const std::string& key) {
  if (!object.has(key)) return 0;
  const std::int64_t value = object.integer(key);
  if (value < 0) object.refuse(key, "a whole number of at least 0");
  return value;
}

Moe read_moe(StrictObject object, std::int64_t layers) {
  Moe moe;
  moe.experts = object.count("experts");
  moe.experts_per_token = object.count("experts_per_token");
  if (moe.experts_per_token > moe.experts) object.refuse("experts_per_token", "at most `experts`");
  moe.shared_experts = none_or_more(object, "shared_experts");
  moe.expert_ffn = object.count("expert_ffn");
  moe.dense_layers = none_or_more(object, "dense_layers");
  if (moe.dense_layers > layers) object.refuse("dense_layers", "at most `layers`");
  moe.group_limit = object.optional(&StrictObject::count, "group_limit");
  object.finish();
  return moe;
}

}  // namespace

Source read_source(StrictObject object) {
  Source source{.title = object.text("title"),
                .locator = object.text("locator"),
                .url = object.text("url"),
                .read_on = object.text("read_on")};
  object.finish();
  return source;
}

Model read_model(StrictObject object) {
  Model m;
  m.id = object.text("id");
  m.layers = object.count("layers");
  m.hidden = object.count("hidden");
  m.heads = object.count("heads");
  const std::string attention = object.one_of("attention", {"mha", "gqa", "mla"});
  m.attention = attention == "mha"   ? AttentionKind::mha
                : attention == "gqa" ? AttentionKind::gqa
                                     : AttentionKind::mla;
  if (m.attention == AttentionKind::mla) {
    m.mla = read_mla(object);
    // MLA's head widths are its own; these two are accepted, and say nothing more.
    m.kv_heads = object.has("kv_heads") ? object.count("kv_heads") : m.heads;
    m.head_dim = object.has("head_dim") ? object.count("head_dim") : m.mla->v_head_dim;
  } else {
    m.head_dim = object.count("head_dim");
    m.kv_heads = m.attention == AttentionKind::gqa || object.has("kv_heads")
                     ? object.count("kv_heads")
                     : m.heads;
    if (m.heads % m.kv_heads != 0) object.refuse("kv_heads", "a divisor of `heads`");
    if (m.attention == AttentionKind::mha && m.kv_heads != m.heads)
      object.refuse("kv_heads", "as many as `heads` (mha)");
  }
  if (object.has("moe")) m.moe = read_moe(object.object("moe"), m.layers);
  const bool dense = !m.moe || m.moe->dense_layers > 0;
  m.ffn = dense ? object.count("ffn") : none_or_more(object, "ffn");
  const std::string kind = object.one_of("ffn_kind", {"swiglu", "gelu", "relu2"});
  m.ffn_kind = kind == "swiglu" ? FfnKind::swiglu : kind == "gelu" ? FfnKind::gelu : FfnKind::relu2;
  m.vocab = object.count("vocab");
  m.tied_embeddings = object.has("tied_embeddings") && object.boolean("tied_embeddings");
  m.mtp_depth = none_or_more(object, "mtp_depth");
  m.params_total = object.optional(&StrictObject::positive, "params_total");
  m.params_active = object.optional(&StrictObject::positive, "params_active");
  if (object.has("source")) m.source = read_source(object.object("source"));
  object.finish();
  return m;
}

}  // namespace trainmeter
