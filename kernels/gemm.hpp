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
enum class GemmLayout { nn, nt, tn };
std::string_view to_string(GemmLayout layout);

// What fp8's operands are multiplied by: a scale for a whole tensor; or, as DeepSeek-V3 trained,
// one for each 1 x 128 of A along k, and of B for each 128 x 128, or, where C is added to, each 1 x
// 128 along k.
enum class Scaling { none, tensor, block128 };
std::string_view to_string(Scaling scaling);

struct GemmProblem {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  DType dtype = DType::fp32;  // of A and B; accumulation is fp32 (fp64 for fp64, int32 for int8)
  GemmLayout layout = GemmLayout::nt;
  std::int64_t groups = 1;  // independent products of this shape, operand after operand in memory
  Scaling scaling = Scaling::none;
  bool accumulate = false;  // C += A B in fp32, as weight gradients are
  bool fp32_out = false;    // C = A B in fp32, of bf16; one of the two at most
  int sms = 0;              // of a GPU's multiprocessors that it works on; 0: all
};

// fp64 -> fp64, int8 -> int32, fp32 and tf32 -> fp32, fp16 -> fp16, bf16 -> bf16,
// fp8 -> bf16.
std::int64_t output_size_of(DType input);                 // bytes of one element of C
std::int64_t output_size_of(const GemmProblem& problem);  // fp32's where C is in fp32

// Whether C is in fp32 whatever A and B are.
bool has_fp32_output(const GemmProblem& problem);

// Empty where `backend`, a library that multiplies plain operands on all the device and writes C,
// can do it; else what of it none of those knows.
std::string why_not_plain(std::string_view backend, const GemmProblem& problem);

struct GemmBackend {
  std::string_view name;  // onednn, openblas, cublaslt, hopper, mma, reference
  DeviceKind device;
  // Empty where it can run here, else the reason ("oneDNN: bf16 needs AVX-512 bf16 or AMX", "no
  // CUDA device: driver not found").
  std::string (*why_not)(const GemmProblem&);
  // Throws Unavailable where it can't, std::invalid_argument for sizes below 1.
  std::unique_ptr<Operation> (*make)(const GemmProblem&, const OperandOptions&);
  bool on_request = false;  // too slow to be measured unless it is asked for by name
};

// Those built in, the CPU's first.
std::span<const GemmBackend> gemm_backends();

}  // namespace trainmeter
