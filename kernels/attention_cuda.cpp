// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The operands of the attention core on a GPU.
#include "kernels/attention_cuda.hpp"

#include "kernels/random.hpp"

#include <cstddef>

namespace trainmeter {
namespace {

bool drawn(AttentionTensor t) {
  return t == AttentionTensor::q || t == AttentionTensor::k || t == AttentionTensor::v ||
         t == AttentionTensor::d_o;
}

}  // namespace

DeviceAttention::DeviceAttention(const AttentionProblem& problem, const OperandOptions& options)
    : problem_(problem),
      sets_(sets_for(attention_set_bytes(problem), options, device_bytes_free())) {
  for (int i = 0; i < kAttentionTensors; ++i) {
    const auto tensor = static_cast<AttentionTensor>(i);
    if (role_of(tensor, problem_.pass) == TensorRole::unused) continue;
    operands_[i] = DeviceOperand(attention_bytes_of(problem_, tensor), sets_);
    if (!drawn(tensor)) continue;
    std::vector<std::byte> host(static_cast<std::size_t>(operands_[i].bytes()));
    fill_random(host.data(), attention_elements(problem_, tensor), problem_.dtype,
                operand_seed(options.seed, 0, i), options.values);
    operands_[i].copy_from_host(host.data());
  }
}

Check DeviceAttention::verify() {
  stream_.wait();
  for (int i = 0; i < kAttentionTensors; ++i) {
    if (role_of(static_cast<AttentionTensor>(i), problem_.pass) == TensorRole::output)
      operands_[i].fill_bytes(0xff);  // NaN
  }
  run(0);
  stream_.wait();
  std::array<std::vector<std::byte>, kAttentionTensors> host;
  AttentionData data{};
  for (int i = 0; i < kAttentionTensors; ++i) {
    if (operands_[i].empty()) continue;
    host[i].resize(static_cast<std::size_t>(operands_[i].bytes()));
    operands_[i].copy_to_host(host[i].data());
    data[i] = host[i].data();
  }
  return verify_attention(problem_, data, Probabilities::rounded);
}

std::vector<OperandView> DeviceAttention::operand_views() const {
  return attention_views(problem_, DeviceKind::gpu, tensors(0));
}

std::array<void*, kAttentionTensors> DeviceAttention::tensors(int set) const {
  std::array<void*, kAttentionTensors> out{};
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = operands_[i].empty() ? nullptr : operands_[i].data(set);
  return out;
}

void DeviceAttention::share_forward_results() {
  stream_.wait();
  for (const AttentionTensor tensor : {AttentionTensor::o, AttentionTensor::l}) {
    DeviceOperand& operand = operands_[static_cast<std::size_t>(tensor)];
    std::vector<std::byte> host(static_cast<std::size_t>(operand.bytes()));
    operand.copy_to_host(host.data());
    operand.copy_from_host(host.data());
  }
}

}  // namespace trainmeter
