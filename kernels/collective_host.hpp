// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// All-reduce on payloads in the host's memory as an Operation, whatever it is that reduces.
#pragma once

#include "kernels/collective.hpp"

#include <functional>
#include <memory>

namespace trainmeter {

class HostPayloads;

// Makes the operations of one world. Two of the same problem that exist at once (--versus) work on
// the same payloads, half of the sets apart, so that neither finds in the caches what the other
// has just used.
class HostAllReduces {
 public:
  // receive = the sum of every rank's `send`.
  using Reduce = std::function<void(const void* send, void* receive)>;

  // Collective. `ranks_here` share this host's memory. Unavailable on every rank where one has too
  // little of it.
  std::unique_ptr<Operation> make(World& world, int ranks_here, const AllReduceProblem& problem,
                                  const OperandOptions& options, Reduce reduce);

 private:
  std::weak_ptr<HostPayloads> last_;
};

}  // namespace trainmeter
