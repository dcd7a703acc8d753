// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The data flow of a layer: which operand of which step is whose result.
#include "bench/layer_flow.hpp"

#include "bench/layer_choice.hpp"
#include "bench/layer_columns.hpp"
#include "bench/layer_scaled.hpp"
#include "bench/layer_stepper.hpp"
#include "kernels/operand_values.hpp"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace trainmeter {
namespace {

// Entries of the work list.
constexpr const char* kResidualAndNorm = "residual_and_norm";
constexpr const char* kLatentNorm = "latent_norm";

class Flow {
 public:
  Flow(const LayerInput& input, const MakeStep& make)
      : in_(input), m_(input.model), stepper_(make, choice_, out_) {
    if (input.share.precision != "fp8") return;
    for (const GemmWork& g : layer_gemms(m_, input.share.kind, tokens(), 1, input.share.ep))
      if (g.pass == Pass::fprop && g.low_precision) scaled_[g.name] = g;
  }

  Tensors run(const LayerSteps& steps) {
    stepper_.begin(steps.forward);
    forward();
    stepper_.end();
    stepper_.begin(steps.backward);
    backward();
    stepper_.end();
    return std::move(out_);
  }
  [[nodiscard]] const std::vector<MadeBy>& made_by() const { return stepper_.made_by(); }

 private:
  using Given = LayerStepper::Given;

  [[nodiscard]] bool experts() const { return in_.share.kind == GemmGroup::moe; }
  [[nodiscard]] bool gate() const { return m_.ffn_kind == FfnKind::swiglu; }
  [[nodiscard]] bool sigmoid() const { return sigmoid_routing(m_).has_value(); }
  [[nodiscard]] std::int64_t tokens() const { return in_.share.tokens(); }
  [[nodiscard]] std::int64_t kv_heads() const { return m_.mla ? m_.heads : m_.kv_heads; }
  [[nodiscard]] const Tensor& weight(const std::string& name) const { return in_.weights.at(name); }

  // Of all but GEMMs.
  std::unique_ptr<Operation> ran(std::string_view entry, std::string_view operation, Given given) {
    return stepper_.ran(stepper_.next(entry, operation, std::nullopt), given);
  }

  Tensor gemm(const std::string& name, Pass pass, const Tensor& a, const Tensor& b) {
    return operand_values(*stepper_.ran(stepper_.next(name, "gemm", pass), {{"a", a}, {"b", b}}),
                          "c");
  }

  CastTensor cast(const Tensor& x, const GemmWork& fprop, std::int64_t cols) {
    const auto operation = ran("fp8_cast", "cast_fp8_transpose", {{"x", x}});
    return cast_tensor(*operation, fprop.m * fprop.groups, cols);
  }

  Tensor scaled_gemm(const std::string& name, Pass pass, const ScaledOperands& a,
                     const ScaledOperands& b) {
    const LayerStep& step = stepper_.next(name, "gemm", pass);
    const auto operation = stepper_.made(step);
    give_scaled(*operation, *step.gemm, a, b);
    operation->run(0);
    return operand_values(*operation, "c");
  }

  // In fp8 the cast of the input is kept: the weight's gradient reads it, too.
  Tensor linear(const std::string& name, const Tensor& x) {
    const auto scaled = scaled_.find(name);
    if (scaled == scaled_.end()) return gemm(name, Pass::fprop, x, weight(name));
    const GemmWork& fprop = scaled->second;
    const CastTensor& cast_x = casts_[name] = cast(x, fprop, fprop.k);
    return scaled_gemm(name, Pass::fprop, split_rows(cast_x.rows, fprop.groups),
                       scaled_weights(weight(name), fprop, false));
  }

  // The gradient of its input; the weight's is a result.
  Tensor linear_backward(const std::string& name, const Tensor& d_y, const Tensor& x) {
    const auto scaled = scaled_.find(name);
    if (scaled != scaled_.end()) return scaled_backward(scaled->second, d_y);
    Tensor d_x = gemm(name, Pass::dgrad, d_y, weight(name));
    out_["d_" + name] = gemm(name, Pass::wgrad, d_y, x);
    return d_x;
  }

  Tensor scaled_backward(const GemmWork& fprop, const Tensor& d_y) {
    const CastTensor cast_d_y = cast(d_y, fprop, fprop.n);
    Tensor d_x = scaled_gemm(fprop.name, Pass::dgrad, split_rows(cast_d_y.rows, fprop.groups),
                             scaled_weights(weight(fprop.name), fprop, true));
    out_["d_" + fprop.name] =
        scaled_gemm(fprop.name, Pass::wgrad, split_columns(cast_d_y.columns, fprop.groups),
                    split_columns(casts_.at(fprop.name).columns, fprop.groups));
    return d_x;
  }

  Tensor step(std::string_view entry, std::string_view operation, Given given,
              std::string_view result) {
    return operand_values(*ran(entry, operation, given), result);
  }

  [[nodiscard]] bool centres(std::string_view entry) const {
    return entry == kResidualAndNorm && layer_norm(m_);
  }

  Tensor norm(std::string_view entry, const Tensor& x, const std::string& w) {
    if (centres(entry)) {
      const Given given = {{"x", x}, {"w", weight(w)}, {"b", weight(w + kBias)}};
      return step(entry, "layernorm", given, "y");
    }
    return step(entry, "rmsnorm", {{"x", x}, {"w", weight(w)}}, "y");
  }

  Tensor norm_backward(std::string_view entry, const Tensor& x, const std::string& w,
                       const Tensor& d_n) {
    const auto operation = ran(entry, centres(entry) ? "layernorm_backward" : "rmsnorm_backward",
                               {{"x", x}, {"w", weight(w)}, {"dy", d_n}});
    out_["d_" + w] = operand_values(*operation, "dw");
    if (centres(entry)) out_["d_" + w + kBias] = operand_values(*operation, "db");
    return operand_values(*operation, "dx");
  }

  Tensor residual(const Tensor& a, const Tensor& b) {
    return step(kResidualAndNorm, "residual_add", {{"a", a}, {"b", b}}, "y");
  }

  Tensor sum(const Tensor& a, const Tensor& b) {
    return step(kSum, "residual_add", {{"a", a}, {"b", b}}, "y");
  }

  Tensor rope(const Tensor& x) { return gate() ? step("rotary", "rope", {{"x", x}}, "y") : x; }
  Tensor rope_backward(const Tensor& d_y) {
    return gate() ? step("rotary", "rope_backward", {{"dy", d_y}}, "dx") : d_y;
  }

  Tensor by_heads(const Tensor& x, std::int64_t heads) const {
    return swapped(x, in_.share.sequences, in_.share.seq_len, heads);
  }
  Tensor by_tokens(const Tensor& x, std::int64_t heads) const {
    return swapped(x, in_.share.sequences, heads, in_.share.seq_len);
  }

  void forward() {
    n1_ = norm(kResidualAndNorm, in_.x, "norm_1");
    m_.mla ? project_latent() : project();
    const auto core = ran("core", "attention_forward", {{"q", q_}, {"k", k_}, {"v", v_}});
    o_ = operand_values(*core, "o");
    l_ = operand_values(*core, "l");
    merged_ = by_tokens(o_, m_.heads);
    x1_ = residual(in_.x, linear("attention_output", merged_));
    n2_ = norm(kResidualAndNorm, x1_, "norm_2");
    out_["y"] = residual(x1_, experts() ? experts_forward() : up_.forward(*this, "ffn", n2_));
  }

  void backward() {
    const Tensor d_n2 = experts() ? experts_backward() : up_.backward(*this, "ffn", in_.d_y);
    const Tensor d_x1 = residual(norm_backward(kResidualAndNorm, x1_, "norm_2", d_n2), in_.d_y);
    const Tensor d_o = by_heads(linear_backward("attention_output", d_x1, merged_), m_.heads);
    const auto core = ran("core", "attention_backward",
                          {{"q", q_}, {"k", k_}, {"v", v_}, {"o", o_}, {"l", l_}, {"d_o", d_o}});
    const Tensor d_q = by_tokens(operand_values(*core, "d_q"), m_.heads);
    const Tensor d_k = by_tokens(operand_values(*core, "d_k"), kv_heads());
    const Tensor d_v = by_tokens(operand_values(*core, "d_v"), kv_heads());
    const Tensor d_n1 = m_.mla ? latent_backward(d_q, d_k, d_v) : project_backward(d_q, d_k, d_v);
    out_["d_x"] = residual(norm_backward(kResidualAndNorm, in_.x, "norm_1", d_n1), d_x1);
  }

  void project() {
    const std::int64_t turned = (m_.heads + m_.kv_heads) * m_.head_dim;
    const std::int64_t queries = m_.heads * m_.head_dim;
    const std::int64_t all = turned + m_.kv_heads * m_.head_dim;
    const Tensor qkv = linear("qkv", n1_);
    const Tensor qk = rope(columns(qkv, all, 0, turned));
    q_ = by_heads(columns(qk, turned, 0, queries), m_.heads);
    k_ = by_heads(columns(qk, turned, queries, turned - queries), m_.kv_heads);
    v_ = by_heads(columns(qkv, all, turned, all - turned), m_.kv_heads);
  }

  Tensor project_backward(const Tensor& d_q, const Tensor& d_k, const Tensor& d_v) {
    const Tensor d_qk = rope_backward(beside(tokens(), {&d_q, &d_k}));
    return linear_backward("qkv", beside(tokens(), {&d_qk, &d_v}), n1_);
  }

  // The rotated columns of each head's query, and behind them the key that all heads share.
  void project_latent() {
    const Mla& a = *m_.mla;
    const std::int64_t turned = a.qk_rope_head_dim;
    const std::int64_t down = a.kv_lora_rank + turned;
    q_a_ = linear("q_a", n1_);
    q_n_ = norm(kLatentNorm, q_a_, "norm_q");
    const Tensor kv_a = linear("kv_a", n1_);
    kv_a_ = columns(kv_a, down, 0, a.kv_lora_rank);
    kv_n_ = norm(kLatentNorm, kv_a_, "norm_kv");
    const Tensor q_b = linear("q_b", q_n_);
    const Tensor kv_b = linear("kv_b", kv_n_);
    const Tensor q_turned = columns(q_b, query_key_dim(m_), a.qk_nope_head_dim, turned);
    const Tensor k_turned = columns(kv_a, down, a.kv_lora_rank, turned);
    const Tensor qk = rope(beside(tokens(), {&q_turned, &k_turned}));
    const std::int64_t wide = (m_.heads + 1) * turned;
    const Tensor q_rope = columns(qk, wide, 0, m_.heads * turned);
    const Tensor shared = columns(qk, wide, m_.heads * turned, turned);
    Tensor k_rope;
    for (auto token = shared.begin(); token != shared.end(); token += turned) {
      for (std::int64_t h = 0; h < m_.heads; ++h)
        k_rope.insert(k_rope.end(), token, token + turned);
    }
    const std::int64_t rows = tokens() * m_.heads;
    const std::int64_t each = a.qk_nope_head_dim + a.v_head_dim;
    const Tensor q_nope = columns(q_b, query_key_dim(m_), 0, a.qk_nope_head_dim);
    const Tensor k_nope = columns(kv_b, each, 0, a.qk_nope_head_dim);
    q_ = by_heads(beside(rows, {&q_nope, &q_rope}), m_.heads);
    k_ = by_heads(beside(rows, {&k_nope, &k_rope}), m_.heads);
    v_ = by_heads(columns(kv_b, each, a.qk_nope_head_dim, a.v_head_dim), m_.heads);
  }

  Tensor latent_backward(const Tensor& d_q, const Tensor& d_k, const Tensor& d_v) {
    const Mla& a = *m_.mla;
    const std::int64_t turned = a.qk_rope_head_dim;
    const std::int64_t rows = tokens() * m_.heads;
    const Tensor d_q_rope = columns(d_q, query_key_dim(m_), a.qk_nope_head_dim, turned);
    const Tensor d_k_rope = columns(d_k, query_key_dim(m_), a.qk_nope_head_dim, turned);
    Tensor d_shared(static_cast<std::size_t>(tokens() * turned));
    for (std::int64_t i = 0; i < std::ssize(d_k_rope); ++i)
      d_shared[i / turned / m_.heads * turned + i % turned] += d_k_rope[i];
    const Tensor d_turned = rope_backward(beside(tokens(), {&d_q_rope, &d_shared}));
    const std::int64_t wide = (m_.heads + 1) * turned;
    const Tensor d_q_back = columns(d_turned, wide, 0, m_.heads * turned);
    const Tensor d_k_back = columns(d_turned, wide, m_.heads * turned, turned);
    const Tensor d_q_nope = columns(d_q, query_key_dim(m_), 0, a.qk_nope_head_dim);
    const Tensor d_k_nope = columns(d_k, query_key_dim(m_), 0, a.qk_nope_head_dim);
    const Tensor d_kv_n = linear_backward("kv_b", beside(rows, {&d_k_nope, &d_v}), kv_n_);
    const Tensor d_kv_a = norm_backward(kLatentNorm, kv_a_, "norm_kv", d_kv_n);
    const Tensor by_kv = linear_backward("kv_a", beside(tokens(), {&d_kv_a, &d_k_back}), n1_);
    const Tensor d_q_n = linear_backward("q_b", beside(rows, {&d_q_nope, &d_q_back}), q_n_);
    const Tensor d_q_a = norm_backward(kLatentNorm, q_a_, "norm_q", d_q_n);
    return sum(linear_backward("q_a", d_q_a, n1_), by_kv);
  }

  // Up, the activation, down; for the backward pass it keeps what they read.
  struct FeedForward {
    Tensor x, h, a;

    Tensor forward(Flow& flow, const std::string& name, const Tensor& in) {
      x = in;
      h = flow.linear(name + "_up", x);
      const char* const act = activation_of(flow.m_);
      a = act == nullptr ? h : flow.step("activation", act, {{"x", h}}, "y");
      return flow.linear(name + "_down", a);
    }

    Tensor backward(Flow& flow, const std::string& name, const Tensor& d_y) const {
      Tensor d = flow.linear_backward(name + "_down", d_y, a);
      const char* const act = activation_of(flow.m_);
      const std::string back = fmt::format("{}_backward", act == nullptr ? "" : act);
      if (act != nullptr) d = flow.step("activation", back, {{"x", h}, {"dy", d}}, "dx");
      return flow.linear_backward(name + "_up", d, x);
    }
  };

  Tensor permuted(const Tensor& x) { return step("expert_permute", "permute", {{"x", x}}, "y"); }
  Tensor permute_backward(const Tensor& d_copies) {
    return step("expert_permute", "permute_backward", {{"dy", d_copies}}, "dx");
  }

  void choose(const Tensor& logits) {
    const Tensor x = choice_.reachable(logits);
    const auto router = sigmoid()
                            ? ran("router", "topk_sigmoid", {{"x", x}, {"bias", in_.router_bias}})
                            : ran("router", "topk_softmax", {{"x", x}});
    if (sigmoid()) affinities_ = operand_values(*router, "affinity");
    if (!choice_.take(operand_indices(*router, "chosen"), operand_values(*router, "w")))
      throw NotTheLayer("the router chose other experts than those of the largest logits");
  }

  Tensor choose_backward(const Tensor& d_gates) {
    const Tensor dw = choice_.by_choice(d_gates);
    Tensor d_router = sigmoid() ? step("router", "topk_sigmoid_backward",
                                       {{"affinity", affinities_}, {"dw", dw}}, "dx")
                                : step("router", "topk_softmax_backward",
                                       {{"w", choice_.chosen_gates()}, {"dw", dw}}, "dx");
    for (std::size_t i = 0; i < d_router.size(); ++i) d_router[i] += in_.d_router[i];
    return d_router;
  }

  Tensor experts_forward() {
    const bool shared = m_.moe->shared_experts > 0;
    Tensor by_shared;
    if (shared) by_shared = shared_.forward(*this, "shared", n2_);
    out_["router"] = linear("router", n2_);
    choose(out_["router"]);
    by_experts_ = up_.forward(*this, "expert", permuted(n2_));
    const Tensor routed =
        step("expert_permute", "unpermute", {{"x", by_experts_}, {"w", choice_.gates()}}, "y");
    return shared ? sum(routed, by_shared) : routed;
  }

  Tensor experts_backward() {
    const auto apart = ran("expert_permute", "unpermute_backward",
                           {{"x", by_experts_}, {"w", choice_.gates()}, {"dy", in_.d_y}});
    out_["d_gates"] = operand_values(*apart, "dw");
    const Tensor by_routed =
        permute_backward(up_.backward(*this, "expert", operand_values(*apart, "dx")));
    const Tensor by_router = linear_backward("router", choose_backward(out_["d_gates"]), n2_);
    const Tensor d_n2 = sum(by_routed, by_router);
    if (m_.moe->shared_experts == 0) return d_n2;
    return sum(d_n2, shared_.backward(*this, "shared", in_.d_y));
  }

  const LayerInput& in_;
  const Model& m_;
  std::map<std::string, GemmWork> scaled_;   // forward GEMMs in fp8
  std::map<std::string, CastTensor> casts_;  // of their inputs
  Tensors out_;
  // What the backward pass reads again; q to o as the core has them, by heads.
  Tensor n1_, q_, k_, v_, o_, l_, merged_, x1_, n2_, q_a_, q_n_, kv_a_, kv_n_, by_experts_,
      affinities_;
  FeedForward up_, shared_;
  LayerChoice choice_{in_};
  LayerStepper stepper_;
};

}  // namespace

Tensors flow_through(const LayerInput& input, const LayerSteps& steps, const MakeStep& make,
                     std::vector<MadeBy>* by) {
  Flow flow(input, make);
  Tensors out = flow.run(steps);
  if (by != nullptr) *by = flow.made_by();
  return out;
}

}  // namespace trainmeter
