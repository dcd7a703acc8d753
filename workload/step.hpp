// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What one training step is: FLOPs by component, and its GEMMs by shape and pass. Sources of the
// counts: docs/formulas.md.
#pragma once

#include "workload/model.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

struct FlopOptions {
  std::int64_t seq_len = 0;
  AttentionFlops attention = AttentionFlops::causal;
  bool router = false;  // published MFUs leave the router and MTP out
  bool mtp = false;
};

// One component of the model over all its layers: weights used by a token, and training FLOPs per
// token (forward, dgrad and wgrad: 3 x forward).
struct Component {
  std::string name;      // attention_projections attention_core ffn shared_experts routed_experts
                         // router lm_head mtp
  double active_params;  // 0 for the attention core
  double training_flops_per_token;
  bool low_precision;  // its GEMMs run in the run's precision; else bf16 or higher (core, head,
                       // router)
};

std::vector<Component> components(const Model& model, const FlopOptions& options);
double training_flops_per_token(const Model& model,
                                const FlopOptions& options);  // sum over components
double parameters(const Model& model);         // all weights: embeddings, norms, every expert
double active_parameters(const Model& model);  // used by one token, without the input embedding

enum class Pass { fprop, dgrad, wgrad };
std::string_view to_string(Pass pass);
// The layout of its GEMM, as a record names it, and back; any other layout is as fprop's.
std::string_view layout_of(Pass pass);
Pass pass_of(std::string_view layout);

// Tokens of a micro-batch by which the benchmarks take a model's shapes, where none are given.
struct DefaultTokens {
  std::int64_t cpu, gpu;
  [[nodiscard]] std::int64_t of(bool on_gpu) const { return on_gpu ? gpu : cpu; }
};
inline constexpr DefaultTokens kStepTokens{.cpu = 1024, .gpu = 8192};
// Of one layer or operation: on a GPU one sequence, as DeepSeek-V3's micro-batches are.
inline constexpr DefaultTokens kLayerTokens{.cpu = 256, .gpu = 4096};

// One shape of GEMM in a step: C[m,n] += A[m,k] B[k,n], `groups` of it side by side (1 but for
// routed experts), `count` times in the whole step of one GPU.
struct GemmWork {
  std::string name;  // qkv attention_output ffn_up ffn_down expert_up expert_down shared_up
                     // shared_down q_a kv_a q_b kv_b router lm_head
  Pass pass = Pass::fprop;
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t groups = 1;
  double count = 0;
  bool low_precision = true;
};

// The GEMMs of one layer, or of the head, for one micro-batch: all three passes, `count` 1 (for
// experts as below). `etp` ranks have a part of each expert's width. BadInput where `tp`, `ep` or
// `etp` don't divide what they should, and for the layer of experts of a model that has none.
enum class GemmGroup { dense, moe, head, mtp };
std::vector<GemmWork> layer_gemms(const Model& model, GemmGroup group, std::int64_t tokens,
                                  std::int64_t tp = 1, std::int64_t ep = 1, std::int64_t etp = 1);

// Widths of one attention head.
std::int64_t query_key_dim(const Model& model);
std::int64_t value_dim(const Model& model);
std::int64_t dense_layers(const Model& model);
std::int64_t moe_layers(const Model& model);

// A router that scores by sigmoid and chooses groups first (topk_sigmoid in
// kernels/step_kernel.hpp).
struct SigmoidRouting {
  std::int64_t groups, group_limit;
};
// Model files don't say how a router scores. DeepSeek-V3 (report, 2.1.2 and 2.2) brought the
// sigmoid together with multi-token prediction, so a model with group_limit and mtp_depth has it;
// DeepSeek-V2 with a group_limit alone scores by softmax (report, 2.2.1), as do those without.
// Groups are V3's 8, as it has them on 8 nodes (3.2.2; n_group in its config.json), or the largest
// divisor of 8 that divides the experts; a limit that leaves fewer than experts_per_token is
// raised.
std::optional<SigmoidRouting> sigmoid_routing(const Model& model);

double attention_weights(const Model& model);  // of one layer's projections
double ffn_matrices(const Model& model);       // 3 with a gate, else 2
double expert_weights(const Model& model);     // of one expert

// The GEMMs of one micro-batch of `tokens` tokens over all layers, tensor-parallel `tp` ways
// (columns or rows of each weight divided), experts spread `ep` ways and balanced. All three
// passes. Routed experts: m = tokens of one local expert.
std::vector<GemmWork> step_gemms(const Model& model, std::int64_t tokens, std::int64_t tp = 1,
                                 std::int64_t ep = 1);

// Bytes that AdamW moves for `params` weights with fp32 states: reads gradient, weight, m, v;
// writes weight, m, v.
double optimizer_bytes(double params);

}  // namespace trainmeter
