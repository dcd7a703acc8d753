// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ranks tell each other their host and affinity mask, and divide equal masks up.
#include "kernels/rank_cores.hpp"

#include "kernels/launch.hpp"
#include "kernels/numa.hpp"

#include <algorithm>
#include <sched.h>
#include <set>
#include <sstream>
#include <utility>

namespace trainmeter {
namespace {

std::vector<int> cores_of_process() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  std::vector<int> cores;
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &mask)) cores.push_back(core);
  }
  return cores;
}

}  // namespace

std::vector<int> own_share(const std::vector<std::vector<int>>& cores, int me) {
  const std::vector<int>& mine = cores[static_cast<std::size_t>(me)];
  const auto same = std::ranges::count(cores, mine);
  const auto before = std::count(cores.begin(), cores.begin() + me, mine);
  const auto have = static_cast<std::ptrdiff_t>(mine.size());
  if (same > have) return have == 0 ? mine : std::vector<int>{mine[before % have]};
  return {mine.begin() + before * have / same, mine.begin() + (before + 1) * have / same};
}

RanksOnHost take_own_cores(int rank, const Gather& gather) {
  const std::string host = host_name();
  const std::vector<std::string> all = gather(host + " " + list_of_cores(cores_of_process()));
  std::vector<std::vector<int>> cores;
  std::set<int> together;
  std::vector<std::string> hosts;
  int me = 0;
  for (std::size_t other = 0; other < all.size(); ++other) {
    std::istringstream words(all[other]);
    std::string name;
    words >> name;
    hosts.push_back(name);
    if (name != host) continue;
    if (static_cast<int>(other) == rank) me = static_cast<int>(cores.size());
    std::string list;
    words >> list;
    const std::vector<int>& theirs = cores.emplace_back(cores_in(list));
    together.insert(theirs.begin(), theirs.end());
  }
  cpu_set_t mask;
  CPU_ZERO(&mask);
  for (const int core : own_share(cores, me)) CPU_SET(core, &mask);
  ::sched_setaffinity(0, sizeof mask, &mask);  // a wish: where it is refused, all share all
  return {.ranks = static_cast<int>(cores.size()),
          .crowded = together.size() < cores.size(),
          .hosts = std::move(hosts)};
}

}  // namespace trainmeter
