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

}  // namespace trainmeter
