// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which of several plans is the fastest on this machine.
#pragma once

#include "kernels/allreduce_shm.hpp"

#include <cstdint>
#include <span>

namespace trainmeter {

// Tries the plans in turn, for 50 ms or so, on payloads of its own of `bytes`, at most 4 MiB, that
// lie beyond a core's own caches. A later one must be faster by 5 %. All ranks call it with the same, and get the same.
AllReducePlan fastest_plan(ShmGroup& group, std::span<const AllReducePlan> plans,
                           std::int64_t bytes, DType type);

}  // namespace trainmeter
