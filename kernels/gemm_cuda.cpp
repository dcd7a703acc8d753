// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The operands of a GEMM on a GPU.
#include "kernels/gemm_cuda.hpp"

#include "kernels/gemm_operands.hpp"
#include "kernels/random.hpp"
#include "kernels/verify.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace trainmeter {

DeviceGemm::DeviceGemm(const GemmProblem& problem, const OperandOptions& options)
    : problem_(problem),
      seed_(options.seed),
      sets_(sets_for(gemm_bytes_of_one_set(problem), options, device_bytes_free())) {
  const std::int64_t size = size_of(problem.dtype);
  const std::int64_t a_count = problem.groups * problem.m * problem.k;
  const std::int64_t b_count = problem.groups * problem.k * problem.n;
  std::vector<std::byte> host(static_cast<std::size_t>(std::max(a_count, b_count) * size));
  a_ = DeviceOperand(a_count * size, sets_);
  b_ = DeviceOperand(b_count * size, sets_);
  c_ = DeviceOperand(problem.groups * problem.m * problem.n * output_size_of(problem.dtype), sets_);
  fill_random(host.data(), a_count, problem.dtype, operand_seed(seed_, 0, 0), options.values);
  a_.copy_from_host(host.data());
  fill_random(host.data(), b_count, problem.dtype, operand_seed(seed_, 0, 1), options.values);
  b_.copy_from_host(host.data());
}

Check DeviceGemm::verify() {
  c_.fill_bytes(0xFF);  // all ones is NaN in every format here
  run(0);
  stream_.wait();
  std::vector<std::byte> a(static_cast<std::size_t>(a_.bytes()));
  std::vector<std::byte> b(static_cast<std::size_t>(b_.bytes()));
  std::vector<std::byte> c(static_cast<std::size_t>(c_.bytes()));
  a_.copy_to_host(a.data());
  b_.copy_to_host(b.data());
  c_.copy_to_host(c.data());
  return verify_gemm(problem_, a.data(), b.data(), c.data(), seed_);
}

}  // namespace trainmeter
