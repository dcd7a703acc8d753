// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Processes of one host on a POSIX shared memory segment.
#pragma once

#include "kernels/allreduce_shm.hpp"
#include "kernels/collective_host.hpp"

#include <memory>
#include <string>
#include <vector>

namespace trainmeter {

// The segment is there, but not for all: they are on other hosts, or in containers that don't share
// /dev/shm, under one host name.
class NotShared : public Unavailable {
 public:
  using Unavailable::Unavailable;
};

// Collective. Rank 0 makes the segment, all attach, and its name is removed at once: nothing stays
// in /dev/shm, whatever becomes of the processes. On every rank, with the reason, NotShared where
// one can't attach, Unavailable where there is no room.
std::unique_ptr<ShmGroup> make_shm_group(int rank, int ranks, bool crowded, const Gather& gather);

// One for each of the groups that the ranks of `gather` are divided into. Where one can't be had,
// none is.
std::unique_ptr<ShmGroup> make_shm_group(const RankGroup& group, bool crowded,
                                         const Gather& gather);

// Names the members of `group` in its errors by their ranks in the world and their hosts.
void name_ranks(ShmGroup& group, const std::vector<int>& members,
                const std::vector<std::string>& hosts);

// The collective of `group` on operands of this problem: all-reduce by the plan for it, the others
// by plain copies. Unavailable for sums in types that it doesn't add.
HostRun shm_collective(ShmGroup& group, const CollectiveProblem& problem);

}  // namespace trainmeter
