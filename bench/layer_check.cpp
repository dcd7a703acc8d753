// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Small layers, and how far theirs may be from the reference.
#include "bench/layer_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::uint64_t kSeed = 1;

// Of a row's error. In fp32 and bf16 four times and twice what five kinds of layers came to on a
// CPU (2.4e-6; 0.028, some twenty roundings of 2^-9 with what softmax makes of them). In fp8 a
// cast moves an element by at most half a step of e4m3's three bits, 2^-4 of it, so a row by 2^-4
// of its length; those of all casts, forward and backward, add up as independent errors do, and
// bf16's bound with them: 0.19 to 0.27, of which half was seen (0.09 to 0.13).
double bound_of(DType dtype, const LayerInput& input) {
  if (dtype != DType::bf16 && dtype != DType::fp8) return 1e-5;
  std::int64_t casts = 0;
  if (dtype == DType::fp8) {
    casts = 2 * std::ranges::count_if(
                    layer_gemms(input.model, input.share.kind, input.share.tokens()),
                    [](const GemmWork& g) { return g.pass == Pass::fprop && g.low_precision; });
  }
  return 0x1p-4 * std::sqrt(1 + static_cast<double>(casts));
}

// NaN where anything is.
double worst_row(const Tensor& got, const Tensor& wanted, std::int64_t cols) {
  const std::size_t rows = wanted.size() / static_cast<std::size_t>(cols);
  if (got.size() != wanted.size() || rows == 0) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> off(rows), length(rows);
  double mean = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t i = row * cols; i < (row + 1) * cols; ++i) {
      off[row] += (got[i] - wanted[i]) * (got[i] - wanted[i]);
      length[row] += wanted[i] * wanted[i];
    }
    length[row] = std::sqrt(length[row]);
    mean += length[row] / static_cast<double>(rows);
  }
  double worst = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    const double error = std::sqrt(off[row]) / std::max(length[row], 0.1 * mean);
    if (!(error <= worst)) worst = error;  // takes NaN
    if (std::isnan(worst)) break;
  }
  return worst;
}

std::int64_t columns_of(const std::string& result, const LayerInput& input) {
  if (result == "router") return input.model.moe->experts;
  if (result == "d_gates") return std::ssize(input.experts);  // one row: each is a mere number
  if (result == "d_norm_q") return input.model.mla->q_lora_rank;
  if (result == "d_norm_kv") return input.model.mla->kv_lora_rank;
  for (const GemmWork& g : layer_gemms(input.model, input.share.kind, input.share.tokens())) {
    if (g.pass == Pass::fprop && result == "d_" + g.name) return g.k;
  }
  return input.model.hidden;
}

}  // namespace

SmallLayer small_layer(const Model& model, const LayerShare& share) {
  SmallLayer small{model, share};
  Model& m = small.model;
  m.hidden = 192;
  const std::int64_t group = m.mla ? 1 : std::min<std::int64_t>(m.heads / m.kv_heads, 4);
  m.kv_heads = 2;
  m.heads = m.kv_heads * group;
  if (m.mla) {
    m.mla->q_lora_rank = 96;
    m.mla->kv_lora_rank = 64;
  }
  m.ffn = 320;
  if (m.moe) {
    m.moe->experts = 8;
    m.moe->experts_per_token = std::min<std::int64_t>(m.moe->experts_per_token, 2);
    m.moe->expert_ffn = 112;
  }
  small.share.sequences = 2;
  small.share.seq_len = 32;
  if (share.precision == "fp8") {  // whole blocks of tokens for each expert, two of all tokens
    small.share.seq_len = 128;
    if (m.moe) m.moe->experts = 4;
  }
  small.share.ep = 1;
  return small;
}

Check compare_layers(const Tensors& got, const LayerInput& input, DType dtype,
                     const std::vector<MadeBy>& by) {
  Check out{.bound = bound_of(dtype, input)};
  std::string farthest;
  std::map<std::string, double> errors;
  const Tensors wanted = layer_reference(input);
  for (const auto& [name, values] : wanted) {
    const auto found = got.find(name);
    const double error = errors[name] =
        worst_row(found == got.end() ? Tensor() : found->second, values, columns_of(name, input));
    if (std::isnan(out.error) || (error <= out.error && !farthest.empty())) continue;
    farthest = name;
    out.error = error;
  }
  out.ok = out.error < out.bound;
  out.how = fmt::format("a small layer's {} results in order, fp64; farthest: {}", wanted.size(),
                        farthest);
  if (out.ok) return out;
  const auto made = std::ranges::find(by, farthest, &MadeBy::result);
  if (made != by.end()) out.how += ", by " + made->step;
  const auto first = std::ranges::find_if(
      by, [&](const MadeBy& one) { return !(errors[one.result] < out.bound); });
  if (first != by.end() && first != made)
    out.how += fmt::format("; the first beyond: {}, by {}", first->result, first->step);
  return out;
}

Check check_layer(const SmallLayer& layer, const LayerSteps& steps, DType dtype,
                  const MakeStep& make) {
  const LayerInput input = draw_layer_input(layer.model, layer.share, dtype, kSeed);
  try {
    std::vector<MadeBy> by;
    const Tensors got = flow_through(input, steps, make, &by);
    return compare_layers(got, input, dtype, by);
  } catch (const NotTheLayer& error) {
    return {.error = std::numeric_limits<double>::infinity(),
            .bound = bound_of(dtype, input),
            .how = error.what()};
  }
}

}  // namespace trainmeter
