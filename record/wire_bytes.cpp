// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Factors of a payload.
#include "record/wire_bytes.hpp"

#include "record/formulas.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace trainmeter {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

bool each_to_each(std::string_view collective) {
  return collective == "alltoall" || collective == "alltoallv" || collective == "sendrecv" ||
         collective == "dispatch" || collective == "combine";
}

double all_reduce_factor(std::string_view algorithm, double n) {
  if (algorithm == "ring" || algorithm == "two_shot") return 2 * (n - 1) / n;
  if (algorithm == "tree") return n > 2 ? 2 : 1;
  if (algorithm == "one_shot") return n - 1;
  return algorithm == "nvls" ? (n + 1) / n : kNone;
}

}  // namespace

double wire_factor(std::string_view collective, std::string_view algorithm, std::int64_t ranks) {
  if (ranks < 2) throw std::invalid_argument("wire_factor: ranks must be at least 2");
  const auto n = static_cast<double>(ranks);
  if (collective == "allreduce") return all_reduce_factor(algorithm, n);
  if (collective == "allgather" || collective == "reducescatter") {
    if (algorithm == "nvls") return 1;
    return algorithm == "ring" || algorithm == "direct" ? (n - 1) / n : kNone;
  }
  if (collective == "broadcast" || collective == "reduce") return algorithm == "ring" ? 1 : kNone;
  if (!each_to_each(collective) || algorithm != "direct") return kNone;
  return collective == "alltoall" || collective == "alltoallv" ? (n - 1) / n : 1;
}

double between_factor(std::string_view collective, std::string_view algorithm, std::int64_t ranks,
                      std::int64_t ranks_per_host) {
  const double wire = wire_factor(collective, algorithm, ranks);
  if (std::isnan(wire)) return kNone;
  if (ranks_per_host >= ranks) return 0;
  const auto n = static_cast<double>(ranks);
  const auto here = static_cast<double>(ranks_per_host);
  if (collective == "alltoall" || collective == "alltoallv") return (n - here) / n;
  if (collective == "sendrecv") return 1;
  if (algorithm == "ring") return wire / here;
  if (algorithm != "tree") return kNone;
  const std::int64_t hosts = (ranks + ranks_per_host - 1) / ranks_per_host;
  return wire_factor(collective, algorithm, hosts) / here;
}

std::string wire_algorithm(std::string_view collective,
                           const std::map<std::string, std::string>& notes) {
  if (each_to_each(collective)) return "direct";
  const auto found = notes.find("algorithm");
  return found == notes.end() ? "" : found->second.substr(0, found->second.find_first_of(", "));
}

WireRange nccl_wire_range(std::string_view collective, std::int64_t ranks) {
  WireRange range{.least = std::numeric_limits<double>::infinity(), .most = 0};
  for (const char* algorithm : {"ring", "tree", "nvls"}) {
    const double factor = wire_factor(collective, algorithm, ranks);
    if (std::isnan(factor)) continue;
    range.least = std::min(range.least, factor);
    range.most = std::max(range.most, factor);
  }
  return range.most > 0 ? range : WireRange{kNone, kNone};
}

double expected_bus_rate(std::string_view collective, std::string_view algorithm,
                         std::int64_t ranks, std::int64_t ranks_per_host, const LinkRates& links) {
  const double wire = wire_factor(collective, algorithm, ranks);
  const double bus = bus_factor(collective, ranks);
  const bool one_host = ranks_per_host == ranks;
  if (!(wire > 0) || !(links.inside > 0) || (!one_host && !(links.between > 0))) return kNone;
  const double inside = links.inside * bus / wire;
  if (one_host) return inside;
  const double network = between_factor(collective, algorithm, ranks, ranks_per_host);
  if (std::isnan(network) || algorithm == "tree") return kNone;
  const double between = links.between * bus / network;
  if (collective != "alltoall" && collective != "alltoallv") return std::min(inside, between);
  const auto n = static_cast<double>(ranks);
  const auto here = static_cast<double>(ranks_per_host);
  const double in_host =
      here > 1 ? links.inside * bus * n / (here - 1) : std::numeric_limits<double>::infinity();
  return std::min(in_host, between);
}

double nvlink_rate(std::string_view compute_capability) {
  if (compute_capability.starts_with("10.")) return 50e9;
  constexpr std::array kTwentyFive = {"7.0", "8.0", "9.0"};
  return std::ranges::find(kTwentyFive, compute_capability) != kTwentyFive.end() ? 25e9 : 0;
}

}  // namespace trainmeter
