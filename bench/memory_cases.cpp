// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Memory kernels over arrays far beyond the last-level cache, and a step's at the shapes of models.
#include "bench/case_lists.hpp"
#include "bench/step_cases.hpp"
#include "kernels/machine.hpp"
#include "kernels/memory.hpp"
#include "kernels/numa.hpp"
#include "kernels/rounding.hpp"
#include "record/error.hpp"
#include "record/formulas.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kPage = 4096;  // bytes; arrays are whole pages
constexpr std::int64_t kMiB = 1 << 20;

// STREAM's rule: each array at least four times the caches. A GPU needs more to be busy for long.
std::int64_t default_bytes(const Target& target) {
  const std::int64_t least = (target.kind == DeviceKind::gpu ? 512 : 64) * kMiB;
  const std::int64_t beyond = 4 * target.device.last_level_cache_bytes;
  return round_up(std::max(least, beyond), kPage);
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

constexpr MemoryKernel kKernels[] = {MemoryKernel::copy, MemoryKernel::triad, MemoryKernel::read,
                                     MemoryKernel::write};

// What is measured: --kernels, else all, those of a step only where models give them shapes.
struct Chosen {
  std::vector<MemoryKernel> stream;
  std::vector<StepKernel> step;
};

Chosen chosen_kernels(const Options& options) {
  const auto wanted = [&](std::string_view name) {
    return options.kernels.empty() ||
           std::ranges::find(options.kernels, name) != options.kernels.end();
  };
  Chosen out;
  std::vector<std::string_view> known;
  for (const MemoryKernel kernel : kKernels) {
    known.push_back(to_string(kernel));
    if (wanted(to_string(kernel))) out.stream.push_back(kernel);
  }
  for (const StepKernel kernel : kStepKernels) {
    known.push_back(to_string(kernel));
    if (wanted(to_string(kernel))) out.step.push_back(kernel);
  }
  for (const std::string& name : options.kernels) {
    if (std::ranges::find(known, name) == known.end()) {
      throw BadInput(
          fmt::format("--kernels: '{}': expected one of {}", name, fmt::join(known, ", ")));
    }
  }
  if (!options.kernels.empty() && options.models.empty() && !out.step.empty()) {
    throw BadInput(fmt::format("--kernels: '{}': expected together with --models, for its shape",
                               to_string(out.step.front())));
  }
  if (options.models.empty()) out.step.clear();
  if (!options.models.empty() && out.step.empty()) {
    throw BadInput(
        "--models: expected a kernel of a step in --kernels, which these shapes are for");
  }
  return out;
}

// Those of `dtypes` that are among `known`.
std::vector<DType> among(const std::vector<std::string>& dtypes, const std::vector<DType>& known) {
  std::vector<DType> out;
  for (const std::string& name : dtypes) {
    const DType dtype = *dtype_from(name);
    if (std::ranges::find(known, dtype) != known.end()) out.push_back(dtype);
  }
  return out;
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

std::vector<MemoryProblem> memory_problems(const std::vector<MemoryKernel>& kernels,
                                           const std::vector<DType>& dtypes, const Options& options,
                                           const Target& target,
                                           std::vector<std::string>& left_out) {
  std::vector<std::int64_t> sizes = options.bytes;
  for (const std::int64_t bytes : sizes) {
    if (bytes % kPage != 0) {
      throw BadInput(fmt::format("--bytes: {}: expected a multiple of {}", bytes, kPage));
    }
  }
  if (sizes.empty()) sizes = {default_bytes(target)};
  std::vector<MemoryProblem> problems;
  for (const MemoryProblem& place : places(options, target, left_out)) {
    for (const std::int64_t bytes : sizes) {
      for (const DType dtype : dtypes) {
        for (const MemoryKernel kernel : kernels) {
          MemoryProblem& problem = problems.emplace_back(place);
          problem.kernel = kernel;
          problem.dtype = dtype;
          problem.array_bytes = options.cache == "l2" ? bytes_in_l2(kernel, target) : bytes;
        }
      }
    }
  }
  return problems;
}

CaseList stream_cases(const std::vector<MemoryKernel>& kernels, const std::vector<DType>& dtypes,
                      const Options& options, const Target& target) {
  const bool in_l2 = options.cache == "l2";
  if (in_l2 && target.kind == DeviceKind::cpu) {
    throw Unavailable("--cache=l2: is of a GPU");
  }
  CaseList list;
  std::vector<std::string> reasons;
  for (const MemoryProblem& problem :
       memory_problems(kernels, dtypes, options, target, list.left_out)) {
    for (const MemoryBackend& backend : memory_backends()) {
      if (backend.device != target.kind) continue;
      Case made = memory_case(problem, backend, in_l2);
      if (const std::string why = backend.why_not(problem); !why.empty()) {
        reasons.push_back(made.name + ": " + why);
        continue;
      }
      if (std::string why = why_no_room(made.name, made.memory_bytes, target); !why.empty()) {
        list.left_out.push_back(std::move(why));
        continue;
      }
      list.cases.push_back(std::move(made));
    }
  }
  // Where anything runs, a variant that can't (a read has no non-temporal stores) is no news.
  if (list.cases.empty()) list.left_out.insert(list.left_out.end(), reasons.begin(), reasons.end());
  return list;
}

}  // namespace

Case memory_case(const MemoryProblem& problem, const MemoryBackend& backend, bool in_l2) {
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
  if (in_l2) made.operands = OperandOptions{};  // one set, which stays there
  made.make = [problem, make = backend.make](const OperandOptions& operands) {
    return make(problem, operands);
  };
  return made;
}

CaseList memory_cases(const Options& options, const Target& target) {
  const Chosen chosen = chosen_kernels(options);
  std::vector<DType> stream = {DType::fp64};
  std::vector<DType> step = {DType::bf16};
  if (!options.dtypes.empty()) {
    stream = among(options.dtypes, {DType::fp64, DType::fp32});
    step = among(options.dtypes, {DType::bf16, DType::fp32});
    for (const std::string& dtype : options.dtypes) {
      const bool known = dtype == "fp32" || (dtype == "fp64" && !chosen.stream.empty()) ||
                         (dtype == "bf16" && !chosen.step.empty());
      if (known) continue;
      throw BadInput(fmt::format("--dtype: '{}': expected {}fp32{}", dtype,
                                 chosen.stream.empty() ? "" : "fp64 or ",
                                 chosen.step.empty() ? "" : " or bf16"));
    }
  }
  CaseList list = stream_cases(chosen.stream, stream, options, target);
  CaseList more = chosen.step.empty() ? CaseList() : step_cases(options, chosen.step, step, target);
  std::ranges::move(more.cases, std::back_inserter(list.cases));
  std::ranges::move(more.left_out, std::back_inserter(list.left_out));
  return list;
}

}  // namespace trainmeter
