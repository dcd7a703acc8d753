// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Rates from NVML and from published systems.
#include "bench/expected.hpp"

#include "record/error.hpp"
#include "workload/run.hpp"
#include "workload/system.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

namespace trainmeter {

ExpectedLinks expected_links(const Target& target, const DeviceState& state,
                             const std::string& system) {
  ExpectedLinks out;
  if (target.kind == DeviceKind::cpu) {
    out.from = "nothing: CPUs have no link here whose rate is known";
    return out;
  }
  const auto found = target.device.details.find("compute_capability");
  const double rate = found == target.device.details.end() ? 0 : nvlink_rate(found->second);
  if (const int links = state.nvlink_links.value_or(0); links > 0 && rate > 0) {
    out.rates.inside = links * rate;
    out.from = fmt::format("{} NVLinks x {:g} GB/s (NVML)", links, rate / 1e9);
  }
  if (!system.empty()) {
    const System known = Library(published_data()).system(system);
    if (out.from.empty() && known.nvlink_bytes_per_s) {
      out.rates.inside = *known.nvlink_bytes_per_s;
      out.from = fmt::format("{:g} GB/s a GPU inside a host (system {})", out.rates.inside / 1e9,
                             known.id);
    }
    if (known.nic_bytes_per_s) {
      out.rates.between = *known.nic_bytes_per_s;
      out.from += fmt::format("{}{:g} GB/s a GPU between hosts (system {})",
                              out.from.empty() ? "" : ", ", out.rates.between / 1e9, known.id);
    }
  }
  if (out.from.empty()) {
    out.from = "nothing: NVML tells no NVLinks of a known rate (--system=ID names a system file)";
  }
  return out;
}

void require_known_system(const std::string& system) {
  if (system.empty()) return;
  try {
    static_cast<void>(Library(published_data()).system(system));
  } catch (const BadInput& error) {
    throw BadInput(fmt::format("--system: {}", error.what()));
  }
}

void note_expected(const ExpectedLinks& links, const std::vector<std::string>& hosts, Case& one) {
  const auto ranks = static_cast<std::int64_t>(hosts.size());
  const auto here = std::ranges::count(hosts, hosts.front());
  const bool even = std::ranges::all_of(
      hosts, [&](const auto& host) { return std::ranges::count(hosts, host) == here; });
  if (one.shape.contains("virtual_ranks") || !even || ranks < 2) return;
  std::string algorithm = wire_algorithm(one.operation, one.notes);
  if (algorithm.empty()) algorithm = "ring";
  const double rate = expected_bus_rate(one.operation, algorithm, ranks, here, links.rates);
  if (!(rate > 0)) return;
  one.notes[kExpectedNote] = fmt::format("{:.6g}", rate);
  one.notes[kExpectedFromNote] = links.from + ", " + algorithm;
}

std::string nccl_algorithm(const std::string& nccl_algo) {
  std::string word = nccl_algo;
  std::ranges::transform(word, word.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const char* known : {"ring", "tree", "nvls"}) {
    if (word == known) return word + ", by NCCL_ALGO";
  }
  return "";
}

}  // namespace trainmeter
