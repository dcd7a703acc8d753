// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What co-runners of all devices share.
#include "kernels/co_runner.hpp"

#include <algorithm>
#include <stdexcept>

namespace trainmeter {

std::string_view to_string(CoRunnerKind kind) {
  switch (kind) {
    case CoRunnerKind::memory_mover:
      return "memory_mover";
    case CoRunnerKind::cache_mover:
      return "cache_mover";
    case CoRunnerKind::poller:
      return "poller";
    case CoRunnerKind::all_reduce:
      return "allreduce";
    case CoRunnerKind::peer_all_reduce:
      return "peer_allreduce";
  }
  throw std::invalid_argument("no such co-runner");
}

bool is_collective(CoRunnerKind kind) {
  return std::ranges::find(kCollectiveCoRunners, kind) != kCollectiveCoRunners.end();
}

Check check_moved(const CoParts& parts, const CoWord* to, CoWord start,
                  const std::vector<std::int64_t>& done) {
  Check out{.ok = true, .error = 0, .bound = 0.5, .how = "all elements moved, exact"};
  std::int64_t looked_at = 0;
  for (std::int64_t worker = 0; worker < parts.workers; ++worker) {
    const std::int64_t steps = done[static_cast<std::size_t>(worker)];
    for (std::int64_t step = 0; step < std::min(steps, parts.steps); ++step) {
      const bool again = step < steps % parts.steps;  // in the pass that was begun last
      const CoWord tag = co_tag(start, static_cast<CoWord>(steps / parts.steps - (again ? 0 : 1)));
      const std::int64_t first = (worker * parts.steps + step) * parts.step_words;
      for (std::int64_t i = first; i < first + parts.step_words; ++i)
        out.wrong += to[i] != (co_content(static_cast<CoWord>(i)) ^ tag) ? 1 : 0;
      looked_at += parts.step_words;
    }
  }
  out.error = looked_at > 0 ? static_cast<double>(out.wrong) : 1;  // nothing moved is wrong, too
  out.ok = out.error < out.bound;
  return out;
}

}  // namespace trainmeter
