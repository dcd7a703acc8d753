// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Asks the driver who else is there.
#include "bench/exclusive.hpp"

#include "kernels/operation.hpp"

#include <fmt/format.h>

namespace trainmeter {

void require_exclusive(TelemetrySource& gpu) {
  const std::optional<int> others = gpu.state().other_processes;
  if (!others) {
    throw Unavailable(
        "--exclusive: the driver doesn't tell who else is on the GPU (in a container it often "
        "can't)");
  }
  if (*others > 0) {
    throw Unavailable(fmt::format(
        "--exclusive: processes of others on the GPU: {} (nvidia-smi lists them)", *others));
  }
}

}  // namespace trainmeter
