// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The launchers' variables.
#include "kernels/launch.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <unistd.h>

namespace trainmeter {
namespace {

std::string text_of(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

std::optional<int> number_of(const char* name, int least) {
  const std::string text = text_of(name);
  const char* const end = text.data() + text.size();
  int number = 0;
  const auto [stop, failed] = std::from_chars(text.data(), end, number);
  if (failed != std::errc{} || stop != end || number < least) return std::nullopt;
  return number;
}

bool takes(Launch& launch, Launch::By by, const char* ranks, const char* rank) {
  const std::optional<int> found = number_of(ranks, 1);
  if (!found) return false;
  launch.by = by;
  launch.ranks = *found;
  launch.rank = number_of(rank, 0).value_or(0);
  return true;
}

// Whether torchrun started this process, itself started by a launcher of `ranks` processes, one a
// node: each of those starts several ranks, so the launcher's own rank is many processes'.
bool torchrun_inside(int ranks) {
  const std::optional<int> all = number_of("WORLD_SIZE", 2);
  const std::optional<int> rank = number_of("RANK", 0);
  if (!all || !rank || *rank >= *all) return false;
  return *all > ranks || !text_of("TORCHELASTIC_RUN_ID").empty();
}

void find_ranks(Launch& launch) {
  using enum Launch::By;
  const bool by_mpi = takes(launch, mpi, "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK") ||
                      takes(launch, mpi, "PMI_SIZE", "PMI_RANK");
  if (!by_mpi && takes(launch, slurm, "SLURM_STEP_NUM_TASKS", "SLURM_PROCID") &&
      !text_of("PMIX_RANK").empty()) {
    launch.by = mpi;
  }
  if (launch.by == itself || torchrun_inside(launch.ranks)) {
    takes(launch, torchrun, "WORLD_SIZE", "RANK");
  }
}

constexpr int kMostPort = 65535;

}  // namespace

std::string launch_mistake() {
  const std::string port = text_of("TRAINMETER_PORT");
  if (!port.empty() && number_of("TRAINMETER_PORT", 1).value_or(kMostPort + 1) > kMostPort) {
    return "TRAINMETER_PORT: expected a port, 1 to 65535";
  }
  if (port.empty() && !text_of("MASTER_PORT").empty() &&
      number_of("MASTER_PORT", 1).value_or(kMostPort) >= kMostPort) {
    return "MASTER_PORT: expected a port, 1 to 65534: ranks meet one above it";
  }
  const Launch launch = launched();
  if (launch.by == Launch::By::itself && !text_of("WORLD_SIZE").empty())
    return "WORLD_SIZE: expected the number of ranks, at least 1";
  const bool needs_rank = launch.ranks > 1 || !text_of("RANK").empty();
  if (launch.by == Launch::By::torchrun && needs_rank && !number_of("RANK", 0))
    return "RANK: expected this process's among WORLD_SIZE ranks, from 0";
  if (launch.rank < launch.ranks) return "";
  return "rank " + std::to_string(launch.rank) + " of " + std::to_string(launch.ranks) +
         " ranks: expected one below their number (RANK and WORLD_SIZE, or the launcher's own)";
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

std::string node_name() {
  std::string node = text_of("SLURMD_NODENAME");
  return node.empty() ? host_name() : node;
}

std::string first_host(const std::string& node_list) {
  std::string host;
  for (std::size_t at = 0; at < node_list.size() && node_list[at] != ',';) {
    if (node_list[at] != '[') {
      host += node_list[at++];
      continue;
    }
    const std::size_t first = at + 1;
    const std::size_t end = std::min(node_list.find_first_of("-,]", first), node_list.size());
    host += node_list.substr(first, end - first);
    const std::size_t closed = node_list.find(']', end);
    at = closed == std::string::npos ? node_list.size() : closed + 1;
  }
  return host;
}

Launch launched() {
  Launch launch;
  find_ranks(launch);
  const std::string nodes = text_of("SLURM_STEP_NODELIST");
  if (const std::string master = text_of("MASTER_ADDR"); !master.empty()) {
    launch.host = master;
  } else if (launch.by == Launch::By::slurm && !nodes.empty()) {
    launch.host = first_host(nodes);
  }
  if (const auto port = number_of("MASTER_PORT", 1); port && *port < kMostPort) {
    launch.port = *port + 1;
  }
  if (const auto port = number_of("TRAINMETER_PORT", 1); port && *port <= kMostPort) {
    launch.port = *port;
  }
  launch.bind = text_of("TRAINMETER_BIND");
  launch.token = text_of("TRAINMETER_TOKEN");
  if (launch.token.empty() && launch.by == Launch::By::slurm) {
    launch.token = text_of("SLURM_JOB_ID") + "." + text_of("SLURM_STEP_ID");
  } else if (launch.token.empty()) {
    launch.token = text_of("TORCHELASTIC_RUN_ID");
  }
  return launch;
}

}  // namespace trainmeter
