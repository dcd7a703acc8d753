// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Texts and exit codes of all ranks go round.
#include "bench/agreement.hpp"

#include "bench/exit_code.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace trainmeter {

int done_by_all(World& world, const std::function<void()>& work,
                const std::function<std::string(std::size_t rank)>& who) {
  Failure mine;
  try {
    work();
  } catch (...) {
    mine = failure_in_flight();
  }
  const std::vector<std::string> texts = world.gather(mine.text);
  const std::vector<std::string> codes = world.gather(std::to_string(mine.code));
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    const int code = std::stoi(codes[rank]);
    if (code == kFine) continue;
    if (world.rank() != 0) return code;
    const bool all = std::ranges::count(texts, texts[rank]) == std::ssize(texts);
    throw_failure({code, all ? texts[rank] : fmt::format("{}: {}", who(rank), texts[rank])});
  }
  return kFine;
}

void keep_common(World& world, CaseList& list, const std::string& whom) {
  std::string mine = "\n";
  for (const Case& one : list.cases) mine += one.name + "\n";
  const std::vector<std::string> all = world.gather(mine);
  std::erase_if(list.cases, [&](const Case& one) {
    const bool everywhere = std::ranges::all_of(all, [&](const std::string& names) {
      return names.find("\n" + one.name + "\n") != std::string::npos;
    });
    if (!everywhere) list.left_out.push_back(fmt::format("{}: not on every {}", one.name, whom));
    return !everywhere;
  });
}

}  // namespace trainmeter
