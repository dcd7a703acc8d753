// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The attention core as cuDNN is asked for it: its operation graph, and the execution plan that
// cuDNN makes of it. The source is the only one that includes NVIDIA's cudnn-frontend, which takes
// half a minute to compile.
#pragma once

#include "kernels/attention_tensors.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <string>

namespace trainmeter {

// A tensor as cuDNN's graph has it: batch, heads, rows, width.
struct CudnnTensor {
  std::int64_t id = 0;                             // rises with AttentionTensor
  std::array<std::int64_t, 4> sizes{}, strides{};  // elements
};
CudnnTensor cudnn_tensor(const AttentionProblem& problem, AttentionTensor tensor);

// What cuDNN can't do by its documentation, in a line; empty where it may. `compute_capability`:
// 90 is 9.0.
std::string why_no_cudnn_attention(const AttentionProblem& problem, int compute_capability);

// Asks cuDNN itself whether it has an engine, for a GPU that needn't be here: `device_json` is what
// cuDNN says of a GPU (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION). Empty where it has one, else its
// own reason. It wants libcuda.so.1 and libnvrtc to be there. Unavailable without cuDNN.
std::string why_no_cudnn_engine(const AttentionProblem& problem, int compute_capability,
                                const std::string& device_json);

// The first plan of cuDNN's heuristics that it can build, for the current device.
class CudnnAttentionPlan {
 public:
  // Runs are queued on `stream`, a cudaStream_t. Unavailable, with cuDNN's reason, where it has
  // none.
  CudnnAttentionPlan(const AttentionProblem& problem, int compute_capability, void* stream);
  ~CudnnAttentionPlan();
  CudnnAttentionPlan(const CudnnAttentionPlan&) = delete;  // owns a handle of cuDNN's
  CudnnAttentionPlan& operator=(const CudnnAttentionPlan&) = delete;

  [[nodiscard]] std::int64_t workspace_bytes() const;
  [[nodiscard]] std::string name() const;  // its engine and knobs: eng4_k24=3_k27=1
  // Device memory by AttentionTensor, those that the pass has; `workspace` of workspace_bytes(),
  // aligned to 256 bytes. Unavailable, at the first run, where a library that it needs isn't found.
  void run(const std::array<void*, kAttentionTensors>& tensors, void* workspace) const;

 private:
  struct Built;
  std::unique_ptr<Built> built_;
};

}  // namespace trainmeter
