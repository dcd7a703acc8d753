// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Operands of a GEMM on the CPU.
#include "kernels/gemm_operands.hpp"

#include "kernels/random.hpp"
#include "kernels/verify.hpp"

#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <string>

namespace trainmeter {
namespace {

// rows x cols elements in bytes, or the largest integer.
std::int64_t product(std::int64_t rows, std::int64_t cols, std::int64_t size) {
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(rows, cols, &bytes) || __builtin_mul_overflow(bytes, size, &bytes)) {
    return std::numeric_limits<std::int64_t>::max();
  }
  return bytes;
}

}  // namespace

std::int64_t gemm_bytes_of_one_set(const GemmProblem& p) {
  if (p.m < 1 || p.n < 1 || p.k < 1) {
    throw std::invalid_argument("m, n and k are at least 1, not " + std::to_string(p.m) + " x " +
                                std::to_string(p.n) + " x " + std::to_string(p.k));
  }
  std::int64_t total = 0;
  for (const std::int64_t bytes :
       {product(p.m, p.k, size_of(p.dtype)), product(p.k, p.n, size_of(p.dtype)),
        product(p.m, p.n, output_size_of(p.dtype))}) {
    if (__builtin_add_overflow(total, bytes, &total)) {
      return std::numeric_limits<std::int64_t>::max();
    }
  }
  return total;
}

HostGemm::HostGemm(const GemmProblem& problem, const OperandOptions& options)
    : problem_(problem), seed_(options.seed) {
  const int sets = sets_for(gemm_bytes_of_one_set(problem), options, host_bytes_for_operands());
  const std::int64_t a_count = problem.m * problem.k;
  const std::int64_t b_count = problem.k * problem.n;
  const std::int64_t c_bytes = problem.m * problem.n * output_size_of(problem.dtype);
  operands_.reserve(static_cast<std::size_t>(sets));
  for (int set = 0; set < sets; ++set) {
    operands_.push_back({HostBuffer(a_count * size_of(problem.dtype)),
                         HostBuffer(b_count * size_of(problem.dtype)), HostBuffer(c_bytes)});
    const Set& made = operands_.back();
    fill_random(made.a.data(), a_count, problem.dtype, operand_seed(seed_, set, 0));
    fill_random(made.b.data(), b_count, problem.dtype, operand_seed(seed_, set, 1));
    // Also places C's pages, so that the first run doesn't pay for them.
    poison_gemm_output(problem, made.c.data());
  }
}

void HostGemm::run(int set) {
  const Set& operands = operands_.at(static_cast<std::size_t>(set));
  multiply(operands.a.data(), operands.b.data(), operands.c.data());
}

Check HostGemm::verify() {
  const Set& operands = operands_.front();
  poison_gemm_output(problem_, operands.c.data());
  run(0);
  return verify_gemm(problem_, operands.a.data(), operands.b.data(), operands.c.data(), seed_);
}

}  // namespace trainmeter
