// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A layer's parts in order, each with its weights and what it keeps.
#include "workload/memory_layer.hpp"

#include "record/real.hpp"

#include <algorithm>
#include <cstdint>

namespace trainmeter {
namespace {

constexpr double kStatisticBytes = 4;  // fp32: softmax statistics, router

class LayerBuilder {
 public:
  LayerBuilder(const Model& model, const Layout& layout, const MemoryOptions& options)
      : m_(model),
        l_(layout),
        b_(kept_formats(options)),
        alternate_(options.stack == TrainingStack::fsdp),
        h_(real(model.hidden)),
        tp_(real(layout.tp)),
        outer_(layout.sp ? tp_ : 1) {}

  LayerMemory build(bool moe) {
    layer_ = {};
    kept_ = redone_ = 0;
    attention();
    if (moe) {
      experts();
    } else {
      ffn(real(m_.ffn));
    }
    const double tokens = real(l_.tokens());
    layer_.kept_none = tokens * (kept_ + redone_);
    layer_.kept_selective = tokens * kept_;
    layer_.kept_full = tokens * b_.element * h_ / outer_;
    return layer_;
  }

 private:
  void attention() {
    keep(b_.element * h_ / outer_);  // input of the norm
    redo(b_.input * h_ / outer_);    // input of the projections
    layer_.weights += 2 * h_;        // both norms
    const double heads = real(m_.heads) / tp_;
    if (m_.mla) {
      const Mla& a = *m_.mla;
      const double query = heads * real(a.qk_nope_head_dim + a.qk_rope_head_dim);
      const double value = heads * real(a.v_head_dim);
      const double latents = real(a.q_lora_rank + a.kv_lora_rank);
      const double rope = real(a.qk_rope_head_dim);
      layer_.weights += h_ * (latents + rope) + latents + real(a.q_lora_rank) * query +
                        real(a.kv_lora_rank) * heads * real(a.qk_nope_head_dim + a.v_head_dim) +
                        value * h_;
      keep(b_.element * (latents + rope) / outer_);
      redo(b_.input * latents / outer_);  // the latents' norms
      redo(b_.element * (2 * query + value));
      result(value);
    } else {
      const double query = heads * real(m_.head_dim);
      const double key = std::max(real(m_.kv_heads) / tp_, 1.0) * real(m_.head_dim);
      layer_.weights += h_ * (2 * query + 2 * key);
      keep(b_.element * (query + key));
      keep_unless(alternate_, b_.element * key);
      result(query);
    }
    keep_unless(!alternate_, kStatisticBytes * heads);
    keep(b_.element * h_ / outer_);  // input of the second norm
  }

  void result(double width) {
    keep(b_.attention * width);
    redo(b_.attention_copy * width);
  }

  // The activation function and the matrix after it. `width` on all ranks together; `share` of the
  // micro-batch's tokens go through it.
  void between(double width, double share) {
    const double bytes = share * b_.activation * width / tp_;
    keep(bytes);
    if (m_.ffn_kind == FfnKind::swiglu) keep_unless(alternate_, bytes);
    redo(share * b_.input * width / tp_);
  }

  [[nodiscard]] double matrices() const { return m_.ffn_kind == FfnKind::swiglu ? 3 : 2; }

  void ffn(double width) {
    redo(b_.input * h_ / outer_);
    layer_.weights += matrices() * h_ * width / tp_;
    between(width, 1);
  }

  void experts() {
    const Moe& e = *m_.moe;
    const double each = real(e.experts_per_token);
    layer_.weights += h_ * real(e.experts);  // router
    layer_.expert_weights +=
        matrices() * h_ * real(e.expert_ffn) * real(e.experts) / real(l_.ep) / real(l_.etp);
    redo(b_.element * h_ / outer_);  // the router's input, in bf16 the shared experts' too
    keep(2 * kStatisticBytes * real(e.experts) / outer_);
    // Tokens of all etp ranks, which each have a part of every matrix.
    keep(each * b_.input * h_ * real(l_.etp) / tp_);
    between(real(e.expert_ffn), each);
    if (e.shared_experts == 0) return;
    const double width = real(e.shared_experts * e.expert_ffn);
    layer_.weights += matrices() * h_ * width / tp_;
    if (b_.input < b_.element) redo(b_.input * h_ / outer_);
    between(width, 1);
  }

  void keep(double bytes) { kept_ += bytes; }
  void redo(double bytes) { redone_ += bytes; }  // selective recomputation brings it back
  void keep_unless(bool redone, double bytes) { (redone ? redone_ : kept_) += bytes; }

  const Model& m_;
  const Layout& l_;
  KeptFormats b_;
  bool alternate_;  // selective recomputation redoes every other matrix
  double h_, tp_, outer_;
  LayerMemory layer_;
  double kept_ = 0, redone_ = 0;  // bytes per token
};

}  // namespace

KeptFormats kept_formats(const MemoryOptions& options) {
  if (options.precision == "fp32") return {4, 4, 4, 0, 4};
  if (options.precision != "fp8") return {};
  if (options.stack == TrainingStack::deepseek) return {2, 1, 1.5, 0, 1};
  return {2, 1, 2, 1, 2};
}

LayerMemory layer_memory(const Model& model, const Layout& layout, const MemoryOptions& options,
                         bool moe) {
  return LayerBuilder(model, layout, options).build(moe);
}

}  // namespace trainmeter
