// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// C[m,n] = A[m,k] B[k,n], C row-major, one or several side by side, and its implementations as
// siblings.
#pragma once

#include "kernels/dtype.hpp"
#include "kernels/operation.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace trainmeter {

// How the operands lie in memory, row-major. nn: A is m x k, B is k x n. nt (fprop, y = x W^T): B
// is stored n x k. tn (wgrad): A is stored k x m, B is k x n.
enum class Layout { nn, nt, tn };
std::string_view to_string(Layout layout);

struct GemmProblem {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  DType dtype = DType::fp32;  // of A and B; accumulation is fp32 (fp64 for fp64, int32 for int8)
  Layout layout = Layout::nt;
  std::int64_t groups = 1;  // independent products of this shape, operand after operand in memory
};

// fp64 -> fp64, int8 -> int32, fp32 and tf32 -> fp32, fp16 -> fp16, bf16 -> bf16.
std::int64_t output_size_of(DType input);  // bytes of one element of C

struct GemmBackend {
  std::string_view name;  // onednn, openblas, cublaslt
  DeviceKind device;
  // Empty where it can run here, else the reason ("oneDNN: bf16 needs AVX-512 bf16 or AMX", "no
  // CUDA device: driver not found").
  std::string (*why_not)(const GemmProblem&);
  // Throws Unavailable where it can't, std::invalid_argument for sizes below 1.
  std::unique_ptr<Operation> (*make)(const GemmProblem&, const OperandOptions&);
};

// Those built in, the CPU's first.
std::span<const GemmBackend> gemm_backends();

}  // namespace trainmeter
