// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A label for each rank, and those with the same label.
#include "kernels/rank_groups.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>

namespace trainmeter {
namespace {

std::string label_of(const Split& split, const std::vector<std::string>& hosts, std::size_t rank) {
  switch (split.by) {
    case Split::By::none:
      return "";
    case Split::By::node:
      return hosts[rank];
    case Split::By::rail:
      return std::to_string(std::count(
          hosts.begin(), hosts.begin() + static_cast<std::ptrdiff_t>(rank), hosts[rank]));
    case Split::By::count:
      return std::to_string(static_cast<int>(rank) / split.size);
  }
  throw std::invalid_argument("no such split");
}

}  // namespace

RankGroup group_of(const Split& split, const std::vector<std::string>& hosts, int rank) {
  std::map<std::string, std::vector<int>> groups;
  for (std::size_t other = 0; other < hosts.size(); ++other) {
    groups[label_of(split, hosts, other)].push_back(static_cast<int>(other));
  }
  if (split.by == Split::By::count && static_cast<std::size_t>(split.size) > hosts.size()) {
    throw std::invalid_argument("a group of more than the " + std::to_string(hosts.size()) +
                                " ranks that there are");
  }
  RankGroup out;
  out.members = groups.at(label_of(split, hosts, static_cast<std::size_t>(rank)));
  out.me = static_cast<int>(std::ranges::find(out.members, rank) - out.members.begin());
  out.groups = static_cast<int>(groups.size());
  const std::size_t size = groups.begin()->second.size();
  if (!std::ranges::all_of(groups, [&](const auto& g) { return g.second.size() == size; })) {
    throw std::invalid_argument("groups of different sizes: expected ranks that divide evenly");
  }
  if (size == 1 && split.by != Split::By::none) {
    throw std::invalid_argument("groups of one rank: there is nothing to exchange");
  }
  return out;
}

}  // namespace trainmeter
