// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ranks divided into groups that work at once, each on a collective of its own.
#pragma once

#include <string>
#include <vector>

namespace trainmeter {

// none: one group of all. node: the ranks of each host. rail: the first rank of every host, the
// second ones, ... count: ranks [0, size), [size, 2 size), ...
struct Split {
  enum class By { none, node, rail, count };
  By by = By::none;
  int size = 0;
};

struct RankGroup {
  std::vector<int> members;  // ranks of the world, ascending
  int me = 0;                // this process' place among them
  int groups = 1;            // of this size, together all ranks

  [[nodiscard]] int ranks() const { return static_cast<int>(members.size()); }
};

// The group of `rank`, with the host of each rank. std::invalid_argument, with the reason, where
// groups would be of different sizes, of more ranks than there are, or of one rank (but a world of
// one, which isn't split).
RankGroup group_of(const Split& split, const std::vector<std::string>& hosts, int rank);

// What those of `all` hold that are in the group, in its order.
template <class T>
std::vector<T> of_members(const RankGroup& group, const std::vector<T>& all) {
  std::vector<T> out;
  for (const int member : group.members) out.push_back(all[static_cast<std::size_t>(member)]);
  return out;
}

}  // namespace trainmeter
