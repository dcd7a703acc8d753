// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A, B and C of a GEMM in host memory, filled, poisoned and checked: what every GEMM of the CPU
// needs beside its one library call.
#pragma once

#include "kernels/gemm.hpp"
#include "kernels/host_operand.hpp"
#include "kernels/operation.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace trainmeter {

// A + B + C of all groups and their scales in bytes, each padded to operand_stride();
// std::invalid_argument for sizes below 1. Sizes whose product leaves 64 bits give the largest
// integer, which no machine holds.
std::int64_t gemm_bytes_of_one_set(const GemmProblem& problem);

// Where an operand lies, and its bytes.
struct OperandPlace {
  void* data = nullptr;
  std::int64_t bytes = 0;
};

// Of a, b and c of a GEMM, and with a scaling of scales_a and scales_b; c is a state where it is
// added to. How scaled operands lie: scaled_operand.hpp, of groups gemm_grouped_operands.hpp.
std::vector<OperandView> gemm_views(const GemmProblem& problem, DeviceKind device,
                                    const std::array<OperandPlace, 3>& abc,
                                    const std::array<OperandPlace, 2>& scales = {});

// A GEMM on the CPU. A library's class adds multiply().
class HostGemm : public Operation {
 public:
  HostGemm(const GemmProblem& problem, const OperandOptions& options);

  void run(int set) final;
  Check verify() final;
  [[nodiscard]] int sets() const final { return a_.sets(); }
  [[nodiscard]] std::vector<OperandView> operand_views() const final;

 protected:
  [[nodiscard]] const GemmProblem& problem() const { return problem_; }
  virtual void multiply(const void* a, const void* b, void* c) = 0;  // all groups

 private:
  HostGemm(const GemmProblem& problem, const OperandOptions& options, int sets);

  GemmProblem problem_;
  std::uint64_t seed_;
  HostOperand a_;
  HostOperand b_;
  HostOperand c_;
};

}  // namespace trainmeter
