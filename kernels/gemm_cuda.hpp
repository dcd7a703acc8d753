// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A, B and C of a GEMM in GPU memory, filled, poisoned and checked: what every GEMM of the GPU
// needs beside its own launch.
#pragma once

#include "kernels/cuda_support.hpp"
#include "kernels/gemm.hpp"
#include "kernels/scaled_operand.hpp"

#include <cstddef>
#include <functional>
#include <vector>

namespace trainmeter {

// Filled from the host, in every set.
DeviceOperand device_operand(const void* host, std::int64_t bytes, int sets);

// C on the host as verify_gemm() wants it: after one run over NaN; or, where runs add to it, half
// of what two leave over zeros: the second sum is twice the first, to the last bit.
std::vector<std::byte> output_to_check(DeviceOperand& c, bool adds, const CudaStream& stream,
                                       const std::function<void()>& run);

class DeviceGemm : public Operation {
 public:
  DeviceGemm(const GemmProblem& problem, const OperandOptions& options,
             CudaStream stream = CudaStream());

  // These values instead of random ones, in every set: A as m x k and B as n x k, quantised as the
  // problem says. Of one product, with scales.
  void set_values(const float* a, const float* b);

  // C of set 0 on the host, as verify() checks it.
  std::vector<std::byte> output();

  Check verify() final;
  [[nodiscard]] int sets() const final { return sets_; }
  [[nodiscard]] std::vector<OperandView> operand_views() const final;
  [[nodiscard]] void* stream() const final { return stream_.get(); }

 protected:
  [[nodiscard]] const GemmProblem& problem() const { return problem_; }
  [[nodiscard]] cudaStream_t queue() const { return stream_.get(); }
  [[nodiscard]] void* a(int set) const { return a_.data(set); }
  [[nodiscard]] void* b(int set) const { return b_.data(set); }
  [[nodiscard]] void* c(int set) const { return c_.data(set); }
  // fp32, as scaled_operand.hpp lays them; only with a scaling.
  [[nodiscard]] float* scales_a(int set) const { return static_cast<float*>(scales_a_.data(set)); }
  [[nodiscard]] float* scales_b(int set) const { return static_cast<float*>(scales_b_.data(set)); }

 private:
  void fill(Values values);
  void fill_scaled(Values values);
  void load_scaled(const float* values, std::int64_t rows, ScaleBlock block,
                   DeviceOperand& elements, DeviceOperand& scales) const;
  // Of set 0, on the host: elements as they are stored, or the values of scaled ones in fp32.
  [[nodiscard]] std::vector<std::byte> host_operand(const DeviceOperand& operand) const;
  [[nodiscard]] std::vector<std::byte> host_values(const DeviceOperand& elements,
                                                   const DeviceOperand& scales, ScaleBlock block,
                                                   std::int64_t rows) const;

  GemmProblem problem_;
  std::uint64_t seed_;
  CudaStream stream_;
  int sets_;
  DeviceOperand a_, b_, c_, scales_a_, scales_b_;
};

}  // namespace trainmeter
