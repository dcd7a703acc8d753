// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Moving bytes from one memory to another: between host and GPU, and between GPUs.
#pragma once

#include "kernels/operation.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace trainmeter {

enum class TransferKind { host_to_device, device_to_host, peer_copy };
std::string_view to_string(TransferKind kind);

struct TransferProblem {
  TransferKind kind = TransferKind::host_to_device;
  std::int64_t bytes = 0;   // each way; a multiple of 4096. N(0,1) in fp32
  bool pinned = true;       // host: page-locked memory, else pageable
  std::optional<int> node;  // host: the NUMA node that holds it; nothing: where this thread runs
  int from = 0;             // peers: CUDA's numbers of the two GPUs. Host: the current GPU
  int to = 0;
  bool both_ways = false;  // peers: from `to` to `from` at the same time, too
};

struct TransferBackend {
  std::string_view name;  // copy_engine; cuda (the source's SMs write to the other GPU)
  std::string (*why_not)(const TransferProblem&);
  // Throws Unavailable where it can't, std::invalid_argument for sizes and GPUs that make no sense.
  // A transfer of pageable memory keeps the host busy: it has no stream, and is over when run()
  // returns.
  std::unique_ptr<Operation> (*make)(const TransferProblem&, const OperandOptions&);
};

// Those built in; none without CUDA.
std::span<const TransferBackend> transfer_backends();

}  // namespace trainmeter
