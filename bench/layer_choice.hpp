// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A router that must choose as a layer's input says, so that all experts have as many tokens: what
// it is given, and whose are the gates that it gives back.
#pragma once

#include "bench/layer_reference.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace trainmeter {

class LayerChoice {
 public:
  // `input` outlives it.
  explicit LayerChoice(const LayerInput& input);

  // Where each copy of a token lies among those of its expert, in the order of tokens.
  [[nodiscard]] const std::vector<std::int32_t>& places() const { return places_; }

  // The logits [tokens, experts], those of experts that aren't to be chosen out of reach.
  [[nodiscard]] Tensor reachable(const Tensor& logits) const;

  // What the router chose and its gates, [tokens, top_k] by falling logit or score. False where its
  // choice is another.
  [[nodiscard]] bool take(std::vector<std::int32_t> chosen, Tensor gates);

  // As taken.
  [[nodiscard]] const std::vector<std::int32_t>& chosen() const { return chosen_; }
  [[nodiscard]] const Tensor& chosen_gates() const { return chosen_gates_; }
  // The same gates in the order of the input's copies; and copies' gradients in the router's.
  [[nodiscard]] const Tensor& gates() const { return gates_; }
  [[nodiscard]] Tensor by_choice(const Tensor& of_copies) const;

 private:
  const LayerInput& in_;
  std::vector<std::int32_t> places_;
  std::vector<std::int32_t> chosen_;
  Tensor chosen_gates_, gates_;
  std::vector<std::size_t> choice_of_;  // by copy
};

}  // namespace trainmeter
