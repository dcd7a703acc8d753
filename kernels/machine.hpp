// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What this process may use: cores, caches, memory, GPUs. Read from the system, never assumed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace trainmeter {

struct CpuInfo {
  std::string name;
  int cores = 1;  // that this process may run on (affinity and cgroup quota)
  std::vector<int> core_ids;
  std::int64_t last_level_cache_bytes = 0;
  std::int64_t memory_bytes = 0;  // total, or the cgroup's limit where smaller
  std::int64_t memory_available_bytes = 0;
  std::vector<std::string>
      instruction_sets;  // of those that matter: avx2 avx512f avx512_bf16 avx512_vnni amx_bf16 ...
};
CpuInfo cpu_info();

// One thread of the OpenMP pool on each core, in order, and so for the pools of oneDNN and
// OpenBLAS, which are the same.
void pin_threads(const CpuInfo& cpu);
// The same pool with one thread on each of the first `count` cores only.
void pin_threads(const CpuInfo& cpu, int count);
void pin_thread(int core);  // the calling thread; std::system_error where the system refuses

// The calling thread may run wherever the process could before: for threads that only watch. Where
// the system refuses, it stays where it is.
void unpin_thread();

struct GpuInfo {
  std::string name;
  std::string uuid;
  int compute_major = 0;
  int compute_minor = 0;
  int sms = 0;
  std::int64_t memory_bytes = 0;
  std::int64_t l2_bytes = 0;
  int driver_version = 0;  // as CUDA says it: 13000 is 13.0
  int runtime_version = 0;
};

// The GPUs, or why there are none: "no CUDA device: driver not found", "built without CUDA".
struct Gpus {
  std::vector<GpuInfo> devices;
  std::string why_none;
};
// Makes no context on any of them: each takes memory and, of a GPU that one process may have to
// itself, the GPU.
Gpus gpus();
// Of the GPU that a process works on: it gets this process' context. Unavailable without one.
std::int64_t gpu_memory_free_bytes(int device);

// Libraries built in, and those loaded so far (cuBLASLt, cuDNN), with their versions: {"oneDNN",
// "2.6.3"}, {"cuBLASLt", "13.0.2"}, {"compiler", "gcc 12.2.0"}, ...
std::map<std::string, std::string> library_versions();

}  // namespace trainmeter
