// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The operands of a GEMM on a GPU.
#include "kernels/gemm_cuda.hpp"

#include "kernels/gemm_operands.hpp"
#include "kernels/random.hpp"
#include "kernels/verify.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace trainmeter {

DeviceOperand device_operand(const void* host, std::int64_t bytes, int sets) {
  DeviceOperand operand(bytes, sets);
  operand.copy_from_host(host);
  return operand;
}

std::vector<std::byte> output_to_check(DeviceOperand& c, bool adds, const CudaStream& stream,
                                       const std::function<void()>& run) {
  stream.wait();                  // runs that are queued still would add to it
  c.fill_bytes(adds ? 0 : 0xFF);  // all ones is NaN in every format here
  run();
  if (adds) run();
  stream.wait();
  std::vector<std::byte> host(static_cast<std::size_t>(c.bytes()));
  c.copy_to_host(host.data());
  if (adds) {
    auto* sums = reinterpret_cast<float*>(host.data());
    std::for_each(sums, sums + host.size() / sizeof(float), [](float& sum) { sum /= 2; });
  }
  return host;
}

DeviceGemm::DeviceGemm(const GemmProblem& problem, const OperandOptions& options, CudaStream stream)
    : problem_(problem),
      seed_(options.seed),
      stream_(std::move(stream)),
      sets_(sets_for(gemm_bytes_of_one_set(problem), options, device_bytes_free())) {
  problem.scaling == Scaling::none ? fill(options.values) : fill_scaled(options.values);
  c_ = DeviceOperand(problem.groups * problem.m * problem.n * output_size_of(problem), sets_);
}

void DeviceGemm::fill(Values values) {
  const std::int64_t size = size_of(problem_.dtype);
  const std::int64_t a_count = problem_.groups * problem_.m * problem_.k;
  const std::int64_t b_count = problem_.groups * problem_.k * problem_.n;
  std::vector<std::byte> host(static_cast<std::size_t>(std::max(a_count, b_count) * size));
  fill_random(host.data(), a_count, problem_.dtype, operand_seed(seed_, 0, 0), values);
  a_ = device_operand(host.data(), a_count * size, sets_);
  fill_random(host.data(), b_count, problem_.dtype, operand_seed(seed_, 0, 1), values);
  b_ = device_operand(host.data(), b_count * size, sets_);
}

void DeviceGemm::fill_scaled(Values values) {
  a_ = DeviceOperand(problem_.m * problem_.k, sets_);
  b_ = DeviceOperand(problem_.n * problem_.k, sets_);
  scales_a_ =
      DeviceOperand(4 * scale_count(scale_block_of_a(problem_), problem_.m, problem_.k), sets_);
  scales_b_ =
      DeviceOperand(4 * scale_count(scale_block_of_b(problem_), problem_.n, problem_.k), sets_);
  const auto random = [&](int operand, std::int64_t rows) {
    std::vector<float> wide(static_cast<std::size_t>(rows * problem_.k));
    fill_random(wide.data(), rows * problem_.k, DType::fp32, operand_seed(seed_, 0, operand),
                values);
    return wide;
  };
  load_scaled(random(0, problem_.m).data(), problem_.m, scale_block_of_a(problem_), a_, scales_a_);
  load_scaled(random(1, problem_.n).data(), problem_.n, scale_block_of_b(problem_), b_, scales_b_);
}

void DeviceGemm::load_scaled(const float* values, std::int64_t rows, ScaleBlock block,
                             DeviceOperand& elements, DeviceOperand& scales) const {
  const ScaledOperand made = scaled_operand(values, rows, problem_.k, block);
  elements.copy_from_host(made.elements.data());
  scales.copy_from_host(made.scales.data());
}

void DeviceGemm::set_values(const float* a, const float* b) {
  if (problem_.scaling == Scaling::none) throw std::invalid_argument("values of scaled operands");
  load_scaled(a, problem_.m, scale_block_of_a(problem_), a_, scales_a_);
  load_scaled(b, problem_.n, scale_block_of_b(problem_), b_, scales_b_);
}

std::vector<std::byte> DeviceGemm::host_operand(const DeviceOperand& operand) const {
  std::vector<std::byte> host(static_cast<std::size_t>(operand.bytes()));
  operand.copy_to_host(host.data());
  return host;
}

std::vector<std::byte> DeviceGemm::host_values(const DeviceOperand& elements,
                                               const DeviceOperand& scales, ScaleBlock block,
                                               std::int64_t rows) const {
  if (scales.empty()) return host_operand(elements);
  ScaledOperand operand{
      .rows = rows, .k = problem_.k, .block = block, .elements = {}, .scales = {}};
  operand.elements.resize(static_cast<std::size_t>(elements.bytes()));
  operand.scales.resize(static_cast<std::size_t>(scales.bytes() / 4));
  elements.copy_to_host(operand.elements.data());
  scales.copy_to_host(operand.scales.data());
  const std::vector<float> values = values_of(operand);
  const auto* first = reinterpret_cast<const std::byte*>(values.data());
  return {first, first + values.size() * sizeof(float)};
}

std::vector<std::byte> DeviceGemm::output() {
  return output_to_check(c_, problem_.accumulate, stream_, [this] { run(0); });
}

std::vector<OperandView> DeviceGemm::operand_views() const {
  const auto place = [](const DeviceOperand& operand) {
    return operand.empty() ? OperandPlace() : OperandPlace{operand.data(0), operand.bytes()};
  };
  return gemm_views(problem_, DeviceKind::gpu, {place(a_), place(b_), place(c_)},
                    {place(scales_a_), place(scales_b_)});
}

Check DeviceGemm::verify() {
  const std::vector<std::byte> c = output();
  const bool scaled = problem_.scaling != Scaling::none;
  const ScaleBlock block_a = scaled ? scale_block_of_a(problem_) : ScaleBlock::tensor;
  const ScaleBlock block_b = scaled ? scale_block_of_b(problem_) : ScaleBlock::tensor;
  return verify_gemm(problem_, host_values(a_, scales_a_, block_a, problem_.m).data(),
                     host_values(b_, scales_b_, block_b, problem_.n).data(), c.data(), seed_);
}

}  // namespace trainmeter
