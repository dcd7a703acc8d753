// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Operands of a grouped GEMM.
#include "kernels/gemm_grouped_operands.hpp"

#include "kernels/host_operand.hpp"
#include "kernels/random.hpp"
#include "kernels/step_arrays.hpp"
#include "kernels/verify.hpp"

#include <algorithm>
#include <cstring>

namespace trainmeter {
namespace {

std::int64_t rounded_up(std::int64_t count, std::int64_t to) {
  return (count + to - 1) / to * to;
}
// TMA takes addresses that are multiples of 16 bytes.
constexpr std::int64_t kAlignedBytes = 16;
constexpr std::int64_t kAlignedScales = kAlignedBytes / 4;

}  // namespace

std::int64_t GroupedPlan::bytes() const {
  return operand_stride(a) + operand_stride(b) + operand_stride(c) + operand_stride(4 * scales_a) +
         operand_stride(4 * scales_b);
}

GroupedPlan plan_of(const GroupedGemmProblem& problem) {
  const GemmProblem& all = problem.all;
  const bool scaled = all.scaling != Scaling::none;
  const std::int64_t size = size_of(all.dtype);
  GroupedPlan plan;
  // Of rows that belong to a group, a block of k has the scales of all groups in a line.
  std::int64_t line = 0;
  for (std::size_t group = 0; group < problem.sizes.size(); ++group)
    line += rounded_up(problem_of_group(problem, group).m, kAlignedScales);
  std::int64_t first = 0;
  for (std::size_t group = 0; group < problem.sizes.size(); ++group) {
    const GemmProblem p = problem_of_group(problem, group);
    const bool pads = scaled && all.accumulate;  // rows are pieces of k
    const std::int64_t row = pads ? rounded_up(p.k, kAlignedBytes) : p.k;
    plan.groups.push_back({.a = plan.a,
                           .b = plan.b,
                           .c = plan.c,
                           .scales_a = all.accumulate ? plan.scales_a : first,
                           .scales_b = plan.scales_b,
                           .row = row,
                           .scales_row = all.accumulate
                                             ? scale_index(ScaleBlock::row, p.m, p.k, 0, kCastBlock)
                                             : line});
    plan.a += p.m * row * size;
    plan.b += p.n * row * size;
    plan.c += p.m * p.n * output_size_of(p);
    if (scaled) {
      if (all.accumulate) plan.scales_a += scale_count(ScaleBlock::row, p.m, p.k);
      plan.scales_b += scale_count(scale_block_of_b(p), p.n, p.k);
    }
    first += rounded_up(p.m, kAlignedScales);
  }
  if (scaled && !all.accumulate) plan.scales_a = cast_blocks(all.k) * line;
  return plan;
}

GroupedOperands::GroupedOperands(const GroupedGemmProblem& problem, std::uint64_t seed,
                                 Values values)
    : a(static_cast<std::size_t>(plan_of(problem).a)),
      b(static_cast<std::size_t>(plan_of(problem).b)),
      problem_(problem),
      seed_(seed),
      plan_(plan_of(problem)) {
  scales_a.resize(static_cast<std::size_t>(plan_.scales_a));
  scales_b.resize(static_cast<std::size_t>(plan_.scales_b));
  if (problem.all.scaling != Scaling::none) {
    fill_scaled(values);
    return;
  }
  const std::int64_t size = size_of(problem.all.dtype);
  fill_random(a.data(), plan_.a / size, problem.all.dtype, operand_seed(seed, 0, 0), values);
  fill_random(b.data(), plan_.b / size, problem.all.dtype, operand_seed(seed, 0, 1), values);
}

void GroupedOperands::place(const ScaledOperand& made, std::vector<std::byte>& to, std::int64_t at,
                            std::int64_t row) {
  if (made.k == 0) return;  // an empty group has no address
  for (std::int64_t r = 0; r < made.rows; ++r) {
    std::memcpy(to.data() + at + r * row, made.elements.data() + r * made.k,
                static_cast<std::size_t>(made.k));
  }
}

// Each group is quantised by itself: blocks of k begin with its k, and rows are its own anyway.
void GroupedOperands::fill_scaled(Values values) {
  const std::size_t count = problem_.sizes.size();
  values_a_.resize(count);
  values_b_.resize(count);
  for (std::size_t group = 0; group < count; ++group) {
    const GemmProblem p = problem_of_group(problem_, group);
    const GroupPlace& at = plan_.groups[group];
    const auto make = [&](int operand, std::int64_t rows, ScaleBlock block) {
      std::vector<float> wide(static_cast<std::size_t>(rows * p.k));
      fill_random(wide.data(), rows * p.k, DType::fp32,
                  operand_seed(seed_, static_cast<int>(group), operand), values);
      return scaled_operand(wide.data(), rows, p.k, block);
    };
    const ScaledOperand made_a = make(0, p.m, scale_block_of_a(p));
    const ScaledOperand made_b = make(1, p.n, scale_block_of_b(p));
    place(made_a, a, at.a, at.row);
    place(made_b, b, at.b, at.row);
    for (std::int64_t r = 0; r < p.m; ++r) {
      for (std::int64_t k = 0; k < p.k; k += 128) {
        scales_a[static_cast<std::size_t>(at.scales_a + k / kCastBlock * at.scales_row + r)] =
            made_a.scales[static_cast<std::size_t>(scale_index(ScaleBlock::row, p.m, p.k, r, k))];
      }
    }
    std::ranges::copy(made_b.scales, scales_b.begin() + at.scales_b);
    values_a_[group] = values_of(made_a);
    values_b_[group] = values_of(made_b);
  }
}

Check GroupedOperands::verify(const void* c, std::uint64_t seed) const {
  Check worst{.ok = true, .error = 0, .bound = 1, .how = "no group has anything to do"};
  for (std::size_t group = 0; group < problem_.sizes.size(); ++group) {
    if (problem_.sizes[group] == 0) continue;
    const GroupPlace& at = plan_.groups[group];
    const bool scaled = !values_a_.empty();
    const void* one_a = scaled ? static_cast<const void*>(values_a_[group].data()) : &a[at.a];
    const void* one_b = scaled ? static_cast<const void*>(values_b_[group].data()) : &b[at.b];
    Check check = verify_gemm(problem_of_group(problem_, group), one_a, one_b,
                              static_cast<const std::byte*>(c) + at.c, seed);
    check.how += ", each group";
    if (!(check.error <= worst.error)) worst = check;
  }
  return worst;
}

}  // namespace trainmeter
