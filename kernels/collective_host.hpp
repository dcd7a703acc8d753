// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Collectives on payloads in the host's memory as Operations, whatever it is that moves and adds.
#pragma once

#include "kernels/collective.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace trainmeter {

class HostPayloads;

// What a backend does on one rank's buffers; in place both lie in one.
struct HostRun {
  std::function<void(const void* send, void* receive)> run;
  std::map<std::string, std::string> notes;                            // of its operation
  std::function<std::map<std::string, std::string>()> seen = nullptr;  // what running it has shown
};

// Why shm, gloo or mpi doesn't add in this type ("shm: sums are in ..."); "" where it does.
std::string why_no_host_sum(std::string_view backend, DType type);
void require_sum(std::string_view backend, const CollectiveProblem& problem);  // else Unavailable

// Makes the operations of one world. Two of the same problem that exist at once (--versus) work on
// the same payloads, half of the sets apart, so that neither finds in the caches what the other
// has just used.
class HostCollectives {
 public:
  // Collective. `ranks_here` share this host's memory. Unavailable on every rank where one has too
  // little of it.
  std::unique_ptr<Operation> make(World& world, int ranks_here, const CollectiveProblem& problem,
                                  const OperandOptions& options, HostRun run);

 private:
  std::weak_ptr<HostPayloads> last_;
};

}  // namespace trainmeter
