// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Processes of one host on a POSIX shared memory segment.
#pragma once

#include "kernels/allreduce_shm.hpp"
#include "kernels/collective.hpp"

#include <memory>

namespace trainmeter {

// Collective. Rank 0 makes the segment, all attach, and its name is removed at once: nothing stays
// in /dev/shm, whatever becomes of the processes. Unavailable on every rank, with the reason, where
// one can't attach (another host, no room).
std::unique_ptr<ShmGroup> make_shm_group(int rank, int ranks, bool crowded, const Gather& gather);

// The all-reduce of `group` on operands of this problem, by the plan for it. Unavailable for types
// that it doesn't add.
std::function<void(const void* send, void* receive)> shm_all_reduce(
    ShmGroup& group, const AllReduceProblem& problem);

}  // namespace trainmeter
