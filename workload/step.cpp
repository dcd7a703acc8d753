// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// FLOPs, GEMM shapes and bytes of a training step. docs/flops.md derives every count.
#include "workload/step.hpp"

#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/real.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace trainmeter {
namespace {

// Training FLOPs per token of one layer's attention core: scores and weighted sum, forward and
// twice that backward.
double attention_core_flops(const Model& m, const FlopOptions& options) {
  if (options.attention == AttentionFlops::none) return 0;
  const double keys =
      real(options.seq_len) * (options.attention == AttentionFlops::causal ? 0.5 : 1);
  return 3 * 2 * keys * real(m.heads) * real(query_key_dim(m) + value_dim(m));
}

double training_flops(double weights) {
  return 6 * weights;  // multiply and add, for forward, dgrad and wgrad
}

std::int64_t divided(std::int64_t value, std::int64_t ways, const char* what) {
  if (ways < 1 || value % ways != 0) {
    throw BadInput(fmt::format("{}: {} ways do not divide {}", what, ways, value));
  }
  return value / ways;
}

}  // namespace

std::int64_t dense_layers(const Model& m) {
  return m.moe ? m.moe->dense_layers : m.layers;
}

std::int64_t moe_layers(const Model& m) {
  return m.layers - dense_layers(m);
}

std::optional<SigmoidRouting> sigmoid_routing(const Model& model) {
  if (!model.moe || !model.moe->group_limit || model.mtp_depth == 0) return std::nullopt;
  constexpr std::int64_t kGroups = 8;
  const Moe& moe = *model.moe;
  const std::int64_t groups = std::gcd(moe.experts, kGroups);
  const std::int64_t size = moe.experts / groups;
  const std::int64_t least = (moe.experts_per_token + size - 1) / size;
  return SigmoidRouting{groups, std::max(least, std::min(*moe.group_limit, groups))};
}

double ffn_matrices(const Model& m) {  // gate, up, down; or up, down
  return m.ffn_kind == FfnKind::swiglu ? 3 : 2;
}

double expert_weights(const Model& m) {
  return ffn_matrices(m) * real(m.hidden) * real(m.moe->expert_ffn);
}

std::int64_t query_key_dim(const Model& m) {
  return m.mla ? m.mla->qk_nope_head_dim + m.mla->qk_rope_head_dim : m.head_dim;
}

std::int64_t value_dim(const Model& m) {
  return m.mla ? m.mla->v_head_dim : m.head_dim;
}

// Weights of one layer's attention projections.
double attention_weights(const Model& m) {
  const double output = real(m.heads) * real(value_dim(m)) * real(m.hidden);
  if (!m.mla) return real(m.hidden) * real(m.heads + 2 * m.kv_heads) * real(m.head_dim) + output;
  const Mla& a = *m.mla;
  return real(m.hidden) * real(a.q_lora_rank) +
         real(a.q_lora_rank) * real(m.heads) * real(query_key_dim(m)) +
         real(m.hidden) * real(a.kv_lora_rank + a.qk_rope_head_dim) +
         real(a.kv_lora_rank) * real(m.heads) * real(a.qk_nope_head_dim + a.v_head_dim) + output;
}

std::vector<Component> components(const Model& m, const FlopOptions& options) {
  std::vector<Component> out;
  const auto weights = [&](const char* name, double active, bool low_precision) {
    if (active > 0) out.push_back({name, active, training_flops(active), low_precision});
  };
  weights("attention_projections", real(m.layers) * attention_weights(m), true);
  out.push_back({"attention_core", 0, real(m.layers) * attention_core_flops(m, options), false});
  weights("ffn", real(dense_layers(m)) * ffn_matrices(m) * real(m.hidden) * real(m.ffn), true);
  double moe_layer = 0;
  if (m.moe) {
    weights("shared_experts", real(moe_layers(m)) * real(m.moe->shared_experts) * expert_weights(m),
            true);
    weights("routed_experts",
            real(moe_layers(m)) * real(m.moe->experts_per_token) * expert_weights(m), true);
    const double router = real(m.hidden) * real(m.moe->experts);
    if (options.router) weights("router", real(moe_layers(m)) * router, false);
    moe_layer = real(m.moe->shared_experts + m.moe->experts_per_token) * expert_weights(m) + router;
  }
  const double head = real(m.hidden) * real(m.vocab);
  weights("lm_head", head, false);
  if (options.mtp && m.mtp_depth > 0) {
    // Each depth: a projection of two hidden states to one, a layer of the last kind, the shared
    // head (DeepSeek-V3 report, 2.2).
    const double layer = m.moe ? moe_layer : ffn_matrices(m) * real(m.hidden) * real(m.ffn);
    const double active = real(m.mtp_depth) * (2 * real(m.hidden) * real(m.hidden) +
                                               attention_weights(m) + layer + head);
    out.push_back({"mtp", active,
                   training_flops(active) + real(m.mtp_depth) * attention_core_flops(m, options),
                   true});
  }
  return out;
}

double training_flops_per_token(const Model& model, const FlopOptions& options) {
  double sum = 0;
  for (const Component& c : components(model, options)) sum += c.training_flops_per_token;
  return sum;
}

double active_parameters(const Model& model) {
  double sum = 0;
  const FlopOptions options{.seq_len = 1, .attention = AttentionFlops::none, .router = true};
  for (const Component& c : components(model, options)) sum += c.active_params;
  return sum;
}

double parameters(const Model& m) {
  const double embeddings = real(m.vocab) * real(m.hidden) * (m.tied_embeddings ? 1 : 2);
  const double norms = (2 * real(m.layers) + 1) * real(m.hidden);
  double layers = real(m.layers) * attention_weights(m) +
                  real(dense_layers(m)) * ffn_matrices(m) * real(m.hidden) * real(m.ffn);
  if (m.moe) {
    layers +=
        real(moe_layers(m)) * (real(m.moe->experts + m.moe->shared_experts) * expert_weights(m) +
                               real(m.hidden) * real(m.moe->experts));
  }
  return embeddings + norms + layers;
}

std::string_view to_string(Pass pass) {
  switch (pass) {
    case Pass::fprop:
      return "fprop";
    case Pass::dgrad:
      return "dgrad";
    case Pass::wgrad:
      return "wgrad";
  }
  return "";
}

std::string_view layout_of(Pass pass) {
  switch (pass) {
    case Pass::fprop:
      return "nt";  // y = x W^T
    case Pass::dgrad:
      return "nn";  // dx = dy W
    case Pass::wgrad:
      return "tn";  // dW = dy^T x
  }
  return "";
}

Pass pass_of(std::string_view layout) {
  return layout == "tn" ? Pass::wgrad : layout == "nn" ? Pass::dgrad : Pass::fprop;
}

namespace {

class GemmList {
 public:
  // y[rows, outputs] = x[rows, inputs] W^T; dx = dy W; dW = dy^T x.
  void add(const char* name, std::int64_t rows, std::int64_t outputs, std::int64_t inputs,
           bool low_precision = true, std::int64_t groups = 1, double count = 1) {
    list.push_back({name, Pass::fprop, rows, outputs, inputs, groups, count, low_precision});
    list.push_back({name, Pass::dgrad, rows, inputs, outputs, groups, count, low_precision});
    list.push_back({name, Pass::wgrad, outputs, inputs, rows, groups, count, low_precision});
  }
  std::vector<GemmWork> list;
};

void add_attention(GemmList& out, const Model& m, std::int64_t tokens, std::int64_t tp) {
  const std::int64_t heads = divided(m.heads, tp, "tp: heads");
  if (m.mla) {
    const Mla& a = *m.mla;
    // The low-rank projections down are small and kept whole on every tensor-parallel rank; their
    // tokens are divided.
    const std::int64_t rows = divided(tokens, tp, "tp: tokens");
    out.add("q_a", rows, a.q_lora_rank, m.hidden);
    out.add("kv_a", rows, a.kv_lora_rank + a.qk_rope_head_dim, m.hidden);
    out.add("q_b", tokens, heads * query_key_dim(m), a.q_lora_rank);
    out.add("kv_b", tokens, heads * (a.qk_nope_head_dim + a.v_head_dim), a.kv_lora_rank);
  } else {
    // Where there are fewer heads of keys and values than ranks, each rank has one.
    const std::int64_t kv =
        m.kv_heads < tp ? 1 : divided(m.kv_heads, tp, "tp: key and value heads");
    out.add("qkv", tokens, (heads + 2 * kv) * m.head_dim, m.hidden);
  }
  out.add("attention_output", tokens, m.hidden, heads * value_dim(m));
}

std::int64_t up_projections(const Model& m) {  // gate and up as one GEMM
  return m.ffn_kind == FfnKind::swiglu ? 2 : 1;
}

void add_experts(GemmList& out, const Model& m, std::int64_t tokens, std::int64_t tp,
                 std::int64_t ep, std::int64_t etp) {
  const Moe& e = *m.moe;
  const std::int64_t up = up_projections(m);
  if (e.shared_experts > 0) {
    const std::int64_t shared = divided(e.shared_experts * e.expert_ffn, tp, "tp: shared experts");
    out.add("shared_up", tokens, up * shared, m.hidden);
    out.add("shared_down", tokens, m.hidden, shared);
  }
  out.add("router", divided(tokens, tp, "tp: tokens"), e.experts, m.hidden, false);
  // ep x etp GPUs send their tokens to the experts that lie on this one, evenly; tp ranks share the
  // tokens. Each of etp ranks has its part of an expert's width, and all the expert's tokens.
  const std::int64_t local = divided(e.experts, ep, "ep: experts");
  const std::int64_t width = divided(e.expert_ffn, etp, "etp: expert_ffn");
  const double each =
      real(tokens) * real(e.experts_per_token) * real(ep * etp) / real(e.experts) / real(tp);
  const std::int64_t rows = std::max<std::int64_t>(1, std::llround(each));
  const double count = each / real(rows);  // the work stays exact where the rows don't divide
  out.add("expert_up", rows, up * width, m.hidden, true, local, count);
  out.add("expert_down", rows, m.hidden, width, true, local, count);
}

void add_ffn(GemmList& out, const Model& m, std::int64_t tokens, std::int64_t tp) {
  const std::int64_t ffn = divided(m.ffn, tp, "tp: ffn");
  out.add("ffn_up", tokens, up_projections(m) * ffn, m.hidden);
  out.add("ffn_down", tokens, m.hidden, ffn);
}

void add_head(GemmList& out, const Model& m, std::int64_t tokens, std::int64_t tp) {
  const double share = real(m.vocab) / real(tp);
  const std::int64_t columns = std::max<std::int64_t>(1, std::llround(share));
  out.add("lm_head", tokens, columns, m.hidden, false, 1, share / real(columns));
}

}  // namespace

std::vector<GemmWork> layer_gemms(const Model& m, GemmGroup group, std::int64_t tokens,
                                  std::int64_t tp, std::int64_t ep, std::int64_t etp) {
  if (tokens < 1) throw BadInput(fmt::format("tokens: expected at least 1, found {}", tokens));
  if (group == GemmGroup::moe && !m.moe) {
    throw BadInput("model: expected one with experts (`moe`), found none");
  }
  GemmList out;
  if (group == GemmGroup::mtp) {
    // Two hidden states to one, a layer of the last kind, the shared head.
    out.add("mtp_projection", tokens, divided(m.hidden, tp, "tp: hidden"), 2 * m.hidden);
  }
  if (group != GemmGroup::head) add_attention(out, m, tokens, tp);
  if (group == GemmGroup::moe || (group == GemmGroup::mtp && m.moe)) {
    add_experts(out, m, tokens, tp, ep, etp);
  } else if (group != GemmGroup::head) {
    add_ffn(out, m, tokens, tp);
  }
  if (group == GemmGroup::head || group == GemmGroup::mtp) add_head(out, m, tokens, tp);
  return out.list;
}

std::vector<GemmWork> step_gemms(const Model& m, std::int64_t tokens, std::int64_t tp,
                                 std::int64_t ep) {
  std::vector<GemmWork> out;
  const auto add = [&](GemmGroup group, std::int64_t times) {
    if (times < 1) return;
    for (GemmWork work : layer_gemms(m, group, tokens, tp, ep)) {
      work.count *= real(times);
      const auto same = std::ranges::find_if(out, [&](const GemmWork& w) {
        return w.name == work.name && w.pass == work.pass && w.m == work.m && w.n == work.n &&
               w.k == work.k;
      });
      if (same == out.end()) {
        out.push_back(std::move(work));
      } else {
        same->count += work.count;
      }
    }
  };
  add(GemmGroup::dense, dense_layers(m));
  add(GemmGroup::moe, moe_layers(m));
  add(GemmGroup::head, 1);
  return out;
}

double optimizer_bytes(double params) {
  return params * adamw_bytes(4);
}

}  // namespace trainmeter
