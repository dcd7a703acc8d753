// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which cores a rank works on, where the launcher gave several ranks of a host the same ones.
#pragma once

#include "kernels/collective.hpp"

#include <string>
#include <vector>

namespace trainmeter {

// The cores of rank `me`, from those that each rank of its host may use: its share of those that
// others may use just as well; one by turns where there are fewer cores than ranks. Ranks with
// other cores than everybody else keep them.
std::vector<int> own_share(const std::vector<std::vector<int>>& cores, int me);

struct RanksOnHost {
  int ranks = 1;                   // on this rank's host, itself included
  bool crowded = false;            // fewer cores than ranks
  std::vector<std::string> hosts;  // of every rank
};

// Moves the calling process to its share. Before anything asks cpu_info(). Collective.
RanksOnHost take_own_cores(int rank, const Gather& gather);

}  // namespace trainmeter
