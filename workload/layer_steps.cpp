// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Puts a layer's work list in order.
#include "workload/layer_steps.hpp"

#include "workload/worklist.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace trainmeter {
namespace {

LayerWork work_of(const Model& model, const LayerShare& share,
                  TrainingStack stack = TrainingStack::megatron) {
  Layout layout;
  layout.microbatch_sequences = share.sequences;
  layout.seq_len = share.seq_len;
  layout.ep = share.ep;
  const LayerKind kind = share.kind == GemmGroup::moe ? LayerKind::moe : LayerKind::dense;
  return layer_work(model, kind, layout, {.precision = share.precision, .stack = stack});
}

class Order {
 public:
  Order(const Model& model, const LayerShare& share)
      : m_(model), share_(share), work_(work_of(model, share)) {}

  LayerSteps steps() {
    steps_ = &out_.forward;
    attention_forward();
    experts() ? experts_forward() : dense_forward();
    steps_ = &out_.backward;
    experts() ? experts_backward() : dense_backward();
    attention_backward();
    note_left_out();
    return std::move(out_);
  }

 private:
  using Shape = std::map<std::string, std::int64_t>;

  [[nodiscard]] std::int64_t tokens() const { return share_.tokens(); }
  [[nodiscard]] bool experts() const { return share_.kind == GemmGroup::moe; }
  [[nodiscard]] bool gate() const { return m_.ffn_kind == FfnKind::swiglu; }

  void add(const char* entry, const char* operation, Shape shape) {
    steps_->push_back({entry, operation, std::move(shape), std::nullopt});
  }

  [[nodiscard]] const GemmWork& gemm_of(const std::string& name, Pass pass) const {
    return *std::ranges::find_if(
        work_.gemms, [&](const GemmWork& g) { return g.name == name && g.pass == pass; });
  }

  void gemm(const std::string& name, Pass pass) {
    steps_->push_back({name, "gemm", {}, gemm_of(name, pass)});
  }

  // Of what a GEMM in fp8 reads: its input, and backward its output's gradient.
  void cast(const GemmWork& fprop, std::int64_t cols) {
    if (share_.precision != "fp8" || !fprop.low_precision) return;
    const double rows = static_cast<double>(fprop.m * fprop.groups) * fprop.count;
    add("fp8_cast", "cast_fp8_transpose", {{"rows", std::llround(rows)}, {"cols", cols}});
  }

  void forward(const char* name) {
    const GemmWork& fprop = gemm_of(name, Pass::fprop);
    cast(fprop, fprop.k);
    gemm(name, Pass::fprop);
  }

  void backward(const char* name) {
    const GemmWork& fprop = gemm_of(name, Pass::fprop);
    cast(fprop, fprop.n);
    gemm(name, Pass::dgrad);
    gemm(name, Pass::wgrad);
  }

  void norm() { add("residual_and_norm", layer_norm(m_) ? "layernorm" : "rmsnorm", of_tokens()); }
  void residual() { add("residual_and_norm", "residual_add", of_tokens()); }
  void sum() { add(kSum, "residual_add", of_tokens()); }
  void norm_backward() {
    add("residual_and_norm", layer_norm(m_) ? "layernorm_backward" : "rmsnorm_backward",
        of_tokens());
    residual();
  }
  // MLA's inner norms, of the queries' and of the keys' and values' latent vectors.
  void latent_norm(const char* operation, std::int64_t rank) {
    add("latent_norm", operation, {{"rows", tokens()}, {"cols", rank}});
  }
  [[nodiscard]] Shape of_tokens() const { return {{"rows", tokens()}, {"cols", m_.hidden}}; }

  void rope(const char* operation) {
    if (!gate()) return;  // models with a gate have rotary embeddings
    add("rotary", operation,
        {{"rows", tokens()},
         {"heads", m_.heads + (m_.mla ? 1 : m_.kv_heads)},
         {"head_dim", m_.mla ? m_.mla->qk_rope_head_dim : m_.head_dim}});
  }

  void core(const char* operation) {
    add("core", operation,
        {{"batch", share_.sequences},
         {"heads", m_.heads},
         {"kv_heads", m_.mla ? m_.heads : m_.kv_heads},
         {"queries", share_.seq_len},
         {"seq_len", share_.seq_len},
         {"head_dim", query_key_dim(m_)},
         {"value_dim", value_dim(m_)},
         {"causal", 1}});
  }

  void activation(std::int64_t rows, std::int64_t cols) {
    const char* const operation = activation_of(m_);
    if (operation != nullptr) add("activation", operation, {{"rows", rows}, {"cols", cols}});
  }
  void activation_backward(std::int64_t rows, std::int64_t cols) {
    if (activation_of(m_) == nullptr) return;
    add("activation", gate() ? "swiglu_backward" : "gelu_backward",
        {{"rows", rows}, {"cols", cols}});
  }

  void attention_forward() {
    norm();
    if (m_.mla) {
      forward("q_a");
      latent_norm("rmsnorm", m_.mla->q_lora_rank);
      forward("kv_a");
      latent_norm("rmsnorm", m_.mla->kv_lora_rank);
      forward("q_b");
      forward("kv_b");
    } else {
      forward("qkv");
    }
    rope("rope");
    core("attention_forward");
    forward("attention_output");
    residual();
  }

  void attention_backward() {
    backward("attention_output");
    core("attention_backward");
    rope("rope_backward");
    if (m_.mla) {
      backward("kv_b");
      latent_norm("rmsnorm_backward", m_.mla->kv_lora_rank);
      backward("kv_a");
      backward("q_b");
      latent_norm("rmsnorm_backward", m_.mla->q_lora_rank);
      backward("q_a");
      sum();
    } else {
      backward("qkv");
    }
    norm_backward();
  }

  void dense_forward() {
    norm();
    forward("ffn_up");
    activation(tokens(), m_.ffn);
    forward("ffn_down");
    residual();
  }

  void dense_backward() {
    backward("ffn_down");
    activation_backward(tokens(), m_.ffn);
    backward("ffn_up");
    norm_backward();
  }

  [[nodiscard]] std::int64_t shared_width() const {
    return m_.moe->shared_experts * m_.moe->expert_ffn;
  }
  [[nodiscard]] std::int64_t copies() const { return tokens() * m_.moe->experts_per_token; }

  void permute(const char* operation) {
    add("expert_permute", operation,
        {{"rows", tokens()},
         {"cols", m_.hidden},
         {"experts", m_.moe->experts},
         {"top_k", m_.moe->experts_per_token}});
  }

  [[nodiscard]] Shape choices() const {
    return {{"rows", tokens()}, {"experts", m_.moe->experts}, {"top_k", m_.moe->experts_per_token}};
  }
  void choose() {
    const auto sigmoid = sigmoid_routing(m_);
    if (!sigmoid) return add("router", "topk_softmax", choices());
    Shape shape = choices();
    shape["groups"] = sigmoid->groups;
    shape["group_limit"] = sigmoid->group_limit;
    add("router", "topk_sigmoid", std::move(shape));
  }
  void choose_backward() {
    add("router", sigmoid_routing(m_) ? "topk_sigmoid_backward" : "topk_softmax_backward",
        choices());
  }

  // Tokens go to their experts, and what these make of them comes back summed by the router's
  // weights.
  void experts_forward() {
    norm();
    if (shared_width() > 0) {
      forward("shared_up");
      activation(tokens(), shared_width());
      forward("shared_down");
    }
    forward("router");
    choose();
    permute("permute");
    forward("expert_up");
    activation(copies(), m_.moe->expert_ffn);
    forward("expert_down");
    permute("unpermute");
    if (shared_width() > 0) sum();
    residual();
  }

  void experts_backward() {
    permute("unpermute_backward");
    backward("expert_down");
    activation_backward(copies(), m_.moe->expert_ffn);
    backward("expert_up");
    permute("permute_backward");
    choose_backward();
    backward("router");
    sum();
    if (shared_width() > 0) {
      backward("shared_down");
      activation_backward(tokens(), shared_width());
      backward("shared_up");
      sum();
    }
    norm_backward();
  }

  void note_left_out() {
    const auto note = [&](const std::string& name) {
      if (std::ranges::find(out_.left_out, name) == out_.left_out.end())
        out_.left_out.push_back(name);
    };
    for (const Traffic& t : work_.traffic) {
      const auto does_it = [&](const LayerStep& step) {
        return !step.gemm && step.entry == t.name;
      };
      if (std::ranges::none_of(out_.forward, does_it)) note(t.name);
    }
    for (const Collective& c : work_.collectives) note(c.name);
  }

  const Model& m_;
  const LayerShare& share_;
  LayerWork work_;
  LayerSteps out_;
  std::vector<LayerStep>* steps_ = nullptr;
};

}  // namespace

bool layer_norm(const Model& model) {
  return model.ffn_kind != FfnKind::swiglu;
}

const char* activation_of(const Model& model) {
  if (model.ffn_kind == FfnKind::swiglu) return "swiglu";
  return model.ffn_kind == FfnKind::gelu ? "gelu" : nullptr;
}

LayerSteps layer_steps(const Model& model, const LayerShare& share) {
  if (share.kind != GemmGroup::dense && share.kind != GemmGroup::moe)
    throw std::invalid_argument("steps are of a dense layer or of one of experts");
  return Order(model, share).steps();
}

std::vector<Exchange> layer_exchanges(const Model& model, const LayerShare& share, bool backward) {
  std::vector<Exchange> out;
  for (const Collective& c : work_of(model, share, TrainingStack::deepseek).collectives) {
    if (c.group == Group::ep && (c.half == Half::backward) == backward)
      out.push_back({c.name, 2 * c.count * (c.node_bytes + c.network_bytes)});
  }
  return out;
}

}  // namespace trainmeter
