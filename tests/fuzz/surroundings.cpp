// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What launchers leave in the environment.
#include "kernels/launch.hpp"

#include "targets.hpp"

#include <array>
#include <cstdlib>
#include <sstream>

namespace trainmeter::fuzz {

bool read_environment(std::string_view text) {
  constexpr std::array kNames = {"OMPI_COMM_WORLD_SIZE",
                                 "OMPI_COMM_WORLD_RANK",
                                 "PMI_SIZE",
                                 "PMI_RANK",
                                 "PMIX_RANK",
                                 "SLURM_STEP_NUM_TASKS",
                                 "SLURM_PROCID",
                                 "SLURM_STEP_NODELIST",
                                 "SLURM_JOB_ID",
                                 "SLURM_STEP_ID",
                                 "WORLD_SIZE",
                                 "RANK",
                                 "MASTER_ADDR",
                                 "MASTER_PORT",
                                 "TORCHELASTIC_RUN_ID",
                                 "TRAINMETER_PORT",
                                 "TRAINMETER_TOKEN",
                                 "SLURMD_NODENAME"};
  for (const char* name : kNames) ::unsetenv(name);
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const auto equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::string name = line.substr(0, equals);
    for (const char* known : kNames) {
      if (name == known) ::setenv(known, line.c_str() + equals + 1, 1);
    }
  }
  const Launch launch = launched();
  if (launch.ranks < 1 || launch.rank < 0) throw Broken{"a rank that is none"};
  if (launch.port < 1 || launch.port > 65535) throw Broken{"a port that is none"};
  if (node_name().empty()) throw Broken{"a node without a name"};
  return launch.by != Launch::By::itself;
}

}  // namespace trainmeter::fuzz
