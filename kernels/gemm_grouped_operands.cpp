// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Operands of a grouped GEMM.
#include "kernels/gemm_grouped_operands.hpp"

#include "kernels/host_operand.hpp"
#include "kernels/random.hpp"
#include "kernels/rounding.hpp"
#include "kernels/step_arrays.hpp"
#include "kernels/verify.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>

namespace trainmeter {
namespace {

// TMA takes addresses that are multiples of 16 bytes.
constexpr std::int64_t kAlignedBytes = 16;
constexpr std::int64_t kAlignedScales = kAlignedBytes / 4;

void require_size(const ScaledOperand& operand, std::int64_t rows, std::int64_t k,
                  ScaleBlock block) {
  if (operand.rows != rows || operand.k != k || operand.block != block)
    throw std::invalid_argument("a scaled operand of another size or with other scales");
}

void place(const ScaledOperand& made, std::vector<std::byte>& to, std::int64_t at,
           std::int64_t row) {
  if (made.k == 0) return;  // an empty group has no address
  for (std::int64_t r = 0; r < made.rows; ++r) {
    std::memcpy(to.data() + at + r * row, made.elements.data() + r * made.k,
                static_cast<std::size_t>(made.k));
  }
}

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
    line += round_up(problem_of_group(problem, group).m, kAlignedScales);
  std::int64_t first = 0;
  for (std::size_t group = 0; group < problem.sizes.size(); ++group) {
    const GemmProblem p = problem_of_group(problem, group);
    const bool pads = scaled && all.accumulate;  // rows are pieces of k
    const std::int64_t row = pads ? round_up(p.k, kAlignedBytes) : p.k;
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
    first += round_up(p.m, kAlignedScales);
  }
  if (scaled && !all.accumulate) plan.scales_a = cast_blocks(all.k) * line;
  return plan;
}

LaidOperands lay_scaled(const GroupedGemmProblem& problem, std::span<const ScaledOperand> a,
                        std::span<const ScaledOperand> b) {
  const GroupedPlan plan = plan_of(problem);
  LaidOperands to;
  to.a.resize(static_cast<std::size_t>(plan.a));
  to.b.resize(static_cast<std::size_t>(plan.b));
  to.scales_a.resize(static_cast<std::size_t>(plan.scales_a));
  to.scales_b.resize(static_cast<std::size_t>(plan.scales_b));
  if (a.size() != plan.groups.size() || b.size() != plan.groups.size())
    throw std::invalid_argument("an operand of each for each group");
  for (std::size_t group = 0; group < plan.groups.size(); ++group) {
    const GemmProblem p = problem_of_group(problem, group);
    const GroupPlace& at = plan.groups[group];
    require_size(a[group], p.m, p.k, scale_block_of_a(p));
    require_size(b[group], p.n, p.k, scale_block_of_b(p));
    place(a[group], to.a, at.a, at.row);
    place(b[group], to.b, at.b, at.row);
    for (std::int64_t k = 0; k < p.k; k += kCastBlock) {
      const auto* const scales =
          a[group].scales.data() + scale_index(ScaleBlock::row, p.m, p.k, 0, k);
      std::copy_n(scales, p.m, to.scales_a.begin() + at.scales_a + k / kCastBlock * at.scales_row);
    }
    std::ranges::copy(b[group].scales, to.scales_b.begin() + at.scales_b);
  }
  return to;
}

GroupedOperands::GroupedOperands(const GroupedGemmProblem& problem, std::uint64_t seed,
                                 Values values)
    : problem_(problem), seed_(seed), plan_(plan_of(problem)) {
  if (problem.all.scaling != Scaling::none) {
    fill_scaled(values);
    return;
  }
  const std::int64_t size = size_of(problem.all.dtype);
  laid.a.resize(static_cast<std::size_t>(plan_.a));
  laid.b.resize(static_cast<std::size_t>(plan_.b));
  fill_random(laid.a.data(), plan_.a / size, problem.all.dtype, operand_seed(seed, 0, 0), values);
  fill_random(laid.b.data(), plan_.b / size, problem.all.dtype, operand_seed(seed, 0, 1), values);
}

// Each group is quantised by itself: blocks of k begin with its k, and rows are its own anyway.
void GroupedOperands::fill_scaled(Values values) {
  std::vector<ScaledOperand> made_a, made_b;
  for (std::size_t group = 0; group < problem_.sizes.size(); ++group) {
    const GemmProblem p = problem_of_group(problem_, group);
    const auto make = [&](int operand, std::int64_t rows, ScaleBlock block) {
      std::vector<float> wide(static_cast<std::size_t>(rows * p.k));
      fill_random(wide.data(), rows * p.k, DType::fp32,
                  operand_seed(seed_, static_cast<int>(group), operand), values);
      return scaled_operand(wide.data(), rows, p.k, block);
    };
    made_a.push_back(make(0, p.m, scale_block_of_a(p)));
    made_b.push_back(make(1, p.n, scale_block_of_b(p)));
    values_a_.push_back(values_of(made_a.back()));
    values_b_.push_back(values_of(made_b.back()));
  }
  laid = lay_scaled(problem_, made_a, made_b);
}

std::int64_t GroupedOperands::not_zero(std::size_t group, const void* c) const {
  const GemmProblem p = problem_of_group(problem_, group);
  if (!p.accumulate) return 0;  // it has no rows of C
  const auto* const bytes = static_cast<const std::byte*>(c) + plan_.groups[group].c;
  const auto* const sums = reinterpret_cast<const float*>(bytes);
  return std::count_if(sums, sums + p.m * p.n, [](float sum) { return sum != 0; });
}

Check GroupedOperands::verify(const void* c, std::uint64_t seed) const {
  Check worst{.ok = true, .error = 0, .bound = 1, .how = "no group has anything to do"};
  for (std::size_t group = 0; group < problem_.sizes.size(); ++group) {
    const GroupPlace& at = plan_.groups[group];
    if (problem_.sizes[group] == 0) {
      if (const std::int64_t wrong = not_zero(group, c); wrong > 0) {
        return {.ok = false,
                .error = std::numeric_limits<double>::infinity(),
                .bound = 1,
                .how = "C of an empty group, which stays zero",
                .wrong = wrong};
      }
      continue;
    }
    const bool scaled = !values_a_.empty();
    const void* one_a = scaled ? static_cast<const void*>(values_a_[group].data()) : &laid.a[at.a];
    const void* one_b = scaled ? static_cast<const void*>(values_b_[group].data()) : &laid.b[at.b];
    Check check = verify_gemm(problem_of_group(problem_, group), one_a, one_b,
                              static_cast<const std::byte*>(c) + at.c, seed);
    check.how += ", each group";
    if (!(check.error <= worst.error)) worst = check;
  }
  return worst;
}

}  // namespace trainmeter
