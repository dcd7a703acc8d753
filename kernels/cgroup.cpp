// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Reads cpu.max and memory.max (version 2) or cpu.cfs_quota_us and memory.limit_in_bytes (1).
#include "kernels/cgroup.hpp"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

std::optional<std::int64_t> number_in(const fs::path& file) {
  std::ifstream in(file);
  std::int64_t value = 0;
  if (in >> value) return value;
  return std::nullopt;  // absent, "max", or beyond 64 bits: no limit
}

std::int64_t entry_of(const fs::path& file, const std::string& key) {
  std::ifstream in(file);
  std::string name;
  std::int64_t value = 0;
  while (in >> name >> value) {
    if (name == key) return value;
  }
  return 0;
}

void tighten_memory(CgroupLimits& limits, std::optional<std::int64_t> limit,
                    std::optional<std::int64_t> used, std::int64_t droppable) {
  if (!limit || *limit <= 0) return;
  limits.memory_bytes = std::min(limits.memory_bytes, *limit);
  const std::int64_t in_use = std::max<std::int64_t>(used.value_or(0) - droppable, 0);
  limits.memory_free_bytes =
      std::min(limits.memory_free_bytes, std::max<std::int64_t>(*limit - in_use, 0));
}

void tighten_cpus(CgroupLimits& limits, std::optional<std::int64_t> quota,
                  std::optional<std::int64_t> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return;
  limits.cpus = std::min(limits.cpus, static_cast<double>(*quota) / static_cast<double>(*period));
}

void read_group(CgroupLimits& limits, const fs::path& group) {
  tighten_memory(limits, number_in(group / "memory.max"), number_in(group / "memory.current"),
                 entry_of(group / "memory.stat", "inactive_file"));
  tighten_memory(limits, number_in(group / "memory.limit_in_bytes"),
                 number_in(group / "memory.usage_in_bytes"),
                 entry_of(group / "memory.stat", "total_inactive_file"));
  tighten_cpus(limits, number_in(group / "cpu.cfs_quota_us"),
               number_in(group / "cpu.cfs_period_us"));
  std::ifstream cpu_max(group / "cpu.max");
  std::int64_t quota = 0;
  std::int64_t period = 0;
  if (cpu_max >> quota >> period) tighten_cpus(limits, quota, period);
}

// The folders of this process's groups, from its own to the root of each hierarchy that limits
// memory or CPU.
std::vector<fs::path> groups(const fs::path& mount, const std::string& membership) {
  std::vector<fs::path> out;
  std::istringstream lines(membership);
  // A line is hierarchy:controllers:path; version 2 has no controllers and no folder of its own.
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    fs::path root = mount;
    if (controllers.find("memory") != std::string::npos) {
      root /= fs::exists(mount / controllers) ? controllers : "memory";
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      root /= fs::exists(mount / controllers) ? controllers : "cpu";
    } else if (!controllers.empty()) {
      continue;
    }
    // In a container the path may be the host's, and absent here: then the root alone speaks.
    fs::path group = fs::path(line.substr(second + 1)).relative_path();
    for (;;) {
      out.push_back(root / group);
      if (group.empty()) break;
      group = group.parent_path();
    }
  }
  return out;
}

}  // namespace

CgroupLimits cgroup_limits(const fs::path& mount, const std::string& membership) {
  CgroupLimits limits;
  for (const fs::path& group : groups(mount, membership)) read_group(limits, group);
  return limits;
}

std::vector<fs::path> cpu_stat_files(const fs::path& mount, const std::string& membership) {
  std::vector<fs::path> out;
  for (const fs::path& group : groups(mount, membership)) {
    const fs::path file = group / "cpu.stat";
    if (fs::exists(file) && std::find(out.begin(), out.end(), file) == out.end()) {
      out.push_back(file);
    }
  }
  return out;
}

}  // namespace trainmeter
