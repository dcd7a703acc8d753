// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The attention core O = softmax(Q K^T / sqrt(head_dim)) V, without its projections, and its
// implementations as siblings.
//
// Row-major, e elements of problem.dtype:
//   Q e[batch, heads, queries, head_dim]    K e[batch, kv_heads, keys, head_dim]
//   O e[batch, heads, queries, value_dim]   V e[batch, kv_heads, keys, value_dim]
//   L fp32[batch, heads, queries], the logarithm of a query's sum of exponentials
// heads / kv_heads query heads share a head of keys and values. Causal: the queries are the last of
// the keys' tokens, and query i sees keys 0 to i + keys - queries; so one query sees them all
// (decode).
//
// Forward writes O and L. Backward reads Q, K, V, O, L and dO and writes dQ, dK and dV; it computes
// the probabilities again from L, as FlashAttention does (Dao et al. 2022, algorithm 4).
#pragma once

#include "kernels/dtype.hpp"
#include "kernels/operation.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace trainmeter {

enum class AttentionPass { forward, backward };
std::string_view to_string(AttentionPass pass);

struct AttentionProblem {
  AttentionPass pass = AttentionPass::forward;
  DType dtype = DType::bf16;  // bf16 or fp32; scores and sums are in fp32
  std::int64_t batch = 1;
  std::int64_t heads = 1, kv_heads = 1;  // kv_heads divides heads
  std::int64_t queries = 1, keys = 1;    // causal: queries <= keys
  std::int64_t head_dim = 64;            // of queries and keys
  std::int64_t value_dim = 64;           // MLA: 128 beside 192
  bool causal = true;

  [[nodiscard]] std::int64_t group() const { return heads / kv_heads; }
};

// std::invalid_argument that names the size which isn't right.
void require_valid(const AttentionProblem& problem);

// Bytes of all tensors that the pass reads or writes.
std::int64_t attention_set_bytes(const AttentionProblem& problem);

struct AttentionBackend {
  std::string_view name;  // openmp cudnn mma
  DeviceKind device;
  std::string (*why_not)(const AttentionProblem&);
  // Throws Unavailable where it can't, std::invalid_argument for sizes that aren't right.
  std::unique_ptr<Operation> (*make)(const AttentionProblem&, const OperandOptions&);
};

std::span<const AttentionBackend> attention_backends();

}  // namespace trainmeter
