// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strict reading of model files.
#include "workload/model.hpp"

#include "workload/limits.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>

namespace trainmeter {
namespace {

std::int64_t size(StrictObject& object, const std::string& key) {
  return bounded(object, key, 1, kMaxModelSize);
}

std::int64_t none_or_more(StrictObject& object, const std::string& key) {
  return object.has(key) ? bounded(object, key, 0, kMaxModelSize) : 0;
}

Mla read_mla(StrictObject& object) {
  return {.q_lora_rank = size(object, "q_lora_rank"),
          .kv_lora_rank = size(object, "kv_lora_rank"),
          .qk_nope_head_dim = size(object, "qk_nope_head_dim"),
          .qk_rope_head_dim = size(object, "qk_rope_head_dim"),
          .v_head_dim = size(object, "v_head_dim")};
}

bool is_date(const std::string& text) {  // 2026-11-24
  constexpr std::string_view kPattern = "dddd-dd-dd";
  const bool shaped = std::ranges::equal(text, kPattern, [](char c, char p) {
    return p == 'd' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : c == p;
  });
  if (!shaped) return false;
  const auto number = [&](std::size_t at, std::size_t digits) {
    return std::stoi(text.substr(at, digits));
  };
  return std::chrono::year_month_day(std::chrono::year(number(0, 4)),
                                     std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                     std::chrono::day(static_cast<unsigned>(number(8, 2))))
      .ok();
}

Moe read_moe(StrictObject object, std::int64_t layers) {
  Moe moe;
  moe.experts = size(object, "experts");
  moe.experts_per_token = size(object, "experts_per_token");
  if (moe.experts_per_token > moe.experts) object.refuse("experts_per_token", "at most `experts`");
  moe.shared_experts = none_or_more(object, "shared_experts");
  moe.expert_ffn = size(object, "expert_ffn");
  moe.dense_layers = none_or_more(object, "dense_layers");
  if (moe.dense_layers > layers) object.refuse("dense_layers", "at most `layers`");
  if (object.has("group_limit")) moe.group_limit = size(object, "group_limit");
  object.finish();
  return moe;
}

}  // namespace

Source read_source(StrictObject object) {
  Source source{.title = filled(object, "title"),
                .locator = filled(object, "locator"),
                .url = filled(object, "url"),
                .read_on = object.text("read_on")};
  if (!is_date(source.read_on)) object.refuse("read_on", "a date such as 2026-11-24");
  object.finish();
  return source;
}

Model read_model(StrictObject object) {
  Model m;
  m.place = object.place();
  m.id = filled(object, "id");
  m.layers = size(object, "layers");
  m.hidden = size(object, "hidden");
  m.heads = size(object, "heads");
  m.attention = read_word<AttentionKind>(object, "attention");
  if (m.attention == AttentionKind::mla) {
    m.mla = read_mla(object);
    // MLA's head widths are its own; these two are accepted, and say nothing more.
    m.kv_heads = object.has("kv_heads") ? size(object, "kv_heads") : m.heads;
    m.head_dim = object.has("head_dim") ? size(object, "head_dim") : m.mla->v_head_dim;
  } else {
    m.head_dim = size(object, "head_dim");
    m.kv_heads = m.attention == AttentionKind::gqa || object.has("kv_heads")
                     ? size(object, "kv_heads")
                     : m.heads;
    if (m.heads % m.kv_heads != 0) object.refuse("kv_heads", "a divisor of `heads`");
    if (m.attention == AttentionKind::mha && m.kv_heads != m.heads)
      object.refuse("kv_heads", "as many as `heads` (mha)");
  }
  if (object.has("moe")) m.moe = read_moe(object.object("moe"), m.layers);
  const bool dense = !m.moe || m.moe->dense_layers > 0;
  m.ffn = dense ? size(object, "ffn") : none_or_more(object, "ffn");
  m.ffn_kind = read_word<FfnKind>(object, "ffn_kind");
  m.vocab = size(object, "vocab");
  m.tied_embeddings = object.has("tied_embeddings") && object.boolean("tied_embeddings");
  m.mtp_depth = none_or_more(object, "mtp_depth");
  m.params_total = at_most_if_there(object, "params_total", kMaxParams, "parameters");
  m.params_active = at_most_if_there(object, "params_active", kMaxParams, "parameters");
  if (object.has("source")) m.source = read_source(object.object("source"));
  object.finish();
  return m;
}

}  // namespace trainmeter
