// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Sizes and tensors of the attention core.
#include "kernels/attention.hpp"

#include "kernels/attention_tensors.hpp"

#include <stdexcept>

namespace trainmeter {
namespace {

constexpr std::int64_t kMaxSize = std::int64_t{1} << 24;      // of one dimension
constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;  // so that bytes stay countable

void require(bool right, const char* what) {
  if (!right) throw std::invalid_argument(std::string("attention: ") + what);
}

}  // namespace

std::string_view to_string(AttentionPass pass) {
  return pass == AttentionPass::forward ? "forward" : "backward";
}

void require_valid(const AttentionProblem& p) {
  double elements = 1;
  for (const std::int64_t size :
       {p.batch, p.heads, p.kv_heads, p.queries, p.keys, p.head_dim, p.value_dim}) {
    require(size >= 1 && size <= kMaxSize, "sizes are from 1 to 16,777,216");
  }
  for (const std::int64_t size :
       {p.batch, p.heads, std::max(p.queries, p.keys), std::max(p.head_dim, p.value_dim)}) {
    elements *= static_cast<double>(size);
  }
  require(elements < static_cast<double>(kMaxElements), "a tensor has at most 2^40 elements");
  require(p.heads % p.kv_heads == 0, "kv_heads divides heads");
  require(!p.causal || p.queries <= p.keys, "causal queries are among the keys' tokens");
}

std::string_view to_string(AttentionTensor tensor) {
  static constexpr std::array<std::string_view, kAttentionTensors> kNames = {
      "q", "k", "v", "o", "l", "d_o", "d_q", "d_k", "d_v"};
  return kNames.at(static_cast<std::size_t>(tensor));
}

TensorRole role_of(AttentionTensor tensor, AttentionPass pass) {
  const bool forward = pass == AttentionPass::forward;
  switch (tensor) {
    case AttentionTensor::q:
    case AttentionTensor::k:
    case AttentionTensor::v:
      return TensorRole::input;
    case AttentionTensor::o:
    case AttentionTensor::l:
      return forward ? TensorRole::output : TensorRole::input;
    case AttentionTensor::d_o:
      return forward ? TensorRole::unused : TensorRole::input;
    default:
      return forward ? TensorRole::unused : TensorRole::output;
  }
}

std::int64_t attention_elements(const AttentionProblem& p, AttentionTensor tensor) {
  const std::int64_t rows = p.batch * p.heads * p.queries;
  const std::int64_t kv_rows = p.batch * p.kv_heads * p.keys;
  switch (tensor) {
    case AttentionTensor::q:
    case AttentionTensor::d_q:
      return rows * p.head_dim;
    case AttentionTensor::o:
    case AttentionTensor::d_o:
      return rows * p.value_dim;
    case AttentionTensor::l:
      return rows;
    case AttentionTensor::k:
    case AttentionTensor::d_k:
      return kv_rows * p.head_dim;
    case AttentionTensor::v:
    case AttentionTensor::d_v:
      return kv_rows * p.value_dim;
  }
  return 0;
}

std::int64_t attention_bytes_of(const AttentionProblem& p, AttentionTensor tensor) {
  return attention_elements(p, tensor) *
         size_of(tensor == AttentionTensor::l ? DType::fp32 : p.dtype);
}

std::vector<OperandView> attention_views(const AttentionProblem& p, DeviceKind device,
                                         const std::array<void*, kAttentionTensors>& data) {
  std::vector<OperandView> views;
  for (int i = 0; i < kAttentionTensors; ++i) {
    const auto tensor = static_cast<AttentionTensor>(i);
    const TensorRole role = role_of(tensor, p.pass);
    if (role == TensorRole::unused) continue;
    views.push_back({.name = to_string(tensor),
                     .role = role == TensorRole::input ? OperandRole::input : OperandRole::output,
                     .type = tensor == AttentionTensor::l ? DType::fp32 : p.dtype,
                     .bytes = attention_bytes_of(p, tensor),
                     .data = data[static_cast<std::size_t>(i)],
                     .device = device});
  }
  return views;
}

std::int64_t attention_set_bytes(const AttentionProblem& p) {
  std::int64_t bytes = 0;
  for (int i = 0; i < kAttentionTensors; ++i) {
    const auto tensor = static_cast<AttentionTensor>(i);
    if (role_of(tensor, p.pass) != TensorRole::unused) {
      bytes += operand_stride(attention_bytes_of(p, tensor));
    }
  }
  return bytes;
}

}  // namespace trainmeter
