// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// All-reduce over a range of payloads.
#include "bench/case_lists.hpp"
#include "record/error.hpp"

#include <fmt/format.h>

#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kSmallest = 1 << 10;
constexpr std::int64_t kLargestCpu = std::int64_t{64} << 20;
constexpr std::int64_t kLargestGpu = std::int64_t{1} << 30;

}  // namespace

CaseList collective_cases(const Options& options, const Target& target, World* world) {
  const bool gpu = target.kind == DeviceKind::gpu;
  std::vector<std::int64_t> sizes = options.bytes;
  if (sizes.empty()) {
    for (std::int64_t bytes = kSmallest; bytes <= (gpu ? kLargestGpu : kLargestCpu); bytes *= 4) {
      sizes.push_back(bytes);
    }
  }
  std::vector<std::string> dtypes = options.dtypes;
  if (dtypes.empty()) dtypes = {"fp32"};

  const int ranks_here = gpu || world == nullptr ? 1 : world->ranks();
  CaseList list;
  for (const std::string& name : dtypes) {
    const DType dtype = *dtype_from(name);
    for (const std::int64_t bytes : sizes) {
      if (bytes % size_of(dtype) != 0) {
        throw BadInput(fmt::format("--bytes: {}: expected a multiple of {} ({})", bytes,
                                   size_of(dtype), name));
      }
      Case made;
      made.operation = "allreduce";
      made.dtype = name;
      made.backend = gpu ? "nccl" : "mpi";
      made.name = fmt::format("allreduce/{}/{}/bytes:{}", name, made.backend, bytes);
      made.shape = {{"bytes", bytes}};
      made.bytes = static_cast<double>(bytes);
      made.memory_bytes = 2.0 * ranks_here * made.bytes;  // input and result
      require_memory(made.name, made.memory_bytes, target);
      const AllReduceProblem problem{.dtype = dtype, .bytes = bytes};
      made.make = [problem, world](const OperandOptions& operands) {
        return world->all_reduce(problem, operands);
      };
      list.cases.push_back(std::move(made));
    }
  }
  return list;
}

}  // namespace trainmeter
