// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The processor as this process sees it: /proc, /sys, the affinity mask and the control groups.
#include "kernels/machine.hpp"

#include "kernels/cgroup.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <omp.h>
#include <sched.h>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>
#include <unistd.h>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

const fs::path kCpus = "/sys/devices/system/cpu";

// Those that decide which kernels run; x86's names, then Arm's.
constexpr std::array<std::string_view, 18> kInstructionSets = {
    "avx2",     "fma",      "avx512f",  "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "avx_vnni", "amx_tile", "amx_bf16", "amx_int8",    "asimd",       "asimdhp",
    "asimddp",  "sve",      "sve2",     "bf16",        "i8mm",        "sme"};

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string first_line_of(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

// The value of "key   : value" or "key: value kB"; empty where there is no such line.
std::string value_of(const std::string& text, std::string_view key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    const auto key_end = line.find_last_not_of(" \t", colon == 0 ? 0 : colon - 1);
    if (line.substr(0, key_end + 1) != key) continue;
    const auto begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

std::int64_t kib_of(const std::string& text, std::string_view key) {
  std::int64_t kib = 0;
  std::istringstream(value_of(text, key)) >> kib;
  return kib * 1024;
}

std::vector<int> affinity_mask() {
  // The kernel refuses a mask smaller than its own: grow it until it fits.
  for (int size = 1024; size <= (1 << 20); size *= 2) {
    cpu_set_t* mask = CPU_ALLOC(size);
    if (mask == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(size);
    CPU_ZERO_S(bytes, mask);
    std::vector<int> cpus;
    const bool read = sched_getaffinity(0, bytes, mask) == 0;
    const int failure = errno;
    for (int cpu = 0; read && cpu < size; ++cpu) {
      if (CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes, mask)) cpus.push_back(cpu);
    }
    CPU_FREE(mask);
    if (read) return cpus;
    if (failure != EINVAL) break;
  }
  throw std::system_error(errno, std::generic_category(), "sched_getaffinity");
}

// One hardware thread of each physical core: a second one shares the arithmetic units.
std::vector<int> one_per_core(const std::vector<int>& cpus) {
  std::set<std::string> cores;
  std::vector<int> kept;
  for (const int cpu : cpus) {
    const std::string siblings =
        first_line_of(kCpus / ("cpu" + std::to_string(cpu)) / "topology/thread_siblings_list");
    if (siblings.empty() || cores.insert(siblings).second) kept.push_back(cpu);
  }
  return kept;
}

// Sum over the distinct caches of the highest level that these cores reach.
std::int64_t last_level_cache(const std::vector<int>& cpus) {
  int highest = 0;
  std::int64_t bytes = 0;
  std::set<std::string> seen;
  for (const int cpu : cpus) {
    const fs::path folder = kCpus / ("cpu" + std::to_string(cpu)) / "cache";
    for (int index = 0; index < 16; ++index) {
      const fs::path cache = folder / ("index" + std::to_string(index));
      int level = 0;
      if (!(std::istringstream(first_line_of(cache / "level")) >> level)) break;
      if (level < highest || first_line_of(cache / "type") == "Instruction") continue;
      if (level > highest) {
        highest = level;
        bytes = 0;
        seen.clear();
      }
      if (!seen.insert(first_line_of(cache / "shared_cpu_list")).second) continue;
      std::int64_t size = 0;
      char unit = 'B';
      std::istringstream(first_line_of(cache / "size")) >> size >> unit;
      bytes += size * (unit == 'K' ? 1024 : unit == 'M' ? 1024 * 1024 : 1);
    }
  }
  return bytes;
}

// The mask as it was at the first call: pin_threads() narrows that of the calling thread.
const std::vector<int>& allowed_at_first() {
  static const std::vector<int> kAllowed = affinity_mask();
  return kAllowed;
}

// 0, or what went wrong (errno).
int set_affinity(const std::vector<int>& cpus) {
  const auto size = static_cast<std::size_t>(*std::max_element(cpus.begin(), cpus.end())) + 1;
  cpu_set_t* mask = CPU_ALLOC(size);
  if (mask == nullptr) return ENOMEM;
  const std::size_t bytes = CPU_ALLOC_SIZE(size);
  CPU_ZERO_S(bytes, mask);
  for (const int cpu : cpus) CPU_SET_S(static_cast<std::size_t>(cpu), bytes, mask);
  const int failure = sched_setaffinity(0, bytes, mask) == 0 ? 0 : errno;
  CPU_FREE(mask);
  return failure;
}

std::string cpu_name(const std::string& cpuinfo) {
  for (const char* key : {"model name", "Model", "cpu model", "CPU part"}) {
    std::string name = value_of(cpuinfo, key);
    if (!name.empty()) return name;
  }
  return "unknown processor";
}

}  // namespace

CpuInfo cpu_info() {
  const std::vector<int>& allowed = allowed_at_first();
  const CgroupLimits limits = cgroup_limits("/sys/fs/cgroup", text_of("/proc/self/cgroup"));
  const std::string cpuinfo = text_of("/proc/cpuinfo");
  const std::string meminfo = text_of("/proc/meminfo");

  CpuInfo cpu;
  cpu.name = cpu_name(cpuinfo);
  cpu.core_ids = one_per_core(allowed);
  const double whole_cpus = std::max(1.0, std::floor(limits.cpus));
  if (whole_cpus < static_cast<double>(cpu.core_ids.size())) {
    cpu.core_ids.resize(static_cast<std::size_t>(whole_cpus));
  }
  cpu.cores = static_cast<int>(cpu.core_ids.size());
  cpu.last_level_cache_bytes = last_level_cache(cpu.core_ids);
  cpu.memory_bytes = std::min(kib_of(meminfo, "MemTotal"), limits.memory_bytes);
  cpu.memory_available_bytes = std::min(kib_of(meminfo, "MemAvailable"), limits.memory_free_bytes);

  std::string flags = value_of(cpuinfo, "flags");
  if (flags.empty()) flags = value_of(cpuinfo, "Features");
  std::set<std::string> words;
  std::istringstream list(flags);
  for (std::string word; list >> word;) words.insert(word);
  for (const std::string_view name : kInstructionSets) {
    if (words.contains(std::string(name))) cpu.instruction_sets.emplace_back(name);
  }
  return cpu;
}

void pin_threads(const CpuInfo& cpu) {
  pin_threads(cpu, cpu.cores);
}

void pin_threads(const CpuInfo& cpu, int count) {
  omp_set_dynamic(0);
  omp_set_num_threads(count);
  int failure = 0;
#pragma omp parallel num_threads(count) reduction(max : failure)
  { failure = set_affinity({cpu.core_ids[static_cast<std::size_t>(omp_get_thread_num())]}); }
  if (failure != 0) {
    throw std::system_error(failure, std::generic_category(), "pinning threads to cores");
  }
}

void pin_thread(int core) {
  if (const int failure = set_affinity({core}); failure != 0)
    throw std::system_error(failure, std::generic_category(), "pinning a thread to a core");
}

void unpin_thread() {
  (void)set_affinity(allowed_at_first());
}

}  // namespace trainmeter
