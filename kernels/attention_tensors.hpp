// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The tensors of the attention core on a host: which there are, how large, and whether what came
// out of them is right.
#pragma once

#include "kernels/attention.hpp"

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace trainmeter {

enum class AttentionTensor { q, k, v, o, l, d_o, d_q, d_k, d_v };
inline constexpr int kAttentionTensors = 9;

std::string_view to_string(AttentionTensor tensor);  // q, d_o

enum class TensorRole { unused, input, output };
TensorRole role_of(AttentionTensor tensor, AttentionPass pass);

std::int64_t attention_elements(const AttentionProblem& problem, AttentionTensor tensor);
std::int64_t attention_bytes_of(const AttentionProblem& problem, AttentionTensor tensor);

// By AttentionTensor; those that the pass doesn't have may be null.
using AttentionData = std::array<const void*, kAttentionTensors>;

// Those that the pass has.
std::vector<OperandView> attention_views(const AttentionProblem& problem, DeviceKind device,
                                         const std::array<void*, kAttentionTensors>& data);

// Compares what the pass wrote with a reference in fp64: the last batch's last head of keys and
// values in full, and rows of O, L and dQ drawn from all others. `error` is the largest error of a
// row in units of its bound (attention_verify.cpp says which), `bound` is 1.
enum class Probabilities { in_fp32, rounded };  // what products with V and K take of them
Check verify_attention(const AttentionProblem& problem, const AttentionData& data,
                       Probabilities probabilities = Probabilities::in_fp32);

}  // namespace trainmeter
