// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Operands of a GEMM on the CPU.
#include "kernels/gemm_operands.hpp"

#include "kernels/random.hpp"
#include "kernels/scaled_operand.hpp"
#include "kernels/verify.hpp"

#include <initializer_list>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace trainmeter {
namespace {

// Or the largest integer.
std::int64_t product(std::initializer_list<std::int64_t> factors) {
  std::int64_t value = 1;
  for (const std::int64_t factor : factors) {
    if (__builtin_mul_overflow(value, factor, &value)) {
      return std::numeric_limits<std::int64_t>::max();
    }
  }
  return value;
}

std::pair<OperandRole, std::optional<DType>> output_of(const GemmProblem& p) {
  if (has_fp32_output(p)) {
    return {p.accumulate ? OperandRole::state : OperandRole::output, DType::fp32};
  }
  switch (p.dtype) {
    case DType::int8:
      return {OperandRole::output, std::nullopt};
    case DType::tf32:
      return {OperandRole::output, DType::fp32};
    case DType::fp8:
    case DType::fp8_e5m2:
      return {OperandRole::output, DType::bf16};
    default:
      return {OperandRole::output, p.dtype};
  }
}

}  // namespace

std::int64_t gemm_bytes_of_one_set(const GemmProblem& p) {
  if (p.m < 1 || p.n < 1 || p.k < 1 || p.groups < 1) {
    throw std::invalid_argument("m, n, k and groups are at least 1, not " + std::to_string(p.m) +
                                " x " + std::to_string(p.n) + " x " + std::to_string(p.k) +
                                ", groups: " + std::to_string(p.groups));
  }
  std::int64_t total = 0;
  for (const std::int64_t bytes : {product({p.groups, p.m, p.k, size_of(p.dtype)}),
                                   product({p.groups, p.k, p.n, size_of(p.dtype)}),
                                   product({p.groups, p.m, p.n, output_size_of(p)})}) {
    if (__builtin_add_overflow(total, operand_stride(bytes), &total)) {
      return std::numeric_limits<std::int64_t>::max();
    }
  }
  if (p.scaling != Scaling::none) {  // a scale stands for more elements than it has bytes
    total += operand_stride(4 * scale_count(scale_block_of_a(p), p.m, p.k)) +
             operand_stride(4 * scale_count(scale_block_of_b(p), p.n, p.k));
  }
  return total;
}

std::vector<OperandView> gemm_views(const GemmProblem& p, DeviceKind device,
                                    const std::array<OperandPlace, 3>& abc,
                                    const std::array<OperandPlace, 2>& scales) {
  const auto [role, type] = output_of(p);
  std::vector<OperandView> views = {
      {"a", OperandRole::input, p.dtype, abc[0].bytes, abc[0].data, device},
      {"b", OperandRole::input, p.dtype, abc[1].bytes, abc[1].data, device},
      {"c", role, type, abc[2].bytes, abc[2].data, device}};
  if (p.scaling == Scaling::none) return views;
  for (std::size_t i = 0; i < scales.size(); ++i) {
    views.push_back({i == 0 ? "scales_a" : "scales_b", OperandRole::input, DType::fp32,
                     scales[i].bytes, scales[i].data, device});
  }
  return views;
}

HostGemm::HostGemm(const GemmProblem& problem, const OperandOptions& options)
    : HostGemm(problem, options,
               sets_for(gemm_bytes_of_one_set(problem), options, host_bytes_for_operands())) {}

HostGemm::HostGemm(const GemmProblem& problem, const OperandOptions& options, int sets)
    : problem_(problem),
      seed_(options.seed),
      a_(problem.groups * problem.m * problem.k * size_of(problem.dtype), sets),
      b_(problem.groups * problem.k * problem.n * size_of(problem.dtype), sets),
      c_(problem.groups * problem.m * problem.n * output_size_of(problem), sets) {
  fill_random(a_.data(0), a_.bytes() / size_of(problem.dtype), problem.dtype,
              operand_seed(seed_, 0, 0), options.values);
  fill_random(b_.data(0), b_.bytes() / size_of(problem.dtype), problem.dtype,
              operand_seed(seed_, 0, 1), options.values);
  poison_gemm_output(problem, c_.data(0));
  // C's too: this places its pages, so that the first runs don't pay for them.
  for (const HostOperand* operand : {&a_, &b_, &c_}) operand->repeat_first();
}

void HostGemm::run(int set) {
  multiply(a_.data(set), b_.data(set), c_.data(set));
}

std::vector<OperandView> HostGemm::operand_views() const {
  const auto place = [](const HostOperand& operand) {
    return OperandPlace{operand.data(0), operand.bytes()};
  };
  return gemm_views(problem_, DeviceKind::cpu, {place(a_), place(b_), place(c_)});
}

Check HostGemm::verify() {
  poison_gemm_output(problem_, c_.data(0));
  run(0);
  return verify_gemm(problem_, a_.data(0), b_.data(0), c_.data(0), seed_);
}

}  // namespace trainmeter
