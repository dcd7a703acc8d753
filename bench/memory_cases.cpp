// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Memory kernels over arrays far beyond the last-level cache.
#include "bench/case_lists.hpp"
#include "kernels/machine.hpp"
#include "kernels/memory.hpp"
#include "kernels/numa.hpp"
#include "record/error.hpp"
#include "record/formulas.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
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

// Of arrays that fill half of the L2 together.
std::int64_t bytes_in_l2(MemoryKernel kernel, const Target& target) {
  return target.device.last_level_cache_bytes / 2 / arrays_of(kernel) / kPage * kPage;
}

// `in_l2`: of arrays that stay in the cache, under a name of its own: l2_copy.
Case make_case(const MemoryProblem& problem, const MemoryBackend& backend, const Target& target,
               bool in_l2) {
  Case made;
  made.operation = fmt::format("{}{}", in_l2 ? "l2_" : "", to_string(problem.kernel));
  made.dtype = to_string(problem.dtype);
  made.backend = backend.name;
  made.name = fmt::format("{}/{}/{}/bytes:{}", made.operation, made.dtype, made.backend,
                          problem.array_bytes);
  made.shape = {{"bytes", problem.array_bytes}};
  if (problem.threads > 0) {
    made.name += fmt::format("/threads:{}", problem.threads);
    made.shape["threads"] = made.cores = problem.threads;
  }
  if (problem.node) {
    made.name += fmt::format("/node:{}", *problem.node);
    made.shape["node"] = *problem.node;
  }
  made.bytes = stream_bytes(to_string(problem.kernel), static_cast<double>(problem.array_bytes));
  made.memory_bytes = arrays_of(problem.kernel) * static_cast<double>(problem.array_bytes);
  made.make = [problem, make = backend.make, rotate = in_l2 ? 0 : target.rotate_bytes] {
    return make(problem, {.rotate_bytes = rotate});
  };
  return made;
}

// Where a CPU's kernels run: counts of threads, on every NUMA node or on all together.
std::vector<MemoryProblem> places(const Options& options, const Target& target,
                                  std::vector<std::string>& left_out) {
  if (target.kind == DeviceKind::gpu) return {{}};
  std::vector<std::optional<NumaNode>> nodes = {std::nullopt};
  if (options.numa) {
    const std::vector<NumaNode> here = numa_nodes(cpu_info());
    if (here.size() > 1) nodes.assign(here.begin(), here.end());
    if (here.size() == 1) left_out.emplace_back("--numa: this machine has one NUMA node");
  }
  std::vector<MemoryProblem> found;
  for (const std::optional<NumaNode>& node : nodes) {
    const std::int64_t cores =
        node ? static_cast<std::int64_t>(node->core_ids.size()) : target.device.sms;
    for (const int threads : options.threads) {
      if (cores < threads) {
        left_out.push_back(fmt::format("--threads={}: there are {} cores{}", threads, cores,
                                       node ? fmt::format(" on node {}", node->id) : ""));
        continue;
      }
      found.push_back({.threads = threads});
      if (node) found.back().node = node->id;
    }
  }
  return found;
}

std::vector<MemoryProblem> memory_problems(const Options& options, const Target& target,
                                           std::vector<std::string>& left_out) {
  std::vector<std::int64_t> sizes = options.bytes;
  for (const std::int64_t bytes : sizes) {
    if (bytes % kPage != 0) {
      throw BadInput(fmt::format("--bytes: {}: expected a multiple of {}", bytes, kPage));
    }
  }
  if (sizes.empty()) sizes = {default_bytes(target)};
  std::vector<std::string> dtypes = options.dtypes;
  if (dtypes.empty()) dtypes = {"fp64"};
  for (const std::string& dtype : dtypes) {
    if (dtype != "fp64" && dtype != "fp32") {
      throw BadInput(fmt::format("--dtype: '{}': expected fp64 or fp32", dtype));
    }
  }
  std::vector<MemoryProblem> problems;
  for (const MemoryProblem& place : places(options, target, left_out)) {
    for (const std::int64_t bytes : sizes) {
      for (const std::string& dtype : dtypes) {
        for (const MemoryKernel kernel :
             {MemoryKernel::copy, MemoryKernel::triad, MemoryKernel::read, MemoryKernel::write}) {
          MemoryProblem& problem = problems.emplace_back(place);
          problem.kernel = kernel;
          problem.dtype = *dtype_from(dtype);
          problem.array_bytes = options.in_l2 ? bytes_in_l2(kernel, target) : bytes;
        }
      }
    }
  }
  return problems;
}

}  // namespace

CaseList memory_cases(const Options& options, const Target& target) {
  if (options.in_l2 && target.kind == DeviceKind::cpu) {
    throw Unavailable("--cache=l2: is of a GPU");
  }
  CaseList list;
  std::vector<std::string> reasons;
  for (const MemoryProblem& problem : memory_problems(options, target, list.left_out)) {
    for (const MemoryBackend& backend : memory_backends()) {
      if (backend.device != target.kind) continue;
      Case made = make_case(problem, backend, target, options.in_l2);
      if (const std::string why = backend.why_not(problem); !why.empty()) {
        reasons.push_back(made.name + ": " + why);
        continue;
      }
      require_memory(made.name, made.memory_bytes, target);
      list.cases.push_back(std::move(made));
    }
  }
  // Where anything runs, a variant that can't (a read has no non-temporal stores) is no news.
  if (list.cases.empty()) list.left_out.insert(list.left_out.end(), reasons.begin(), reasons.end());
  return list;
}

}  // namespace trainmeter
