// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A table, held against the step's arithmetic by a test.
#include "report/part_sources.hpp"

#include <map>

namespace trainmeter {

PartSources sources_of(std::string_view part) {
  using enum Factor;
  const std::vector<Factor> gemms = {in_place_hopper, in_place_hopper_fp8, in_place_ampere,
                                     in_place_other,  sustained_clock,     sustained_clock_fp8,
                                     weight_pass};
  const std::vector<Factor> grouped = {in_place_hopper, in_place_hopper_fp8, in_place_ampere,
                                       in_place_other,  sustained_clock,     sustained_clock_fp8,
                                       weight_pass,     grouped_gemm};
  const std::vector<Factor> links = {node_links, network_links, hop_latency_s};
  const std::vector<std::string_view> compute = {"gemm", "grouped_gemm", "attention_core",
                                                 "memory_bound"};
  const std::vector<std::string_view> slots = {
      "gemm",         "grouped_gemm",          "attention_core",
      "memory_bound", "communication_exposed", "interference_and_host"};
  const std::vector<std::string_view> device = {"gemm",
                                                "grouped_gemm",
                                                "attention_core",
                                                "memory_bound",
                                                "communication_exposed",
                                                "interference_and_host",
                                                "pipeline_bubble",
                                                "data_parallel",
                                                "optimizer_and_overhead",
                                                "operation_gemms",
                                                "operations"};
  std::vector<std::string_view> all = device;
  all.emplace_back("waiting_for_host");
  const std::map<std::string_view, PartSources> known = {
      {"gemm", {gemms, true, {}}},
      {"grouped_gemm", {grouped, true, {}}},
      {"attention_core", {{attention_fused, attention_flash2}, false, {}}},
      {"memory_bound", {{traffic_fused, traffic_eager, traffic_experts}, false, {}}},
      {"communication_exposed", {links, false, {}}},
      {"interference_and_host",
       {{node_interference, network_interference, tensor_interference, experts_host_s, node_links,
         network_links, hop_latency_s},
        false,
        {"gemm", "grouped_gemm", "attention_core", "memory_bound", "communication_exposed"}}},
      {"pipeline_bubble", {links, false, slots}},
      {"data_parallel",
       {{node_links, network_links, hop_latency_s, node_interference, network_interference},
        false,
        compute}},
      {"optimizer_and_overhead", {{traffic_fused, traffic_eager, step_overhead_s}, false, {}}},
      {"operation_gemms", {gemms, true, {}}},
      {"operations", {}},
      {"waiting_for_host", {{}, false, device}},
      {"jitter_of_nodes", {{jitter}, false, all}},
      {"reference", {{}, false, {"training"}}}};
  const auto found = known.find(part);
  return found == known.end() ? PartSources{} : found->second;
}

}  // namespace trainmeter
