// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One transformer layer, forward and backward, in fp64 and as plainly as it can be said: what the
// composed layer is compared with (layer_flow.hpp).
//
//   x1 = x + W_o attention(norm(x, norm_1)),  y = x1 + F(norm(x1, norm_2))
//
// norm, the rotation of heads and the gate as in kernels/step_kernel.hpp, attention as in
// kernels/attention.hpp, causal within each sequence; norm LayerNorm and act GELU where the steps
// have these (workload/layer_steps.hpp). F is W_down act(W_up n), without an activation among the
// steps the identity: what the steps leave out, the layer leaves out. With
// experts F(n) is the sum of the shared experts (one of their joint width) and of the chosen ones,
// each times its gate: a softmax over the chosen ones' logits of the router, or, where
// sigmoid_routing() says so, 2.5 times their logits' sigmoids, divided by their sum. Which are
// chosen comes from outside; the router's logits are a second result, with a gradient from outside
// as of a loss that balances the load. Multi-head latent attention: DeepSeek-V3 report, 2.1.1, with
// norms of the latent vectors (4.2, "additional RMSNorm layers after the compressed latent
// vectors").
#pragma once

#include "kernels/dtype.hpp"
#include "workload/layer_steps.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace trainmeter {

using Tensor = std::vector<double>;  // row-major
using Tensors = std::map<std::string, Tensor>;

inline constexpr const char* kBias = "_bias";  // behind a norm's name

struct LayerInput {
  Model model;
  LayerShare share;  // with all experts: ep 1
  Tensor x, d_y;     // [tokens, hidden]; d_y is the gradient of the loss for y
  Tensor d_router;   // [tokens, experts], the same for the logits; only with experts
  // norm_1, norm_2 [hidden], of LayerNorm norm_1 + kBias and norm_2 + kBias, too, of latent
  // attention norm_q, norm_kv [rank], and [groups, n, k] by the name of their GEMM
  Tensors weights;
  std::vector<std::int32_t> experts;  // [tokens, top_k]: the chosen ones, each equally often
  Tensor router_bias;                 // [experts], too small to change the choice, and in no result
};

// Seeded random values, as elements of `dtype` have them: weights such that what comes of
// N(0,1) is about N(0,1) again. In fp8 all is in bf16 but what its GEMMs multiply by, which is e4m3
// in blocks of 128 x 128, as the optimizer leaves it; and blocks are up to four times smaller than
// others. std::invalid_argument where the tokens can't be balanced.
LayerInput draw_layer_input(const Model& model, const LayerShare& share, DType dtype,
                            std::uint64_t seed);

// y, with experts router (the logits), and of sum(y d_y) + sum(router d_router) the gradient d_x,
// d_ of each weight, and with experts d_gates [tokens, top_k].
Tensors layer_reference(const LayerInput& input);

}  // namespace trainmeter
