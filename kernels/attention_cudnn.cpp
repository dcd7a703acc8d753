// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The attention core in bf16 by cuDNN's fused kernels, beside ours: the plan that its heuristics
// put first, as frameworks take it, made and given its workspace before anything is timed.
#include "kernels/attention_cuda.hpp"
#include "kernels/attention_cudnn_plan.hpp"
#include "kernels/backends.hpp"
#include "kernels/cudnn_library.hpp"

#include <algorithm>
#include <map>
#include <string>

namespace trainmeter {
namespace {

int compute_capability() {
  return 10 * device_attribute(cudaDevAttrComputeCapabilityMajor) +
         device_attribute(cudaDevAttrComputeCapabilityMinor);
}

// A plan and what it works in.
class Planned {
 public:
  Planned(const AttentionProblem& problem, cudaStream_t stream)
      : plan_(problem, compute_capability(), stream),
        workspace_(std::max<std::int64_t>(plan_.workspace_bytes(), 1)) {}

  void run(const std::array<void*, kAttentionTensors>& tensors) const {
    plan_.run(tensors, workspace_.data());
  }
  [[nodiscard]] std::map<std::string, std::string> notes() const {
    return {{"plan", plan_.name()}, {"workspace_bytes", std::to_string(plan_.workspace_bytes())}};
  }

 private:
  CudnnAttentionPlan plan_;
  DeviceBuffer workspace_;
};

class CudnnAttention final : public DeviceAttention {
 public:
  CudnnAttention(const AttentionProblem& problem, const OperandOptions& options)
      : DeviceAttention(problem, options), planned_(problem, queue()) {
    if (problem.pass == AttentionPass::backward) {
      AttentionProblem forward = problem;
      forward.pass = AttentionPass::forward;
      const Planned before(forward, queue());
      before.run(tensors(0));
      share_forward_results();  // waits for it
    }
    run(0);  // the first run loads the kernels, which must not happen behind the timer's hold
    wait();
  }

  void run(int set) override { planned_.run(tensors(set)); }

  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    return planned_.notes();
  }
  // Forward is one or, with keys shared among blocks, two; backward three: dO . O, the gradients,
  // and dQ's rounding; and zeros before them, gradients of grouped heads added up after.
  [[nodiscard]] int launches() const override { return 8; }

 private:
  Planned planned_;
};

std::string why_not(const AttentionProblem& problem) {
  if (std::string reason = why_no_gpu(); !reason.empty()) return reason;
  if (const std::string& reason = cudnn_library().why_not; !reason.empty()) return reason;
  return why_no_cudnn_attention(problem, compute_capability());
}

std::unique_ptr<Operation> make(const AttentionProblem& problem, const OperandOptions& options) {
  require_valid(problem);
  if (const std::string reason = why_not(problem); !reason.empty()) throw Unavailable(reason);
  return std::make_unique<CudnnAttention>(problem, options);
}

}  // namespace

AttentionBackend cudnn_attention_backend() {
  return {"cudnn", DeviceKind::gpu, why_not, make};
}

}  // namespace trainmeter
