// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// NUMA nodes from /sys.
#include "kernels/numa.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <fstream>
#include <new>
#include <sched.h>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>

namespace trainmeter {
namespace {

void pin_this_thread(const std::vector<int>& cores) {
  const int most = *std::ranges::max_element(cores) + 1;
  cpu_set_t* mask = CPU_ALLOC(most);
  if (mask == nullptr) throw std::bad_alloc();
  const std::size_t bytes = CPU_ALLOC_SIZE(most);
  CPU_ZERO_S(bytes, mask);
  for (const int core : cores) CPU_SET_S(static_cast<std::size_t>(core), bytes, mask);
  const int failure = sched_setaffinity(0, bytes, mask) == 0 ? 0 : errno;
  CPU_FREE(mask);
  if (failure != 0) {
    throw std::system_error(failure, std::generic_category(), "pinning a thread to a NUMA node");
  }
}

}  // namespace

std::vector<int> cores_in(const std::string& list) {
  std::vector<int> cores;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    std::istringstream range(word);
    int first = 0;
    if (!(range >> first)) continue;
    int last = first;
    if (char dash = 0; range >> dash) range >> last;
    for (int core = first; core <= last; ++core) cores.push_back(core);
  }
  return cores;
}

std::string list_of_cores(const std::vector<int>& cores) {
  std::string text;
  for (std::size_t first = 0; first < cores.size();) {
    std::size_t last = first;
    while (last + 1 < cores.size() && cores[last + 1] == cores[last] + 1) ++last;
    if (!text.empty()) text += ",";
    text += std::to_string(cores[first]);
    if (last > first) text += "-" + std::to_string(cores[last]);
    first = last + 1;
  }
  return text;
}

std::vector<NumaNode> numa_nodes(const CpuInfo& cpu, const std::filesystem::path& system) {
  std::vector<NumaNode> nodes;
  std::string online;
  std::getline(std::ifstream(system / "online"), online);
  for (const int id : cores_in(online)) {  // a list of nodes is written like one of cores
    std::string list;
    std::getline(std::ifstream(system / ("node" + std::to_string(id)) / "cpulist"), list);
    const std::vector<int> here = cores_in(list);
    NumaNode node{.id = id, .core_ids = {}};
    for (const int core : cpu.core_ids) {
      if (std::ranges::find(here, core) != here.end()) node.core_ids.push_back(core);
    }
    if (!node.core_ids.empty()) nodes.push_back(std::move(node));
  }
  if (nodes.empty()) nodes.push_back({.id = 0, .core_ids = cpu.core_ids});
  return nodes;
}

void run_on(const NumaNode& node, const std::function<void()>& work) {
  std::exception_ptr failure;
  std::thread thread([&] {
    try {
      pin_this_thread(node.core_ids);
      work();
    } catch (...) {
      failure = std::current_exception();
    }
  });
  thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace trainmeter
