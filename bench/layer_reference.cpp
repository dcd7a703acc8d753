// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Composes a layer in fp64 of its parts.
#include "bench/layer_reference.hpp"

#include "bench/layer_reference_parts.hpp"
#include "bench/layer_scaled.hpp"
#include "kernels/operand_values.hpp"
#include "kernels/random.hpp"
#include "kernels/step_arrays.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <utility>

namespace trainmeter {
namespace {

using reference::Attention;
using reference::Heads;
using reference::Linear;
using reference::Mlp;
using reference::MlpGradient;
using reference::Norm;
using reference::NormGradient;
using reference::sum;

class Reference {
 public:
  explicit Reference(const LayerInput& input) : in_(input), m_(input.model) {
    for (const GemmWork& g : layer_gemms(m_, in_.share.kind, in_.share.tokens(), 1, in_.share.ep)) {
      if (g.pass == Pass::fprop) sizes_[g.name] = g;
    }
  }

  Tensors results() {
    const Norm norm_1 = norm(in_.x, "norm_1");
    const Tensor n1 = norm_1.y();
    project(n1);
    const Attention core(m_, in_.share, heads_);
    const Tensor o = core.y();
    const Tensor x1 = sum(in_.x, linear("attention_output").y(o));
    const Norm norm_2 = norm(x1, "norm_2");
    const Tensor n2 = norm_2.y();
    Tensor d_n2(n2.size());
    out_["y"] =
        in_.share.kind == GemmGroup::moe ? experts(n2, d_n2) : mlp("ffn_up", "ffn_down", n2, d_n2);
    out_["y"] = sum(x1, out_["y"]);

    const Tensor d_x1 = sum(in_.d_y, norm_backward(norm_2, "norm_2", d_n2));
    out_["d_attention_output"] = linear("attention_output").d_w(d_x1, o);
    const Tensor d_n1 = project_backward(core.backward(linear("attention_output").d_x(d_x1)), n1);
    out_["d_x"] = sum(d_x1, norm_backward(norm_1, "norm_1", d_n1));
    return std::move(out_);
  }

 private:
  [[nodiscard]] bool gate() const { return m_.ffn_kind == FfnKind::swiglu; }
  [[nodiscard]] std::int64_t tokens() const { return in_.share.tokens(); }
  [[nodiscard]] bool sigmoid() const { return sigmoid_routing(m_).has_value(); }
  [[nodiscard]] double routed_scale() const { return sigmoid() ? double{kRoutedScale} : 1; }
  static double affinity(double logit) { return 1 / (1 + std::exp(-logit)); }

  [[nodiscard]] Linear linear(const std::string& name, std::int64_t group = 0) const {
    const GemmWork& g = sizes_.at(name);
    return {in_.weights.at(name).data() + group * g.n * g.k, g.n, g.k};
  }

  [[nodiscard]] Norm norm(Tensor x, const std::string& name) const {
    const auto bias = in_.weights.find(name + kBias);
    return {std::move(x), in_.weights.at(name),
            bias == in_.weights.end() ? nullptr : &bias->second};
  }

  // Of its input; those of weights and biases go to the results, as of a matrix below.
  Tensor norm_backward(const Norm& norm, const std::string& name, const Tensor& d_y) {
    NormGradient d = norm.backward(d_y);
    out_["d_" + name] = std::move(d.d_w);
    if (in_.weights.contains(name + kBias)) out_["d_" + name + kBias] = std::move(d.d_b);
    return std::move(d.d_x);
  }

  Tensor backward(const std::string& name, const Tensor& d_y, const Tensor& x) {
    out_["d_" + name] = linear(name).d_w(d_y, x);
    return linear(name).d_x(d_y);
  }

  // Turns the pairs (i, i + dims / 2) of each head's columns from `first` on, back with sign -1.
  void turn(Tensor& x, std::int64_t heads, std::int64_t dim, std::int64_t first, std::int64_t dims,
            double sign) const {
    for (std::int64_t row = 0; row < tokens() * heads; ++row) {
      const auto position = static_cast<double>(row / heads % in_.share.seq_len);
      double* const at = x.data() + row * dim + first;
      for (std::int64_t i = 0; i < dims / 2; ++i) {
        const double angle =
            sign * position *
            std::pow(kRopeBase, -2.0 * static_cast<double>(i) / static_cast<double>(dims));
        const double a = at[i];
        const double b = at[i + dims / 2];
        at[i] = a * std::cos(angle) - b * std::sin(angle);
        at[i + dims / 2] = a * std::sin(angle) + b * std::cos(angle);
      }
    }
  }

  void turn(Heads& h, double sign) const {
    if (!gate()) return;
    const std::int64_t first = m_.mla ? m_.mla->qk_nope_head_dim : 0;
    const std::int64_t dim = query_key_dim(m_);
    turn(h.q, m_.heads, dim, first, dim - first, sign);
    turn(h.k, m_.mla ? m_.heads : m_.kv_heads, dim, first, dim - first, sign);
  }

  // Copies `cols` columns between matrices with rows of `wide` and of `cols`.
  static void take(Tensor& to, const Tensor& from, std::int64_t wide, std::int64_t first,
                   std::int64_t cols) {
    for (std::int64_t row = 0; row < std::ssize(from) / wide; ++row) {
      const double* const at = from.data() + row * wide + first;
      to.insert(to.end(), at, at + cols);
    }
  }
  static void put(Tensor& to, std::int64_t wide, std::int64_t first, const Tensor& from,
                  std::int64_t cols) {
    for (std::int64_t row = 0; row < std::ssize(from) / cols; ++row)
      std::copy_n(from.begin() + row * cols, cols, to.begin() + row * wide + first);
  }

  void project(const Tensor& n1) {
    if (m_.mla) {
      project_latent(n1);
    } else {
      const Tensor qkv = linear("qkv").y(n1);
      const std::int64_t q = m_.heads * m_.head_dim;
      const std::int64_t kv = m_.kv_heads * m_.head_dim;
      take(heads_.q, qkv, q + 2 * kv, 0, q);
      take(heads_.k, qkv, q + 2 * kv, q, kv);
      take(heads_.v, qkv, q + 2 * kv, q + kv, kv);
    }
    turn(heads_, 1);
  }

  void project_latent(const Tensor& n1) {
    const Mla& a = *m_.mla;
    norm_q_.emplace(norm(linear("q_a").y(n1), "norm_q"));
    heads_.q = linear("q_b").y(norm_q_->y());
    const Tensor kv_a = linear("kv_a").y(n1);
    Tensor latent;
    take(latent, kv_a, a.kv_lora_rank + a.qk_rope_head_dim, 0, a.kv_lora_rank);
    norm_kv_.emplace(norm(std::move(latent), "norm_kv"));
    const Tensor kv_b = linear("kv_b").y(norm_kv_->y());
    const std::int64_t each = a.qk_nope_head_dim + a.v_head_dim;
    take(heads_.v, kv_b, each, a.qk_nope_head_dim, a.v_head_dim);
    for (std::int64_t row = 0; row < tokens() * m_.heads; ++row) {
      const double* const own = kv_b.data() + row * each;
      heads_.k.insert(heads_.k.end(), own, own + a.qk_nope_head_dim);
      const double* const shared =
          kv_a.data() + row / m_.heads * (a.kv_lora_rank + a.qk_rope_head_dim) + a.kv_lora_rank;
      heads_.k.insert(heads_.k.end(), shared, shared + a.qk_rope_head_dim);
    }
  }

  Tensor project_backward(Heads d, const Tensor& n1) {
    turn(d, -1);
    if (m_.mla) return latent_backward(d, n1);
    const std::int64_t q = m_.heads * m_.head_dim;
    const std::int64_t kv = m_.kv_heads * m_.head_dim;
    Tensor d_qkv(static_cast<std::size_t>(tokens() * (q + 2 * kv)));
    put(d_qkv, q + 2 * kv, 0, d.q, q);
    put(d_qkv, q + 2 * kv, q, d.k, kv);
    put(d_qkv, q + 2 * kv, q + kv, d.v, kv);
    return backward("qkv", d_qkv, n1);
  }

  Tensor latent_backward(const Heads& d, const Tensor& n1) {
    const Mla& a = *m_.mla;
    const std::int64_t each = a.qk_nope_head_dim + a.v_head_dim;
    Tensor d_kv_b(static_cast<std::size_t>(tokens() * m_.heads * each));
    Tensor d_k_own;
    take(d_k_own, d.k, query_key_dim(m_), 0, a.qk_nope_head_dim);
    put(d_kv_b, each, 0, d_k_own, a.qk_nope_head_dim);
    put(d_kv_b, each, a.qk_nope_head_dim, d.v, a.v_head_dim);
    const std::int64_t down = a.kv_lora_rank + a.qk_rope_head_dim;
    Tensor d_kv_a(static_cast<std::size_t>(tokens() * down));
    const Tensor d_kv_n = backward("kv_b", d_kv_b, norm_kv_->y());
    put(d_kv_a, down, 0, norm_backward(*norm_kv_, "norm_kv", d_kv_n), a.kv_lora_rank);
    for (std::int64_t row = 0; row < tokens() * m_.heads; ++row) {
      for (std::int64_t c = 0; c < a.qk_rope_head_dim; ++c) {
        d_kv_a[static_cast<std::size_t>(row / m_.heads * down + a.kv_lora_rank + c)] +=
            d.k[static_cast<std::size_t>(row * query_key_dim(m_) + a.qk_nope_head_dim + c)];
      }
    }
    const Tensor d_q_n = backward("q_b", d.q, norm_q_->y());
    const Tensor d_q_a = norm_backward(*norm_q_, "norm_q", d_q_n);
    return sum(backward("q_a", d_q_a, n1), backward("kv_a", d_kv_a, n1));
  }

  // Its result; the gradient of its input is added to d_x.
  Tensor mlp(const char* up, const char* down, const Tensor& x, Tensor& d_x) {
    const Mlp one(linear(up), linear(down), m_.ffn_kind, x);
    MlpGradient d = one.backward(in_.d_y);
    out_["d_" + std::string(up)] = std::move(d.d_up);
    out_["d_" + std::string(down)] = std::move(d.d_down);
    d_x = sum(std::move(d_x), d.d_x);
    return one.y();
  }

  Tensor experts(const Tensor& n2, Tensor& d_n2) {
    out_["router"] = linear("router").y(n2);
    d_n2.assign(n2.size(), 0);
    gates_.resize(in_.experts.size());
    each_choice([&](std::size_t first, std::size_t end) {
      double sum = 0;
      for (std::size_t i = first; i < end; ++i) {
        const double logit = out_["router"][logit_of(i)];
        gates_[i] = sigmoid() ? affinity(logit) : std::exp(logit);
        sum += gates_[i];
      }
      for (std::size_t i = first; i < end; ++i) gates_[i] *= routed_scale() / sum;
    });
    out_["d_gates"].resize(gates_.size());
    Tensor y(n2.size());
    if (m_.moe->shared_experts > 0) y = mlp("shared_up", "shared_down", n2, d_n2);
    for (std::int64_t e = 0; e < m_.moe->experts; ++e) expert(e, n2, y, d_n2);
    Tensor d_router = in_.d_router;
    each_choice([&](std::size_t first, std::size_t end) {
      double mean = 0;
      for (std::size_t i = first; i < end; ++i)
        mean += gates_[i] / routed_scale() * out_["d_gates"][i];
      for (std::size_t i = first; i < end; ++i) {
        const double slope = sigmoid() ? 1 - affinity(out_["router"][logit_of(i)]) : 1;
        d_router[logit_of(i)] += slope * gates_[i] * (out_["d_gates"][i] - mean);
      }
    });
    d_n2 = sum(std::move(d_n2), backward("router", d_router, n2));
    return y;
  }

  // Calls f with the first of each token's copies and what is behind the last.
  template <class F>
  void each_choice(F f) const {
    const auto k = static_cast<std::size_t>(m_.moe->experts_per_token);
    for (std::size_t first = 0; first < in_.experts.size(); first += k) f(first, first + k);
  }

  [[nodiscard]] std::size_t logit_of(std::size_t copy) const {
    const auto token = static_cast<std::int64_t>(copy) / m_.moe->experts_per_token;
    return static_cast<std::size_t>(token * m_.moe->experts + in_.experts[copy]);
  }

  void expert(std::int64_t e, const Tensor& n2, Tensor& y, Tensor& d_n2) {
    std::vector<std::size_t> mine;  // copies: of token i / experts_per_token
    for (std::size_t i = 0; i < in_.experts.size(); ++i)
      if (in_.experts[i] == e) mine.push_back(i);
    const std::int64_t h = m_.hidden;
    const auto begin_of = [&](std::size_t copy) {
      return static_cast<std::int64_t>(copy) / m_.moe->experts_per_token * h;
    };
    Tensor x, d_y;
    for (const std::size_t copy : mine) {
      for (std::int64_t c = begin_of(copy); c < begin_of(copy) + h; ++c) {
        x.push_back(n2[static_cast<std::size_t>(c)]);
        d_y.push_back(gates_[copy] * in_.d_y[static_cast<std::size_t>(c)]);
      }
    }
    const Mlp one(linear("expert_up", e), linear("expert_down", e), m_.ffn_kind, x);
    const MlpGradient d = one.backward(d_y);
    const Tensor own = one.y();
    for (std::size_t i = 0; i < mine.size(); ++i) {
      for (std::int64_t c = 0; c < h; ++c) {
        const auto from = i * static_cast<std::size_t>(h) + static_cast<std::size_t>(c);
        const auto to = static_cast<std::size_t>(begin_of(mine[i]) + c);
        y[to] += gates_[mine[i]] * own[from];
        out_["d_gates"][mine[i]] += in_.d_y[to] * own[from];
        d_n2[to] += d.d_x[from];
      }
    }
    append(out_["d_expert_up"], d.d_up);
    append(out_["d_expert_down"], d.d_down);
  }

  static void append(Tensor& to, const Tensor& from) {
    to.insert(to.end(), from.begin(), from.end());
  }

  const LayerInput& in_;
  const Model& m_;
  std::map<std::string, GemmWork> sizes_;  // of a weight [groups, n, k]
  Heads heads_;
  std::optional<Norm> norm_q_, norm_kv_;  // of latent attention
  Tensor gates_;
  Tensors out_;
};

// Blocks of 128 x 128 of matrices [rows, cols] to the whole, a half or a quarter, so that a scale
// in another one's place shows. Never more: larger scores of attention would make small errors
// large.
void shrink_blocks(Tensor& values, std::int64_t rows, std::int64_t cols) {
  for (std::int64_t i = 0; i < std::ssize(values); ++i) {
    const std::int64_t row = i / cols % rows / kCastBlock;
    const std::int64_t column = i % cols / kCastBlock;
    values[static_cast<std::size_t>(i)] *= std::exp2(-static_cast<double>((row + 2 * column) % 3));
  }
}

// What e4m3 in blocks of 128 x 128 leaves of a weight: to quantise it again changes nothing.
Tensor quantised(const Tensor& weight, const GemmWork& fprop) {
  Tensor out;
  for (const ScaledOperand& group : scaled_weights(weight, fprop, false)) {
    const std::vector<float> values = values_of(group);
    out.insert(out.end(), values.begin(), values.end());
  }
  return out;
}

}  // namespace

LayerInput draw_layer_input(const Model& model, const LayerShare& share, DType dtype,
                            std::uint64_t seed) {
  int drawn = 0;
  const auto draw = [&](std::int64_t count, double mean, double deviation) {
    std::vector<float> normal(static_cast<std::size_t>(count));
    fill_random(normal.data(), count, DType::fp32, operand_seed(seed, 0, drawn++));
    Tensor out(normal.size());
    std::ranges::transform(normal, out.begin(), [&](float value) {
      return rounded_to(dtype == DType::fp8 ? DType::bf16 : dtype,
                        mean + deviation * static_cast<double>(value));
    });
    return out;
  };
  const auto uneven = [&](Tensor values, std::int64_t rows, std::int64_t cols) {
    if (dtype == DType::fp8) shrink_blocks(values, rows, cols);
    return values;
  };
  const std::int64_t tokens = share.tokens();
  LayerInput in{.model = model, .share = share, .x = draw(tokens * model.hidden, 0, 1)};
  in.d_y = uneven(draw(tokens * model.hidden, 0, 1), tokens, model.hidden);
  const auto draw_norm = [&](const char* name, std::int64_t cols) {
    in.weights[name] = uneven(draw(cols, 1, 0.25), 1, cols);
  };
  for (const char* name : {"norm_1", "norm_2"}) {
    draw_norm(name, model.hidden);
    if (layer_norm(model))
      in.weights[std::string(name) + kBias] = uneven(draw(model.hidden, 0, 0.25), 1, model.hidden);
  }
  if (model.mla) {
    draw_norm("norm_q", model.mla->q_lora_rank);
    draw_norm("norm_kv", model.mla->kv_lora_rank);
  }
  for (const GemmWork& g : layer_gemms(model, share.kind, tokens, 1, share.ep)) {
    if (g.pass != Pass::fprop) continue;
    Tensor& weight = in.weights[g.name];
    weight =
        uneven(draw(g.groups * g.n * g.k, 0, 1 / std::sqrt(static_cast<double>(g.k))), g.n, g.k);
    if (dtype == DType::fp8 && g.low_precision) weight = quantised(weight, g);
  }
  if (share.kind != GemmGroup::moe) return in;
  const Moe& e = *model.moe;
  if (share.ep != 1 || tokens % e.experts != 0)
    throw std::invalid_argument("all experts, and tokens that they divide");
  in.d_router = draw(tokens * e.experts, 0, 1);
  in.router_bias = draw(e.experts, 0, 0x1p-10);
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t j = 0; j < e.experts_per_token; ++j)
      in.experts.push_back(static_cast<std::int32_t>((t + t / e.experts + j) % e.experts));
  }
  return in;
}

Tensors layer_reference(const LayerInput& input) {
  return Reference(input).results();
}

}  // namespace trainmeter
