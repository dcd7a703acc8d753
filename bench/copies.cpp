// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// By the launchers' variables.
#include "bench/copies.hpp"

#include "kernels/launch.hpp"

#include <fmt/format.h>

namespace trainmeter {

std::string warning_of_copies(const Options& options) {
  const Launch launch = launched();
  if (launch.ranks == 1 || launch.rank != 0 || options.google.list_tests) return "";
  return fmt::format(
      "{}: warning: {} ranks were started, and each measures the same by itself, slowed by the "
      "others; start one process{}",
      program_name(options.program), launch.ranks,
      empties_caches(options.program) ? "; --concurrent measures a node's devices at the same time"
                                      : "");
}

void note_copies(Device& device) {
  const Launch launch = launched();
  if (launch.ranks == 1) return;
  device.details["launched"] =
      fmt::format("one of {} ranks that measured by themselves at the same time", launch.ranks);
}

}  // namespace trainmeter
