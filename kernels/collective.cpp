// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a launcher and the user left in the environment.
#include "kernels/collective.hpp"

#include <charconv>
#include <cstdlib>
#include <cstring>

namespace trainmeter {

int ranks_started() {
  // SLURM_NTASKS is set for the one process of a batch script too; srun's own count is not.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const char* text = std::getenv(name);
    if (text == nullptr) continue;
    int ranks = 0;
    const char* end = text + std::strlen(text);
    const auto [stop, failed] = std::from_chars(text, end, ranks);
    if (failed == std::errc{} && stop == end && ranks > 0) return ranks;
  }
  return 1;
}

double rank_timeout_s() {
  const char* text = std::getenv("TRAINMETER_TIMEOUT");
  const double seconds = text == nullptr ? 0 : std::atof(text);
  return seconds > 0 ? seconds : 60;
}

}  // namespace trainmeter
