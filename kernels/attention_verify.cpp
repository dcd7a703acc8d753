// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The attention core once more, in fp64 and row by row.
//
// The bound of a row's error is a share of its length |reference|, or of a tenth of the rows' mean
// length where it is shorter than that (a gradient that cancels to nothing has no relative error):
//   fp32  1e-4: sums of up to 1e5 terms, whose rounding errors of 6e-8 mostly cancel
//   bf16  2^-8: rounding to 8 bits is at most half of that; gradients take O as rounded. 2^-7 where
//   probabilities and their gradient are rounded as well, as tensor cores take them
// dQ and dK may also be off by the rounding of what they are differences of: with one key both are
// 0, and what comes out is that rounding alone.
// L differs by less than 1e-4: it is in fp32 either way.
#include "kernels/attention_tensors.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace trainmeter {
namespace {

constexpr double kLeastLength = 0.01;  // of a row of N(0,1) data's results

constexpr double kMostOffL = 1e-4;

// Of dO V and dO O, sums in fp32, in units of |dO| |V| and |dO| |O|. A sum of n products of one
// sign that are added one by one is off by 0.3 sqrt(n) roundings of 2^-24; tensor cores cut off,
// which is up to twice that.
constexpr double kOffSum = 16 * 0x1p-24;

using Row = std::vector<double>;
using Rows = std::vector<Row>;

double dot(const Row& a, const Row& b) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double length(const Row& row) {
  return std::sqrt(dot(row, row));
}

void add(Row& to, double factor, const Row& from) {
#pragma omp simd
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += factor * from[i];
}

// Of one head.
struct Keys {
  Rows k, v;
  Row k_lengths, v_lengths;
};

class Reference {
 public:
  Reference(const AttentionProblem& problem, const AttentionData& data)
      : p_(problem), data_(data) {}

  [[nodiscard]] Rows rows(AttentionTensor tensor, std::int64_t first, std::int64_t count,
                          std::int64_t width) const {
    Rows out(static_cast<std::size_t>(count), Row(static_cast<std::size_t>(width)));
    for (std::int64_t r = 0; r < count; ++r) {
      for (std::int64_t c = 0; c < width; ++c) out[r][c] = element(tensor, (first + r) * width + c);
    }
    return out;
  }

  [[nodiscard]] double element(AttentionTensor tensor, std::int64_t index) const {
    const void* data = data_[static_cast<std::size_t>(tensor)];
    if (tensor != AttentionTensor::l && p_.dtype == DType::bf16)
      return float_from_bf16(static_cast<const Bf16*>(data)[index]);
    return static_cast<const float*>(data)[index];
  }

  [[nodiscard]] Keys keys_of(std::int64_t kv_head) const {
    Keys out = {.k = rows(AttentionTensor::k, kv_head * p_.keys, p_.keys, p_.head_dim),
                .v = rows(AttentionTensor::v, kv_head * p_.keys, p_.keys, p_.value_dim),
                .k_lengths = {},
                .v_lengths = {}};
    for (const Row& row : out.k) out.k_lengths.push_back(length(row));
    for (const Row& row : out.v) out.v_lengths.push_back(length(row));
    return out;
  }

  // Of lane `lane` of the head of keys and values `kv_head` (batch x kv_heads of them).
  struct Lane {
    Row o, d_q;
    double l = 0;
    double d_q_off = 0;  // what the rounding of sums does to d_q, in units of kOffSum
  };

  // Of a head's keys; the squares of d_k's rows' d_k_off, as lanes' are independent.
  struct KeyGradients {
    KeyGradients(const AttentionProblem& p, std::size_t keys)
        : d_k(keys, Row(static_cast<std::size_t>(p.head_dim))),
          d_v(keys, Row(static_cast<std::size_t>(p.value_dim))),
          d_k_off2(keys) {}
    Rows d_k, d_v;
    Row d_k_off2;
  };

  // `sums`, where given, are added to.
  [[nodiscard]] Lane lane(std::int64_t kv_head, std::int64_t lane, const Keys& of,
                          KeyGradients* sums) const {
    const auto& [k, v, k_lengths, v_lengths] = of;
    const std::int64_t row = kv_head * p_.group() * p_.queries + lane;
    const std::int64_t seen = p_.causal ? p_.keys - p_.queries + lane % p_.queries + 1 : p_.keys;
    const double scale = 1 / std::sqrt(static_cast<double>(p_.head_dim));
    const Row q = rows(AttentionTensor::q, row, 1, p_.head_dim)[0];
    Row scores(static_cast<std::size_t>(seen));
    for (std::size_t key = 0; key < scores.size(); ++key) scores[key] = scale * dot(q, k[key]);
    const double top = *std::ranges::max_element(scores);
    double sum = 0;
    for (const double score : scores) sum += std::exp(score - top);
    Lane out{.o = Row(static_cast<std::size_t>(p_.value_dim)),
             .d_q = Row(static_cast<std::size_t>(p_.head_dim)),
             .l = top + std::log(sum)};
    for (std::size_t key = 0; key < scores.size(); ++key) {
      scores[key] = std::exp(scores[key] - out.l);  // from here on probabilities
      add(out.o, scores[key], v[key]);
    }
    if (p_.pass == AttentionPass::forward) return out;
    const Row d_o = rows(AttentionTensor::d_o, row, 1, p_.value_dim)[0];
    const Row o = rows(AttentionTensor::o, row, 1, p_.value_dim)[0];
    const double delta = dot(d_o, o);
    const double d_o_length = length(d_o), o_length = length(o), q_length = length(q);
    double d_q_off2 = 0;
    for (std::size_t key = 0; key < scores.size(); ++key) {
      const double d_score = scores[key] * (dot(d_o, v[key]) - delta) * scale;
      const double off = scores[key] * d_o_length * (v_lengths[key] + o_length) * scale;
      add(out.d_q, d_score, k[key]);
      d_q_off2 += off * off * k_lengths[key] * k_lengths[key];
      if (sums == nullptr) continue;
      add(sums->d_k[key], d_score, q);
      add(sums->d_v[key], scores[key], d_o);
      sums->d_k_off2[key] += off * off * q_length * q_length;
    }
    out.d_q_off = std::sqrt(d_q_off2);
    return out;
  }

 private:
  const AttentionProblem& p_;
  const AttentionData& data_;
};

// The largest error of a row, in units of its bound. NaN where anything is. `off`: what rounding
// does to each row, in units of kOffSum.
double worst(const Rows& got, const Rows& wanted, double share, const Row& off) {
  double lengths = 0;
  for (const Row& row : wanted) lengths += length(row);
  const double least = std::max(kLeastLength, 0.1 * lengths / static_cast<double>(wanted.size()));
  double out = 0;
  for (std::size_t r = 0; r < got.size(); ++r) {
    Row difference = got[r];
    add(difference, -1, wanted[r]);
    const double bound = share * std::max(least, length(wanted[r])) + kOffSum * off[r];
    const double error = length(difference) / bound;
    if (!(error <= out)) out = error;  // takes NaN
    if (std::isnan(out)) return out;
  }
  return out;
}

class Verifier {
 public:
  Verifier(const AttentionProblem& problem, const AttentionData& data, double share)
      : p_(problem),
        reference_(problem, data),
        forward_(problem.pass == AttentionPass::forward),
        share_(share) {}

  Check check() {
    const std::int64_t last = p_.batch * p_.kv_heads - 1;
    whole_head(last);
    std::mt19937_64 random(1);
    for (int i = 0; i < 32 && last > 0; ++i) {
      one_row(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(last)),
              static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(lanes())));
    }
    Check out{.error = 0, .bound = 1, .how = "a head's rows and 32 of others, fp64"};
    const auto take = [&](double error) {
      if (!(error <= out.error) && !std::isnan(out.error)) out.error = error;
    };
    if (forward_) {
      take(worst(got_o_, o_, share_, Row(o_.size())));
      take(worst(got_l_, l_, 1, Row(l_.size())));
    } else {
      take(worst(got_d_q_, d_q_, share_, d_q_off_));
      take(worst(got_d_k_, d_k_, share_, d_k_off_));
      take(worst(got_d_v_, d_v_, share_, Row(d_v_.size())));
    }
    out.ok = out.error < out.bound;
    return out;
  }

 private:
  using Tensor = AttentionTensor;
  [[nodiscard]] std::int64_t lanes() const { return p_.group() * p_.queries; }

  void keep(std::int64_t kv_head, std::int64_t lane, Reference::Lane found) {
    const std::int64_t row = kv_head * lanes() + lane;
    if (!forward_) {
      got_d_q_.push_back(reference_.rows(Tensor::d_q, row, 1, p_.head_dim)[0]);
      d_q_.push_back(std::move(found.d_q));
      d_q_off_.push_back(found.d_q_off);
      return;
    }
    got_o_.push_back(reference_.rows(Tensor::o, row, 1, p_.value_dim)[0]);
    o_.push_back(std::move(found.o));
    got_l_.push_back({1 + (reference_.element(Tensor::l, row) - found.l) / kMostOffL});
    l_.push_back({1});  // so that the difference is in units of its bound
  }

  void one_row(std::int64_t kv_head, std::int64_t lane) {
    keep(kv_head, lane, reference_.lane(kv_head, lane, reference_.keys_of(kv_head), nullptr));
  }

  void whole_head(std::int64_t kv_head) {
    const Keys keys = reference_.keys_of(kv_head);
    std::vector<Reference::Lane> found(static_cast<std::size_t>(lanes()));
    Reference::KeyGradients sums(p_, keys.k.size());
#pragma omp parallel
    {
      Reference::KeyGradients mine(p_, keys.k.size());
#pragma omp for schedule(dynamic, 16)
      for (std::int64_t lane = 0; lane < lanes(); ++lane)
        found[lane] = reference_.lane(kv_head, lane, keys, &mine);
#pragma omp critical(attention_reference)
      for (std::size_t key = 0; key < keys.k.size(); ++key) {
        add(sums.d_k[key], 1, mine.d_k[key]);
        add(sums.d_v[key], 1, mine.d_v[key]);
        sums.d_k_off2[key] += mine.d_k_off2[key];
      }
    }
    for (std::int64_t lane = 0; lane < lanes(); ++lane) keep(kv_head, lane, std::move(found[lane]));
    if (forward_) return;
    d_k_ = std::move(sums.d_k);
    d_v_ = std::move(sums.d_v);
    for (const double off2 : sums.d_k_off2) d_k_off_.push_back(std::sqrt(off2));
    got_d_k_ = reference_.rows(Tensor::d_k, kv_head * p_.keys, p_.keys, p_.head_dim);
    got_d_v_ = reference_.rows(Tensor::d_v, kv_head * p_.keys, p_.keys, p_.value_dim);
  }

  const AttentionProblem& p_;
  Reference reference_;
  bool forward_;
  double share_;
  Rows got_o_, o_, got_l_, l_, got_d_q_, d_q_, got_d_k_, d_k_, got_d_v_, d_v_;
  Row d_q_off_, d_k_off_;
};

}  // namespace

Check verify_attention(const AttentionProblem& problem, const AttentionData& data,
                       Probabilities probabilities) {
  const double share = problem.dtype != DType::bf16              ? 1e-4
                       : probabilities == Probabilities::in_fp32 ? 0x1p-8
                                                                 : 0x1p-7;
  return Verifier(problem, data, share).check();
}

}  // namespace trainmeter
