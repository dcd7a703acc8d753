// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Transfers between host and GPU, and from each GPU to each other.
#include "bench/case_lists.hpp"
#include "kernels/machine.hpp"
#include "kernels/numa.hpp"
#include "kernels/transfer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kDefaultBytes = 256
                                       << 20;  // a transfer's start-up costs less than 1 % of it

Case make_case(const TransferProblem& problem, const TransferBackend& backend) {
  Case made;
  made.operation = to_string(problem.kind);
  made.dtype = "fp32";
  made.backend = backend.name;
  made.name = fmt::format("{}/fp32/{}/bytes:{}", made.operation, made.backend, problem.bytes);
  made.shape = {{"bytes", problem.bytes}};
  const auto add = [&made](const char* key, std::int64_t value) {
    made.name += fmt::format("/{}:{}", key, value);
    made.shape[key] = value;
  };
  if (problem.kind == TransferKind::peer_copy) {
    add("from", problem.from);
    add("to", problem.to);
    add("ways", problem.both_ways ? 2 : 1);
  } else {
    add("pinned", problem.pinned ? 1 : 0);
    if (problem.node) add("node", *problem.node);
  }
  made.bytes = (problem.both_ways ? 2 : 1) * static_cast<double>(problem.bytes);
  made.memory_bytes = made.bytes;  // on one GPU
  made.make = [problem, make = backend.make](const OperandOptions& operands) {
    return make(problem, operands);
  };
  return made;
}

std::vector<TransferProblem> host_transfers(std::int64_t bytes) {
  std::vector<std::optional<int>> nodes;
  for (const NumaNode& node : numa_nodes(cpu_info())) nodes.emplace_back(node.id);
  if (nodes.size() == 1) nodes = {std::nullopt};
  std::vector<TransferProblem> problems;
  for (const TransferKind kind : {TransferKind::host_to_device, TransferKind::device_to_host}) {
    for (const bool pinned : {true, false}) {
      for (const std::optional<int>& node : nodes) {
        problems.push_back({.kind = kind, .bytes = bytes, .pinned = pinned, .node = node});
      }
    }
  }
  return problems;
}

}  // namespace

std::vector<TransferProblem> peer_transfers(std::int64_t bytes, int gpus) {
  std::vector<TransferProblem> problems;
  for (int from = 0; from < gpus; ++from) {
    for (int to = 0; to < gpus; ++to) {
      for (const bool both_ways : {false, true}) {
        if (from == to || (both_ways && to < from)) continue;
        problems.push_back({.kind = TransferKind::peer_copy,
                            .bytes = bytes,
                            .from = from,
                            .to = to,
                            .both_ways = both_ways});
      }
    }
  }
  const auto place = [gpus](const TransferProblem& one) {
    if (one.from == 0) return one.to == 1 ? 0 : one.to == gpus - 1 ? 1 : 2;
    return one.to == (one.from + 1) % gpus ? 3 : 4;
  };
  std::ranges::stable_sort(problems, {}, place);
  return problems;
}

CaseList transfer_cases(const Options& options, const Target& target, int gpus) {
  CaseList list;
  std::vector<std::int64_t> sizes = options.bytes;
  if (sizes.empty()) sizes = {kDefaultBytes};
  for (const std::int64_t bytes : sizes) {
    std::vector<TransferProblem> problems = host_transfers(bytes);
    const std::vector<TransferProblem> between = peer_transfers(bytes, gpus);
    problems.insert(problems.end(), between.begin(), between.end());
    for (const TransferProblem& problem : problems) {
      for (const TransferBackend& backend : transfer_backends()) {
        // SMs that can't reach the host or another GPU: the copy engine's case says all there is.
        if (!backend.why_not(problem).empty()) continue;
        Case made = make_case(problem, backend);
        if (std::string why = why_no_room(made.name, made.memory_bytes, target); !why.empty()) {
          list.left_out.push_back(std::move(why));
          continue;
        }
        list.cases.push_back(std::move(made));
      }
    }
  }
  return list;
}

}  // namespace trainmeter
