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

// All that this build could have, where the cases are only listed.
std::vector<std::string> backends_of(const World* world, bool gpu) {
  if (world != nullptr) return world->backends();
  return gpu ? std::vector<std::string>{"nccl"} : std::vector<std::string>{"shm", "mpi"};
}

Case all_reduce_case(const std::string& dtype, std::int64_t bytes, const std::string& backend,
                     World* world) {
  const AllReduceProblem problem{.dtype = *dtype_from(dtype), .bytes = bytes};
  if (bytes % size_of(problem.dtype) != 0) {
    throw BadInput(fmt::format("--bytes: {}: expected a multiple of {} ({})", bytes,
                               size_of(problem.dtype), dtype));
  }
  Case made;
  made.operation = "allreduce";
  made.dtype = dtype;
  made.backend = backend;
  made.name = fmt::format("allreduce/{}/{}/bytes:{}", dtype, backend, bytes);
  made.shape = {{"bytes", bytes}};
  made.bytes = static_cast<double>(bytes);
  made.memory_bytes = 2 * made.bytes;  // input and result
  made.make = [problem, backend, world](const OperandOptions& operands) {
    return world->all_reduce(backend, problem, operands);
  };
  return made;
}

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
    for (const std::int64_t bytes : sizes) {
      for (const std::string& backend : backends_of(world, gpu)) {
        list.cases.push_back(all_reduce_case(name, bytes, backend, world));
        list.cases.back().memory_bytes *= ranks_here;
        require_memory(list.cases.back().name, list.cases.back().memory_bytes, target);
      }
    }
  }
  return list;
}

}  // namespace trainmeter
