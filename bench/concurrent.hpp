// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// --concurrent: a process for each device of this machine, and one that watches over them.
#pragma once

#include "bench/options.hpp"
#include "kernels/collective.hpp"

#include <functional>
#include <string>
#include <vector>

namespace trainmeter {

// One process's devices: every GPU, or, on a CPU, every NUMA node or options.concurrent groups of
// as many cores. "GPU-8f6c..." or "cores 0-31" each.
struct DeviceProcess {
  World& world;  // its rank is the device's number
  const std::vector<std::string>& devices;
  std::string kind;  // of all, for --device: gpu, cpu
};

// Forks: call it before anything that a fork can't take along (OpenMP, CUDA, threads). In each
// child `work` is run with its device alone in sight, and its exit code returned; signals are noted
// by the parent alone, where the children see them (bench/interrupt.hpp). In the parent returns
// when all children have ended: the exit code of rank 0, or EnvironmentFailed naming the device
// whose process died; then the others are ended, too. They end where the parent does.
// Unavailable, with the reason, where there are no such devices.
int on_each_device(const Options& options, const std::function<int(const DeviceProcess&)>& work);

}  // namespace trainmeter
