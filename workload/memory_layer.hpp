// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What one transformer layer takes of one GPU's memory: weights, and activations that are kept for
// the backward pass. Assumptions: memory_fit.hpp.
#pragma once

#include "workload/layout.hpp"
#include "workload/memory_fit.hpp"
#include "workload/model.hpp"

#include <string>

namespace trainmeter {

// Bytes per element of what is kept for the backward pass, in a transformer layer.
struct KeptFormats {
  double element = 2;         // norms' inputs, queries, keys, values
  double input = 2;           // of a matrix
  double attention = 2;       // result of the attention, for the attention's own backward pass
  double attention_copy = 0;  // of it once more, where the next matrix takes another format
  double activation = 2;      // input of the activation function
};
KeptFormats kept_formats(const MemoryOptions& options);

// What one layer of a kind is to one GPU.
struct LayerMemory {
  double weights = 0, expert_weights = 0;
  double kept_none = 0, kept_selective = 0, kept_full = 0;  // bytes of one micro-batch

  [[nodiscard]] double kept(Recompute recompute) const {
    return recompute == Recompute::full        ? kept_full
           : recompute == Recompute::selective ? kept_selective
                                               : kept_none;
  }
  [[nodiscard]] double all_weights() const { return weights + expert_weights; }
};
LayerMemory layer_memory(const Model& model, const Layout& layout, const MemoryOptions& options,
                         bool moe);

}  // namespace trainmeter
