// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Copies operands to and from the host and converts them.
#include "kernels/operand_values.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>

namespace trainmeter {
namespace {

OperandView find(const Operation& operation, std::string_view name) {
  for (const OperandView& view : operation.operand_views()) {
    if (view.name == name) return view;
  }
  throw std::invalid_argument("an operation without an operand " + std::string(name));
}

void copy(void* to, const void* from, std::int64_t bytes, DeviceKind device) {
  if (device == DeviceKind::gpu) return copy_with_gpu(to, from, bytes);
  std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

// Calls f with an element of the type, which says how it lies, and how to convert it.
template <class F>
void with_type(const OperandView& view, F f) {
  const auto itself = [](auto value) { return value; };
  if (view.type == DType::fp64) return f(double{}, itself, itself);
  if (view.type == DType::fp32) {
    return f(float{}, itself, [](double value) { return static_cast<float>(value); });
  }
  if (view.type == DType::bf16) {
    return f(std::uint16_t{}, float_from_bf16,
             [](double value) { return bf16_from_float(static_cast<float>(value)); });
  }
  if (view.type == DType::fp16) {
    return f(std::uint16_t{}, float_from_fp16,
             [](double value) { return fp16_from_float(static_cast<float>(value)); });
  }
  throw std::invalid_argument("operand " + std::string(view.name) + " holds no numbers to read");
}

void require_count(const OperandView& view, std::size_t count, std::size_t size) {
  if (static_cast<std::int64_t>(count * size) == view.bytes) return;
  throw std::invalid_argument("operand " + std::string(view.name) + ": " + std::to_string(count) +
                              " elements for " + std::to_string(view.bytes) + " bytes");
}

void require_indices(const OperandView& view) {
  if (!view.type) return;
  throw std::invalid_argument("operand " + std::string(view.name) + " holds no indices");
}

void set(const OperandView& view, const std::vector<double>& values) {
  with_type(view, [&](auto element, auto, auto from_double) {
    require_count(view, values.size(), sizeof(element));
    std::vector<decltype(element)> host(values.size());
    std::ranges::transform(values, host.begin(), from_double);
    copy(view.data, host.data(), view.bytes, view.device);
  });
}

}  // namespace

std::vector<double> operand_values(const Operation& operation, std::string_view name) {
  const OperandView view = find(operation, name);
  std::vector<double> values;
  with_type(view, [&](auto element, auto to_float, auto) {
    std::vector<decltype(element)> host(static_cast<std::size_t>(view.bytes) / sizeof(element));
    copy(host.data(), view.data, view.bytes, view.device);
    values.resize(host.size());
    std::ranges::transform(host, values.begin(), to_float);
  });
  return values;
}

void set_operand_values(Operation& operation, std::string_view name,
                        const std::vector<double>& values) {
  set(find(operation, name), values);
  operands_written(operation);
}

void set_operand_indices(Operation& operation, std::string_view name,
                         const std::vector<std::int32_t>& indices) {
  const OperandView view = find(operation, name);
  require_indices(view);
  require_count(view, indices.size(), sizeof(std::int32_t));
  copy(view.data, indices.data(), view.bytes, view.device);
  operands_written(operation);
}

std::vector<std::int32_t> operand_indices(const Operation& operation, std::string_view name) {
  const OperandView view = find(operation, name);
  require_indices(view);
  std::vector<std::int32_t> host(static_cast<std::size_t>(view.bytes) / sizeof(std::int32_t));
  copy(host.data(), view.data, view.bytes, view.device);
  return host;
}

std::vector<std::byte> operand_bytes(const Operation& operation, std::string_view name) {
  const OperandView view = find(operation, name);
  std::vector<std::byte> host(static_cast<std::size_t>(view.bytes));
  copy(host.data(), view.data, view.bytes, view.device);
  return host;
}

void set_operand_bytes(Operation& operation, std::string_view name,
                       std::span<const std::byte> bytes) {
  const OperandView view = find(operation, name);
  require_count(view, bytes.size(), 1);
  copy(view.data, bytes.data(), view.bytes, view.device);
  operands_written(operation);
}

void operands_written(Operation& operation) {
  if (auto* keeps = dynamic_cast<KeepsOfOperands*>(&operation)) keeps->operands_written();
}

void clear_results(Operation& operation) {
  for (const OperandView& view : operation.operand_views()) {
    if (view.role == OperandRole::input) continue;
    const bool added_to = view.role == OperandRole::state;
    const std::vector<std::byte> host(static_cast<std::size_t>(view.bytes),
                                      added_to ? std::byte{0} : std::byte{0xff});  // NaN
    copy(view.data, host.data(), view.bytes, view.device);
  }
}

double rounded_to(DType type, double value) {
  double out = 0;
  with_type({.type = type},
            [&](auto, auto to_float, auto from_double) { out = to_float(from_double(value)); });
  return out;
}

}  // namespace trainmeter
