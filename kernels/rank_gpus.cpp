// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Places on hosts, and GPUs by their UUIDs.
#include "kernels/rank_gpus.hpp"

#include <algorithm>
#include <cstddef>
#include <map>

namespace trainmeter {
namespace {

constexpr const char* kHas = "gpu ";
constexpr const char* kHasNone = "none ";

std::string named(std::size_t rank, const std::vector<std::string>& hosts) {
  return "rank " + std::to_string(rank) + " (host " + hosts[rank] + ")";
}

}  // namespace

int gpu_of_rank(int rank, const std::vector<std::string>& hosts, int visible) {
  const auto before =
      std::count(hosts.begin(), hosts.begin() + rank, hosts[static_cast<std::size_t>(rank)]);
  return static_cast<int>(before % visible);
}

std::string why_not_these_gpus(const std::vector<std::string>& hosts,
                               const std::vector<std::string>& gpus) {
  std::map<std::string, std::size_t> taken;  // by whom
  for (std::size_t rank = 0; rank < gpus.size(); ++rank) {
    if (gpus[rank].starts_with(kHasNone)) {
      return named(rank, hosts) + ": " + gpus[rank].substr(std::string(kHasNone).size());
    }
    if (!gpus[rank].starts_with(kHas)) {
      return named(rank, hosts) + " works on its CPU, others on GPUs (--device says which)";
    }
    const auto [found, is_new] = taken.emplace(hosts[rank] + " " + gpus[rank], rank);
    if (is_new) continue;
    const auto here = std::ranges::count(hosts, hosts[rank]);
    return "more ranks than GPUs on host " + hosts[rank] + ": " + std::to_string(here) +
           " ranks; ranks " + std::to_string(found->second) + " and " + std::to_string(rank) +
           " would share one";
  }
  return "";
}

std::string gpu_said(const std::string& uuid) {
  return kHas + uuid;
}

std::string no_gpu_said(const std::string& reason) {
  return kHasNone + reason;
}

}  // namespace trainmeter
