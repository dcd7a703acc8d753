// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Parts of a layer in fp64.
#include "bench/layer_reference_parts.hpp"

#include "kernels/matrix.hpp"
#include "kernels/step_arrays.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

namespace trainmeter::reference {
namespace {

MatrixView matrix(const double* data, std::int64_t rows, std::int64_t cols) {
  return {data, DType::fp64, rows, cols, cols, 1};
}

MatrixView matrix(const Tensor& rows, std::int64_t cols) {
  return matrix(rows.data(), std::ssize(rows) / cols, cols);
}

MatrixView transposed(const MatrixView& of) {
  return {of.data, of.type, of.cols, of.rows, of.col_stride, of.row_stride};
}

Tensor product(const MatrixView& a, const MatrixView& b) {
  Tensor c(static_cast<std::size_t>(a.rows * b.cols));
  reference_product(a, b, [&](const Tile& tile) {
    for (std::int64_t i = 0; i < tile.rows; ++i) {
      std::copy_n(tile.values + i * kTileCols, tile.cols,
                  c.begin() + (tile.row + i) * b.cols + tile.col);
    }
  });
  return c;
}

double sigmoid(double g) {
  return 1 / (1 + std::exp(-g));
}

double gelu_gate(double x) {
  return sigmoid(double{kGeluSlope} * (x + double{kGeluCubic} * x * x * x));
}

double dot(const double* a, const double* b, std::int64_t count) {
  double out = 0;
  for (std::int64_t i = 0; i < count; ++i) out += a[i] * b[i];
  return out;
}

void add(double* to, double factor, const double* from, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] += factor * from[i];
}

}  // namespace

Tensor sum(Tensor a, const Tensor& b) {
  std::ranges::transform(a, b, a.begin(), std::plus());
  return a;
}

Tensor Linear::y(const Tensor& x) const {
  return product(matrix(x, in), transposed(matrix(w, out, in)));
}

Tensor Linear::d_x(const Tensor& d_y) const {
  return product(matrix(d_y, out), matrix(w, out, in));
}

Tensor Linear::d_w(const Tensor& d_y, const Tensor& x) const {
  return product(transposed(matrix(d_y, out)), matrix(x, in));
}

Norm::Row Norm::normalised(std::size_t row) const {
  const auto begin = x_.begin() + static_cast<std::ptrdiff_t>(row * cols());
  Tensor n(begin, begin + static_cast<std::ptrdiff_t>(cols()));
  const auto count = static_cast<double>(cols());
  const double mean = b_ == nullptr ? 0 : std::accumulate(n.begin(), n.end(), 0.0) / count;
  for (double& value : n) value -= mean;
  const float epsilon = b_ == nullptr ? kNormEpsilon : kLayerNormEpsilon;
  const double root = std::sqrt(dot(n.data(), n.data(), std::ssize(n)) / count + epsilon);
  for (double& value : n) value /= root;
  return {std::move(n), root};
}

Tensor Norm::y() const {
  Tensor out(x_.size());
  for (std::size_t row = 0; row < x_.size() / cols(); ++row) {
    const Tensor n = normalised(row).n;
    for (std::size_t c = 0; c < cols(); ++c)
      out[row * cols() + c] = n[c] * w_[c] + (b_ == nullptr ? 0 : (*b_)[c]);
  }
  return out;
}

NormGradient Norm::backward(const Tensor& d_y) const {
  const auto count = static_cast<double>(cols());
  NormGradient out{.d_x = Tensor(x_.size()), .d_w = Tensor(cols()), .d_b = Tensor(cols())};
  for (std::size_t row = 0; row < x_.size() / cols(); ++row) {
    const Row of = normalised(row);
    double mean = 0;   // of d_y w
    double along = 0;  // what of it points along n
    for (std::size_t c = 0; c < cols(); ++c) {
      const double d = d_y[row * cols() + c];
      if (b_ != nullptr) mean += d * w_[c] / count;
      along += d * w_[c] * of.n[c] / count;
      out.d_w[c] += d * of.n[c];
      out.d_b[c] += d;
    }
    for (std::size_t c = 0; c < cols(); ++c) {
      const std::size_t i = row * cols() + c;
      out.d_x[i] = (d_y[i] * w_[c] - mean - of.n[c] * along) / of.root;
    }
  }
  return out;
}

Mlp::Mlp(Linear up, Linear down, FfnKind kind, Tensor x)
    : up_(up), down_(down), kind_(kind), x_(std::move(x)), h_(up_.y(x_)), a_(h_) {
  if (kind_ == FfnKind::gelu) {
    for (double& a : a_) a *= gelu_gate(a);
  }
  if (kind_ != FfnKind::swiglu) return;
  a_.assign(h_.size() / 2, 0);
  for (std::size_t i = 0; i < a_.size(); ++i) {
    const double g = h_[gate_of(i)];
    a_[i] = g * sigmoid(g) * h_[gate_of(i) + width()];
  }
}

MlpGradient Mlp::backward(const Tensor& d_y) const {
  Tensor d_h = down_.d_x(d_y);
  if (kind_ == FfnKind::gelu) d_h = through_gelu(d_h);
  if (kind_ == FfnKind::swiglu) d_h = through_gate(d_h);
  return {up_.d_x(d_h), up_.d_w(d_h, x_), down_.d_w(d_y, a_)};
}

Tensor Mlp::through_gelu(const Tensor& d_a) const {
  Tensor d_h(h_.size());
  for (std::size_t i = 0; i < d_a.size(); ++i) {
    const double x = h_[i];
    const double s = gelu_gate(x);
    const double slope = double{kGeluSlope} * (1 + 3 * double{kGeluCubic} * x * x);
    d_h[i] = d_a[i] * (s + x * s * (1 - s) * slope);
  }
  return d_h;
}

Tensor Mlp::through_gate(const Tensor& d_a) const {
  Tensor d_h(h_.size());
  for (std::size_t i = 0; i < d_a.size(); ++i) {
    const double g = h_[gate_of(i)];
    const double s = sigmoid(g);
    d_h[gate_of(i)] = d_a[i] * h_[gate_of(i) + width()] * (s + g * s * (1 - s));
    d_h[gate_of(i) + width()] = d_a[i] * g * s;
  }
  return d_h;
}

std::size_t Mlp::gate_of(std::size_t i) const {
  return i / width() * 2 * width() + i % width();
}

template <class F>
void Attention::each_row(F f) const {
  for (std::int64_t h = 0; h < heads_; ++h) {
    for (std::int64_t t = 0; t < tokens_; ++t) f(h, t, t / seq_len_ * seq_len_);
  }
}

double Attention::scale() const {
  return 1 / std::sqrt(static_cast<double>(dim_));
}

Attention::Attention(const Model& model, const LayerShare& share, Heads in)
    : heads_(model.heads),
      group_(model.mla ? 1 : model.heads / model.kv_heads),
      dim_(query_key_dim(model)),
      value_dim_(trainmeter::value_dim(model)),
      tokens_(share.tokens()),
      seq_len_(share.seq_len),
      in_(std::move(in)),
      p_(static_cast<std::size_t>(heads_ * tokens_ * seq_len_)) {
  each_row([&](std::int64_t h, std::int64_t t, std::int64_t first) {
    double all = 0;
    for (std::int64_t key = first; key <= t; ++key) {
      const double score = dot(in_.q.data() + q(t, h), in_.k.data() + k(key, h), dim_) * scale();
      all += p_[p(h, t, key)] = std::exp(score);
    }
    for (std::int64_t key = first; key <= t; ++key) p_[p(h, t, key)] /= all;
  });
}

Tensor Attention::y() const {
  Tensor out(static_cast<std::size_t>(tokens_ * heads_ * value_dim_));
  each_row([&](std::int64_t h, std::int64_t t, std::int64_t first) {
    for (std::int64_t key = first; key <= t; ++key)
      add(out.data() + o(t, h), p_[p(h, t, key)], in_.v.data() + v(key, h), value_dim_);
  });
  return out;
}

Heads Attention::backward(const Tensor& d_o) const {
  Heads d{.q = Tensor(in_.q.size()), .k = Tensor(in_.k.size()), .v = Tensor(in_.v.size())};
  Tensor d_p(static_cast<std::size_t>(tokens_));
  each_row([&](std::int64_t h, std::int64_t t, std::int64_t first) {
    const double* const above = d_o.data() + o(t, h);
    double mean = 0;
    for (std::int64_t key = first; key <= t; ++key) {
      double& one = d_p[static_cast<std::size_t>(key)];
      one = dot(above, in_.v.data() + v(key, h), value_dim_);
      mean += p_[p(h, t, key)] * one;
      add(d.v.data() + v(key, h), p_[p(h, t, key)], above, value_dim_);
    }
    for (std::int64_t key = first; key <= t; ++key) {
      const double d_score =
          p_[p(h, t, key)] * (d_p[static_cast<std::size_t>(key)] - mean) * scale();
      add(d.q.data() + q(t, h), d_score, in_.k.data() + k(key, h), dim_);
      add(d.k.data() + k(key, h), d_score, in_.q.data() + q(t, h), dim_);
    }
  });
  return d;
}

}  // namespace trainmeter::reference
