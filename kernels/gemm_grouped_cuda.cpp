// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The operands of a grouped GEMM on a GPU.
#include "kernels/gemm_grouped_cuda.hpp"

#include "kernels/gemm_cuda.hpp"
#include "kernels/gemm_operands.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace trainmeter {

DeviceGroupedGemm::DeviceGroupedGemm(const GroupedGemmProblem& problem,
                                     const OperandOptions& options, CudaStream stream,
                                     std::int64_t spare_rows)
    : problem_(problem),
      options_(options),
      plan_(plan_of(problem)),
      stream_(std::move(stream)),
      sets_(sets_for(plan_.bytes(), options, device_bytes_free())) {
  LaidOperands host = GroupedOperands(problem, options.seed, options.values).laid;
  const GemmProblem& all = problem.all;
  const std::int64_t a_bytes = plan_.a + spare_rows * all.k * size_of(all.dtype);
  host.a.resize(static_cast<std::size_t>(a_bytes));
  a_ = device_operand(host.a.data(), a_bytes, sets_);
  b_ = device_operand(host.b.data(), plan_.b, sets_);
  c_ = DeviceOperand(plan_.c + spare_rows * all.n * output_size_of(all), sets_);
  if (problem.all.scaling == Scaling::none) return;
  scales_a_ = device_operand(host.scales_a.data(), 4 * plan_.scales_a, sets_);
  scales_b_ = device_operand(host.scales_b.data(), 4 * plan_.scales_b, sets_);
}

GroupOperands DeviceGroupedGemm::operands(int set, std::size_t group) const {
  const GroupPlace& at = plan_.groups[group];
  const auto in = [&](const DeviceOperand& operand, std::int64_t bytes) {
    return static_cast<void*>(static_cast<std::byte*>(operand.data(set)) + bytes);
  };
  GroupOperands found{.a = in(a_, at.a), .b = in(b_, at.b), .c = in(c_, at.c)};
  if (problem_.all.scaling == Scaling::none) return found;
  found.scales_a = static_cast<float*>(in(scales_a_, 4 * at.scales_a));
  found.scales_b = static_cast<float*>(in(scales_b_, 4 * at.scales_b));
  return found;
}

int DeviceGroupedGemm::groups_at_work() const {
  return static_cast<int>(
      std::ranges::count_if(problem_.sizes, [](std::int64_t size) { return size > 0; }));
}

std::vector<OperandView> DeviceGroupedGemm::operand_views() const {
  const auto place = [](const DeviceOperand& operand, std::int64_t bytes) {
    return operand.empty() ? OperandPlace() : OperandPlace{operand.data(0), bytes};
  };
  return gemm_views(problem_.all, DeviceKind::gpu,
                    {place(a_, plan_.a), place(b_, plan_.b), place(c_, plan_.c)},
                    {place(scales_a_, 4 * plan_.scales_a), place(scales_b_, 4 * plan_.scales_b)});
}

Check DeviceGroupedGemm::verify() {
  const std::vector<std::byte> c =
      output_to_check(c_, problem_.all.accumulate, stream_, [this] { run(0); });
  return GroupedOperands(problem_, options_.seed, options_.values).verify(c.data(), options_.seed);
}

}  // namespace trainmeter
