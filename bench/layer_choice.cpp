// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Puts logits out of reach, and finds copies in the router's order.
#include "bench/layer_choice.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace trainmeter {
namespace {

// Where each copy of a token lies among those of its expert, in the order of tokens.
std::vector<std::int32_t> places_of(const std::vector<std::int32_t>& experts) {
  std::vector<std::int32_t> sorted(experts.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  std::ranges::stable_sort(sorted, {}, [&](std::int32_t i) { return experts[i]; });
  std::vector<std::int32_t> out(experts.size());
  for (std::size_t place = 0; place < sorted.size(); ++place)
    out[static_cast<std::size_t>(sorted[place])] = static_cast<std::int32_t>(place);
  return out;
}

}  // namespace

LayerChoice::LayerChoice(const LayerInput& input) : in_(input), places_(places_of(input.experts)) {}

Tensor LayerChoice::reachable(const Tensor& logits) const {
  constexpr double kOutOfReach = -30'000;  // far below all others, whatever they are
  const Moe& moe = *in_.model.moe;
  Tensor out(logits.size(), kOutOfReach);
  for (std::size_t copy = 0; copy < in_.experts.size(); ++copy) {
    const auto token = static_cast<std::int64_t>(copy) / moe.experts_per_token;
    const auto at = static_cast<std::size_t>(token * moe.experts + in_.experts[copy]);
    out[at] = logits[at];
  }
  return out;
}

bool LayerChoice::take(std::vector<std::int32_t> chosen, Tensor gates) {
  chosen_ = std::move(chosen);
  chosen_gates_ = std::move(gates);
  const std::int64_t k = in_.model.moe->experts_per_token;
  for (std::size_t copy = 0; copy < in_.experts.size(); ++copy) {
    const auto token = chosen_.begin() + static_cast<std::int64_t>(copy) / k * k;
    const auto found = std::find(token, token + k, in_.experts[copy]);
    if (found == token + k) return false;
    choice_of_.push_back(static_cast<std::size_t>(found - chosen_.begin()));
    gates_.push_back(chosen_gates_[choice_of_.back()]);
  }
  return true;
}

Tensor LayerChoice::by_choice(const Tensor& of_copies) const {
  Tensor out(of_copies.size());
  for (std::size_t copy = 0; copy < of_copies.size(); ++copy)
    out[choice_of_[copy]] = of_copies[copy];
  return out;
}

}  // namespace trainmeter
