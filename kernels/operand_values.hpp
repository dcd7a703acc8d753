// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What an operation's operands hold, as numbers on the host: how a check lets data flow from one
// operation to the next, on whichever device they run.
#pragma once

#include "kernels/operation.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace trainmeter {

// `name` is one of operation.operand_views(); std::invalid_argument for another one, for a type
// other than fp64, fp32, bf16 or fp16, and for as many values as it doesn't have.
std::vector<double> operand_values(const Operation& operation, std::string_view name);
void set_operand_values(Operation& operation, std::string_view name,
                        const std::vector<double>& values);  // rounded to its type
void set_operand_indices(Operation& operation, std::string_view name,
                         const std::vector<std::int32_t>& indices);

std::vector<std::int32_t> operand_indices(const Operation& operation, std::string_view name);

// As they are stored, of whatever type; std::invalid_argument for another number of bytes.
std::vector<std::byte> operand_bytes(const Operation& operation, std::string_view name);
void set_operand_bytes(Operation& operation, std::string_view name,
                       std::span<const std::byte> bytes);

// An operation that keeps something made of its operands, and makes it again once one was written.
// Who wraps an operation passes it on.
class KeepsOfOperands {
 public:
  virtual ~KeepsOfOperands() = default;
  virtual void operands_written() = 0;
};
void operands_written(Operation& operation);  // nothing for any other; the functions above call it

// NaN into its outputs, zeros into its states: what it doesn't write can't pass for a result.
void clear_results(Operation& operation);

// A value as an element of `type` has it.
double rounded_to(DType type, double value);

// After all that is queued on the GPU; either may lie on the host. Unavailable in a build without
// CUDA.
void copy_with_gpu(void* to, const void* from, std::int64_t bytes);

}  // namespace trainmeter
