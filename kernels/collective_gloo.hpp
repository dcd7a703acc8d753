// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ranks of one host or of several over TCP, by gloo. They meet by our own rendezvous, which also
// hands gloo's addresses round.
#pragma once

#include "kernels/collective_host.hpp"
#include "kernels/launch.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace trainmeter {

// The ranks of a group, connected. Every call is collective over the group; RankLost where a rank
// closed its connections or is silent for rank_timeout_s(), with what gloo says (an address, no
// rank).
class GlooGroup {
 public:
  virtual ~GlooGroup() = default;
  virtual void barrier() = 0;
  virtual std::vector<double> each(double value) = 0;
  virtual std::int64_t first(std::int64_t value) = 0;  // the first member's
  virtual std::int64_t sum(std::int64_t value) = 0;
  // On operands of this problem. Unavailable for what gloo doesn't have.
  virtual HostRun collective(const CollectiveProblem& problem) = 0;
};

bool has_gloo();  // whether it was built in

// Where this process is reached by the others: the address that it goes to rank 0 from; where that
// is a loopback address, so that it shares rank 0's host, what a rank of another host goes to.
// `hosts` is of every rank. Collective over all ranks; "" where there is no way to rank 0.
std::string own_address(const Launch& launch, const std::vector<std::string>& hosts,
                        const Gather& gather);

// Collective over all ranks of `gather`. GLOO_SOCKET_IFNAME, as PyTorch reads it, names the network
// interface; else it is that of `address`. gloo's thread for the network shares the cores of the
// calling thread. Unavailable on every rank, with the reason, where one can't.
std::unique_ptr<GlooGroup> make_gloo_group(const RankGroup& group, const std::string& address,
                                           const Gather& gather);

}  // namespace trainmeter
