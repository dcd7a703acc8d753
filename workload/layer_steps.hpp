// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One layer on one GPU, operation by operation in the order of training: the work list's entries,
// put in order and named as a record names them.
#pragma once

#include "workload/worklist.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

struct LayerStep {
  std::string entry;      // of the work list: qkv, residual_and_norm, fp8_cast, core
  std::string operation;  // as in a record: gemm, rmsnorm, attention_forward
  std::map<std::string, std::int64_t> shape;  // as in a record; empty for a GEMM
  std::optional<GemmWork> gemm;
};

struct LayerSteps {
  std::vector<LayerStep> forward, backward;
  // Entries of the work list that are no steps: collectives, routing, an activation without a gate.
  std::vector<std::string> left_out;
};

// Of a dense layer or one of experts, without tensor parallelism. Each GEMM of the work list is one
// step; its memory-bound entries become the kernels of a step (docs/record.md) that do them, not
// fused with their neighbours as the list takes them to be. Backward, a norm's gradient is added to
// that of the residual beside it. std::invalid_argument for another kind of layer, or tp above 1.
LayerSteps layer_steps(const Model& model, LayerKind kind, const Layout& layout,
                       const WorkOptions& options);

}  // namespace trainmeter
