// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One layer on one GPU, operation by operation in the order of training: the work list's entries,
// put in order and named as a record names them.
#pragma once

#include "workload/step.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// Entry of a step that adds what two others made of, or for, the same tokens: experts' results,
// gradients of several GEMMs that read one tensor. The work list takes these sums to be fused.
inline constexpr const char* kSum = "sum";

// Whether its norms are LayerNorm with biases, as GPT's, and not RMSNorm: models without a gate.
bool layer_norm(const Model& model);

// Its FFN's activation as a record names it: swiglu, gelu; null where no kernel does it.
const char* activation_of(const Model& model);

struct LayerStep {
  std::string entry;      // of the work list: qkv, residual_and_norm, fp8_cast, core; or kSum
  std::string operation;  // as in a record: gemm, rmsnorm, attention_forward
  std::map<std::string, std::int64_t> shape;  // as in a record; empty for a GEMM
  std::optional<GemmWork> gemm;
};

struct LayerSteps {
  std::vector<LayerStep> forward, backward;
  // Entries of the work list that are no steps: collectives, an activation that no kernel does.
  std::vector<std::string> left_out;
};

// What one GPU does of a layer that isn't divided otherwise: a micro-batch, and one of `ep` shares
// of the experts.
struct LayerShare {
  GemmGroup kind = GemmGroup::dense;  // or moe
  std::int64_t sequences = 1, seq_len = 1;
  std::int64_t ep = 1;
  std::string precision = "bf16";  // of the run's GEMMs

  [[nodiscard]] std::int64_t tokens() const { return sequences * seq_len; }
};

// Each GEMM of the work list (workload/worklist.hpp) is one step; its memory-bound entries become
// the kernels of a step (docs/record.md) that do them, not fused with their neighbours as the list
// takes them to be. Backward, a norm's gradient is added to that of the residual beside it.
// std::invalid_argument for another kind of layer, BadInput where `ep` doesn't divide the experts.
LayerSteps layer_steps(const Model& model, const LayerShare& share);

// One of the all-to-alls of a layer of experts, as the work list has it.
struct Exchange {
  std::string name;  // ep_dispatch, ep_combine
  double bytes = 0;  // that one GPU reads from its memory to send, and writes as they come
};

// Of the forward or the backward half, by the software that limits a token's nodes and sends it in
// fp8 with its scales (DeepSeek-V3 report, 3.2.2), where the model and the precision allow: tokens
// cross the network once for a node, and are copied on inside it. None where all experts are here.
std::vector<Exchange> layer_exchanges(const Model& model, const LayerShare& share, bool backward);

}  // namespace trainmeter
