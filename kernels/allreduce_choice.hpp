// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which of several plans is the fastest on this machine.
#pragma once

#include "kernels/allreduce_shm.hpp"

#include <cstdint>
#include <span>

namespace trainmeter {

// Tries the plans in turn, for 0.1 s or so in all, on payloads of its own (32 MiB a rank) of
// `bytes`, at most 4 MiB. A later plan must be faster by 5 %. All ranks call it with the same, and
// get the same.
AllReducePlan fastest_plan(ShmGroup& group, std::span<const AllReducePlan> plans,
                           std::int64_t bytes, DType type, bool in_place);

}  // namespace trainmeter
