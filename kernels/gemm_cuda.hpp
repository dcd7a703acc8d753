// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A, B and C of a GEMM in GPU memory, filled, poisoned and checked: what every GEMM of the GPU
// needs beside its own launch.
#pragma once

#include "kernels/cuda_support.hpp"
#include "kernels/gemm.hpp"

namespace trainmeter {

class DeviceGemm : public Operation {
 public:
  DeviceGemm(const GemmProblem& problem, const OperandOptions& options);

  Check verify() final;
  [[nodiscard]] int sets() const final { return sets_; }
  [[nodiscard]] void* stream() const final { return stream_.get(); }

 protected:
  [[nodiscard]] const GemmProblem& problem() const { return problem_; }
  [[nodiscard]] cudaStream_t queue() const { return stream_.get(); }
  void wait() const { stream_.wait(); }
  [[nodiscard]] void* a(int set) const { return a_.data(set); }
  [[nodiscard]] void* b(int set) const { return b_.data(set); }
  [[nodiscard]] void* c(int set) const { return c_.data(set); }

 private:
  GemmProblem problem_;
  std::uint64_t seed_;
  CudaStream stream_;
  int sets_;
  DeviceOperand a_, b_, c_;
};

}  // namespace trainmeter
