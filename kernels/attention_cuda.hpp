// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The tensors of the attention core in GPU memory, filled, poisoned and checked: what every
// implementation of the GPU needs beside its own launch.
#pragma once

#include "kernels/attention_tensors.hpp"
#include "kernels/cuda_support.hpp"

#include <array>
#include <vector>

namespace trainmeter {

class DeviceAttention : public Operation {
 public:
  DeviceAttention(const AttentionProblem& problem, const OperandOptions& options);

  Check verify() final;
  [[nodiscard]] int sets() const final { return sets_; }
  [[nodiscard]] std::vector<OperandView> operand_views() const final;
  [[nodiscard]] void* stream() const final { return stream_.get(); }

 protected:
  [[nodiscard]] const AttentionProblem& problem() const { return problem_; }
  [[nodiscard]] cudaStream_t queue() const { return stream_.get(); }
  void wait() const { stream_.wait(); }
  // One set's, by AttentionTensor; null where the pass doesn't have it.
  [[nodiscard]] std::array<void*, kAttentionTensors> tensors(int set) const;
  // Backward reads O and L: waits for the forward pass that wrote them to set 0, and copies them to
  // every set.
  void share_forward_results();

 private:
  AttentionProblem problem_;
  int sets_;
  CudaStream stream_;
  std::array<DeviceOperand, kAttentionTensors> operands_;
};

}  // namespace trainmeter
