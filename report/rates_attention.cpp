// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The rates of the attention core: published kernels by name, and what was measured here.
#include "report/rates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace trainmeter {
namespace {

// What a kernel reaches on causal attention of its rate on the full square: tiles on the diagonal
// are half empty. FlashAttention-3 forward on H100, head width 128, its README: 521 of 625 TFLOP/s
// at 2,048 tokens, 579 of 638 at 4,096, 602 of 646 at 8,192.
double causal_share(double seq_len) {
  constexpr double kLost = 420;  // tokens
  return seq_len / (seq_len + kLost);
}

double log_of(std::int64_t value) {
  return std::log(static_cast<double>(value));
}

// Whether rates of one are the other's: fp16 and bf16 are one datapath.
bool same_datapath(std::string_view a, std::string_view b) {
  const auto sixteen_bits = [](std::string_view d) { return d == "bf16" || d == "fp16"; };
  return a == b || (sixteen_bits(a) && sixteen_bits(b));
}

// Of the points that `wanted` says, those of that pass, causal; else of the full square; else of
// both passes together.
template <class F>
std::vector<const RatePoint*> attention_points(const std::vector<RatePoint>& points, bool forward,
                                               F wanted) {
  const char* pass = forward ? "attention_forward" : "attention_backward";
  std::vector<const RatePoint*> out;
  for (const auto& [operation, causal] :
       {std::pair{pass, true}, std::pair{pass, false}, std::pair{"attention", true}}) {
    for (const RatePoint& p : points) {
      const bool whole = p.queries == 0 || p.queries == p.seq_len;
      if (p.operation == operation && p.causal == causal && p.seq_len > 0 && whole && wanted(p))
        out.push_back(&p);
    }
    if (!out.empty()) break;
  }
  return out;
}

// How far a point's heads are from those asked for; what it doesn't say is taken to be right.
double gap_of_heads(const RatePoint& p, const AttentionShape& shape) {
  const auto gap = [](std::int64_t known, std::int64_t asked) {
    return known > 0 && asked > 0 ? std::abs(log_of(known) - log_of(asked)) : 0;
  };
  constexpr double kOfGroup = 0.1;  // grouping moves a rate less than widths do
  return gap(p.head_dim, shape.head_dim) + gap(p.value_dim, shape.value_dim) +
         kOfGroup * gap(p.group, shape.group);
}

std::optional<Rate> between_lengths(std::vector<const RatePoint*> points,
                                    const AttentionShape& shape) {
  if (points.empty()) return std::nullopt;
  const auto gap = [&](const RatePoint* p) { return gap_of_heads(*p, shape); };
  const double nearest = gap(*std::ranges::min_element(points, {}, gap));
  std::erase_if(points, [&](const RatePoint* p) { return gap(p) > nearest + 1e-9; });
  // The fastest of a length, which is that of the fullest device.
  std::ranges::sort(points, [](const RatePoint* a, const RatePoint* b) {
    return a->seq_len != b->seq_len ? a->seq_len < b->seq_len : a->value > b->value;
  });
  const auto again = std::ranges::unique(points, {}, &RatePoint::seq_len);
  points.erase(again.begin(), again.end());
  const auto above =
      std::ranges::find_if(points, [&](const RatePoint* p) { return p->seq_len >= shape.seq_len; });
  const RatePoint* high = above == points.end() ? points.back() : *above;
  const RatePoint* low = above == points.begin() || above == points.end() ? high : *(above - 1);
  const auto causal_rate = [](const RatePoint& p) {
    return p.value * (p.causal ? 1 : causal_share(static_cast<double>(p.seq_len)));
  };
  const double share = low == high ? 0
                                   : (log_of(shape.seq_len) - log_of(low->seq_len)) /
                                         (log_of(high->seq_len) - log_of(low->seq_len));
  const bool exact = high->seq_len == shape.seq_len && !(nearest > 0);
  Rate rate = rate_at(*high, exact ? 0 : kLeastShapeError,
                      exact ? "exact shape"
                            : fmt::format("between shapes, nearest {} tokens, width {}",
                                          high->seq_len, high->head_dim));
  rate.value =
      std::exp((1 - share) * std::log(causal_rate(*low)) + share * std::log(causal_rate(*high)));
  return rate;
}

}  // namespace

std::optional<Rate> RateBook::attention(bool forward, std::string_view backend,
                                        std::string_view dtype, const AttentionShape& shape) const {
  return between_lengths(attention_points(points_, forward,
                                          [&](const RatePoint& p) {
                                            return p.backend == backend &&
                                                   same_datapath(p.dtype, dtype);
                                          }),
                         shape);
}

std::optional<Rate> RateBook::measured_attention(bool forward, std::string_view dtype,
                                                 const AttentionShape& shape) const {
  std::set<std::string> backends;
  for (const RatePoint& p : points_) {
    if (p.operation.starts_with("attention") && !p.published) backends.insert(p.backend);
  }
  std::optional<Rate> best;
  for (const std::string& backend : backends) {
    auto rate = attention(forward, backend, dtype, shape);
    if (!rate || (best && best->value >= rate->value)) continue;
    rate->how += ", by " + backend;
    best = rate;
  }
  return best;
}

}  // namespace trainmeter
