// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A, B and C of a grouped GEMM: where each group's lie, made on the host, checked there.
#pragma once

#include "kernels/gemm_grouped.hpp"
#include "kernels/operation.hpp"
#include "kernels/scaled_operand.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trainmeter {

// Of one group: bytes into A, B and C, scales into lists of theirs. Each is a multiple of 16 bytes
// where rows are.
struct GroupPlace {
  std::int64_t a = 0, b = 0, c = 0;
  std::int64_t scales_a = 0, scales_b = 0;
  std::int64_t row = 0;         // fp8: elements from one row of A or B to the next
  std::int64_t scales_row = 0;  // scales of A from one block of k to the next
};

struct GroupedPlan {
  std::vector<GroupPlace> groups;
  std::int64_t a = 0, b = 0, c = 0;          // bytes
  std::int64_t scales_a = 0, scales_b = 0;   // counts
  [[nodiscard]] std::int64_t bytes() const;  // of one set, each operand padded to operand_stride()
};

GroupedPlan plan_of(const GroupedGemmProblem& problem);

// A and B of all groups, as the plan lays them.
struct LaidOperands {
  std::vector<std::byte> a, b;
  std::vector<float> scales_a, scales_b;
};

// Of scaled operands, by group: A [m, k] and B [n, k], their scales as scale_block_of_a() and
// scale_block_of_b() have them. std::invalid_argument where one is of another size.
LaidOperands lay_scaled(const GroupedGemmProblem& problem, std::span<const ScaledOperand> a,
                        std::span<const ScaledOperand> b);

// The same seed makes the same operands.
class GroupedOperands {
 public:
  GroupedOperands(const GroupedGemmProblem& problem, std::uint64_t seed, Values values);

  LaidOperands laid;

  // C after one run, where it was NaN before; or half of C after two, where it was zero and is
  // added to, as that of an empty group still is. The worst group's check.
  [[nodiscard]] Check verify(const void* c, std::uint64_t seed) const;

 private:
  void fill_scaled(Values values);
  [[nodiscard]] std::int64_t not_zero(std::size_t group, const void* c) const;  // of its C

  GroupedGemmProblem problem_;
  std::uint64_t seed_;
  GroupedPlan plan_;
  std::vector<std::vector<float>> values_a_, values_b_;  // of fp8, by group
};

}  // namespace trainmeter
