// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Memory kernels over arrays of `array_bytes` each: copy (a = b), read (sum of a), write (a = s),
// triad (a = b + s c).
#pragma once

#include "kernels/dtype.hpp"
#include "kernels/operation.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace trainmeter {

enum class MemoryKernel { copy, read, write, triad };
std::string_view to_string(MemoryKernel kernel);

struct MemoryProblem {
  MemoryKernel kernel = MemoryKernel::copy;
  DType dtype = DType::fp64;     // fp64 or fp32
  std::int64_t array_bytes = 0;  // of each array; a multiple of 4096
  int threads = 0;               // CPU: the first so many of the pool (0: all) ...
  std::optional<int> node;       // ... whose cores belong to this NUMA node
  int sms = 0;                   // GPU: the grid is made for so many multiprocessors (0: all)
};

struct MemoryBackend {
  std::string_view name;  // openmp, openmp_nt (non-temporal stores), cuda
  DeviceKind device;
  std::string (*why_not)(const MemoryProblem&);
  std::unique_ptr<Operation> (*make)(const MemoryProblem&, const OperandOptions&);
};

std::span<const MemoryBackend> memory_backends();

}  // namespace trainmeter
