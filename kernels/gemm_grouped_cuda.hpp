// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A, B and C of a grouped GEMM in GPU memory, filled, poisoned and checked.
#pragma once

#include "kernels/cuda_support.hpp"
#include "kernels/gemm_grouped_operands.hpp"

#include <cstddef>

namespace trainmeter {

// Where a group's operands lie; the plan says how.
struct GroupOperands {
  void* a = nullptr;
  void* b = nullptr;
  void* c = nullptr;
  float* scales_a = nullptr;  // only with a scaling
  float* scales_b = nullptr;
};

class DeviceGroupedGemm : public Operation {
 public:
  // Behind the last row of A and C, `spare_rows` may be read and written.
  DeviceGroupedGemm(const GroupedGemmProblem& problem, const OperandOptions& options,
                    CudaStream stream = CudaStream(), std::int64_t spare_rows = 0);

  Check verify() final;
  [[nodiscard]] int sets() const final { return sets_; }
  [[nodiscard]] std::vector<OperandView> operand_views() const final;
  [[nodiscard]] void* stream() const final { return stream_.get(); }

 protected:
  [[nodiscard]] const GroupedGemmProblem& problem() const { return problem_; }
  [[nodiscard]] const GroupPlace& place(std::size_t group) const { return plan_.groups[group]; }
  [[nodiscard]] GroupOperands operands(int set, std::size_t group) const;
  [[nodiscard]] cudaStream_t queue() const { return stream_.get(); }
  [[nodiscard]] int groups_at_work() const;  // those that aren't empty

 private:
  GroupedGemmProblem problem_;
  OperandOptions options_;
  GroupedPlan plan_;
  CudaStream stream_;
  int sets_;
  DeviceOperand a_, b_, c_, scales_a_, scales_b_;
};

}  // namespace trainmeter
