// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Memory kernels over arrays far beyond the last-level cache.
#include "bench/case_lists.hpp"
#include "kernels/memory.hpp"
#include "record/error.hpp"
#include "record/formulas.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kPage = 4096;  // bytes; arrays are whole pages
constexpr std::int64_t kMiB = 1 << 20;

// STREAM's rule: each array at least four times the caches. A GPU needs more to be busy for long.
std::int64_t default_bytes(const Target& target) {
  const std::int64_t least = (target.kind == DeviceKind::gpu ? 512 : 64) * kMiB;
  const std::int64_t beyond = 4 * target.device.last_level_cache_bytes;
  return (std::max(least, beyond) + kPage - 1) / kPage * kPage;
}

int arrays_of(MemoryKernel kernel) {
  switch (kernel) {
    case MemoryKernel::copy:
      return 2;
    case MemoryKernel::read:
    case MemoryKernel::write:
      return 1;
    case MemoryKernel::triad:
      return 3;
  }
  return 1;
}

Case make_case(const MemoryProblem& problem, const MemoryBackend& backend) {
  Case made;
  made.operation = to_string(problem.kernel);
  made.dtype = to_string(problem.dtype);
  made.backend = backend.name;
  made.name = fmt::format("{}/{}/{}/bytes:{}", made.operation, made.dtype, made.backend,
                          problem.array_bytes);
  made.shape = {{"bytes", problem.array_bytes}};
  made.bytes = stream_bytes(made.operation, static_cast<double>(problem.array_bytes));
  made.memory_bytes = arrays_of(problem.kernel) * static_cast<double>(problem.array_bytes);
  made.make = [problem, make = backend.make](const OperandOptions& operands) {
    return make(problem, operands);
  };
  return made;
}

}  // namespace

CaseList memory_cases(const Options& options, const Target& target) {
  std::vector<std::int64_t> sizes = options.bytes;
  for (const std::int64_t bytes : sizes) {
    if (bytes % kPage != 0) {
      throw BadInput(fmt::format("--bytes: {}: expected a multiple of {}", bytes, kPage));
    }
  }
  if (sizes.empty()) sizes = {default_bytes(target)};
  std::vector<std::string> dtypes = options.dtypes;
  if (dtypes.empty()) dtypes = {"fp64"};

  CaseList list;
  std::vector<std::string> reasons;
  for (const std::int64_t bytes : sizes) {
    for (const std::string& dtype : dtypes) {
      if (dtype != "fp64" && dtype != "fp32") {
        throw BadInput(fmt::format("--dtype: '{}': expected fp64 or fp32", dtype));
      }
      for (const MemoryKernel kernel :
           {MemoryKernel::copy, MemoryKernel::triad, MemoryKernel::read, MemoryKernel::write}) {
        for (const MemoryBackend& backend : memory_backends()) {
          if (backend.device != target.kind) continue;
          const MemoryProblem problem{
              .kernel = kernel, .dtype = *dtype_from(dtype), .array_bytes = bytes};
          const Case made = make_case(problem, backend);
          if (const std::string why = backend.why_not(problem); !why.empty()) {
            reasons.push_back(made.name + ": " + why);
            continue;
          }
          require_memory(made.name, made.memory_bytes, target);
          list.cases.push_back(made);
        }
      }
    }
  }
  // Where anything runs, a variant that can't (a read has no non-temporal stores) is no news.
  if (list.cases.empty()) list.left_out = reasons;
  return list;
}

}  // namespace trainmeter
