// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which cores and how much memory lie together. A page lies on the node of the core that touches it
// first, so placing memory needs no more than this.
#pragma once

#include "kernels/machine.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace trainmeter {

struct NumaNode {
  int id = 0;
  std::vector<int> core_ids;  // of those that this process uses (CpuInfo)
};

// Those with such cores, in order of their ids; one node 0 with all of them where the system tells
// of none.
std::vector<NumaNode> numa_nodes(const CpuInfo& cpu,
                                 const std::filesystem::path& system = "/sys/devices/system/node");

// "0-3,8" -> 0 1 2 3 8, as the kernel writes lists of cores.
std::vector<int> cores_in(const std::string& list);
std::string list_of_cores(const std::vector<int>& cores);  // and back; in order

// Runs `work` on a thread of its own that is pinned to the node's cores.
void run_on(const NumaNode& node, const std::function<void()>& work);

}  // namespace trainmeter
