// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A, B and C of a grouped GEMM: where each group's lie, made on the host, checked there.
#pragma once

#include "kernels/gemm_grouped.hpp"
#include "kernels/operation.hpp"
#include "kernels/scaled_operand.hpp"

#include <cstddef>
#include <cstdint>
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

// The same seed makes the same operands.
class GroupedOperands {
 public:
  GroupedOperands(const GroupedGemmProblem& problem, std::uint64_t seed, Values values);

  // As the plan lays them.
  std::vector<std::byte> a, b;
  std::vector<float> scales_a, scales_b;

  // C after one run, where it was NaN before; or half of C after two, where it was zero and is
  // added to. The worst group's check.
  [[nodiscard]] Check verify(const void* c, std::uint64_t seed) const;

 private:
  void fill_scaled(Values values);
  void place(const ScaledOperand& made, std::vector<std::byte>& to, std::int64_t at,
             std::int64_t row);

  GroupedGemmProblem problem_;
  std::uint64_t seed_;
  GroupedPlan plan_;
  std::vector<std::vector<float>> values_a_, values_b_;  // of fp8, by group
};

}  // namespace trainmeter
