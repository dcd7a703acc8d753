// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the control groups (containers, batch systems) leave to this process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace trainmeter {

struct CgroupLimits {
  double cpus = std::numeric_limits<double>::infinity();  // quota / period
  std::int64_t memory_bytes = std::numeric_limits<std::int64_t>::max();
  std::int64_t memory_free_bytes = std::numeric_limits<std::int64_t>::max();  // limit - use
};

// The tightest limits on the way from this process's group to the root, versions 1 and 2. `mount`
// is /sys/fs/cgroup, `membership` the text of /proc/self/cgroup. File cache that can be dropped
// doesn't count as used.
CgroupLimits cgroup_limits(const std::filesystem::path& mount, const std::string& membership);

// The cpu.stat files of this process's groups, from its own to the root: each group is held back by
// its own quota, and counts that alone (nr_throttled, throttled_usec; throttled_time in version 1).
std::vector<std::filesystem::path> cpu_stat_files(const std::filesystem::path& mount,
                                                  const std::string& membership);

}  // namespace trainmeter
