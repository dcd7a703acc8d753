// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The parts of a layer in fp64, each with its gradient; layer_reference.hpp says of what. Tokens
// stay in their order, heads lie side by side: [tokens, heads, dim].
#pragma once

#include "bench/layer_reference.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace trainmeter::reference {

Tensor sum(Tensor a, const Tensor& b);

struct Linear {  // y = x W^T, W [out, in]
  const double* w;
  std::int64_t out, in;

  [[nodiscard]] Tensor y(const Tensor& x) const;
  [[nodiscard]] Tensor d_x(const Tensor& d_y) const;
  [[nodiscard]] Tensor d_w(const Tensor& d_y, const Tensor& x) const;
};

struct NormGradient {
  Tensor d_x, d_w, d_b;
};

// RMSNorm, or with biases LayerNorm, which centres by the mean.

class Norm {
 public:
  // w and b stay outside.
  Norm(Tensor x, const Tensor& w, const Tensor* b) : x_(std::move(x)), w_(w), b_(b) {}

  [[nodiscard]] Tensor y() const;
  [[nodiscard]] NormGradient backward(const Tensor& d_y) const;

 private:
  [[nodiscard]] std::size_t cols() const { return w_.size(); }
  // (x - mean) / root of the mean square of that, and what it was divided by.
  struct Row {
    Tensor n;
    double root;
  };
  [[nodiscard]] Row normalised(std::size_t row) const;

  Tensor x_;
  const Tensor& w_;
  const Tensor* b_;
};

struct MlpGradient {
  Tensor d_x, d_up, d_down;
};

class Mlp {
 public:
  Mlp(Linear up, Linear down, FfnKind kind, Tensor x);

  [[nodiscard]] Tensor y() const { return down_.y(a_); }
  [[nodiscard]] MlpGradient backward(const Tensor& d_y) const;

 private:
  [[nodiscard]] Tensor through_gate(const Tensor& d_a) const;
  [[nodiscard]] Tensor through_gelu(const Tensor& d_a) const;
  [[nodiscard]] std::size_t gate_of(std::size_t i) const;  // in h_; the other half is width behind
  [[nodiscard]] std::size_t width() const { return static_cast<std::size_t>(down_.in); }

  Linear up_, down_;
  FfnKind kind_;
  Tensor x_, h_, a_;
};

struct Heads {
  Tensor q, k, v;
};

class Attention {
 public:
  Attention(const Model& model, const LayerShare& share, Heads in);

  [[nodiscard]] Tensor y() const;
  [[nodiscard]] Heads backward(const Tensor& d_o) const;

 private:
  // f(head, token, first token that it sees)
  template <class F>
  void each_row(F f) const;
  [[nodiscard]] double scale() const;
  [[nodiscard]] std::size_t p(std::int64_t h, std::int64_t t, std::int64_t key) const {
    return static_cast<std::size_t>((h * tokens_ + t) * seq_len_ + key % seq_len_);
  }
  // Where a head of a token begins.
  [[nodiscard]] std::int64_t q(std::int64_t t, std::int64_t h) const {
    return (t * heads_ + h) * dim_;
  }
  [[nodiscard]] std::int64_t k(std::int64_t t, std::int64_t h) const {
    return (t * (heads_ / group_) + h / group_) * dim_;
  }
  [[nodiscard]] std::int64_t v(std::int64_t t, std::int64_t h) const {
    return (t * (heads_ / group_) + h / group_) * value_dim_;
  }
  [[nodiscard]] std::int64_t o(std::int64_t t, std::int64_t h) const {
    return (t * heads_ + h) * value_dim_;
  }

  std::int64_t heads_, group_, dim_, value_dim_, tokens_, seq_len_;
  Heads in_;
  Tensor p_;  // [heads, tokens, seq_len]
};

}  // namespace trainmeter::reference
