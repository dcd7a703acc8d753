// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Reads a trace and scales a bill by it.
#include "report/trace.hpp"

#include "record/strict_json.hpp"

namespace trainmeter {

Trace read_trace(const std::filesystem::path& file) {
  const nlohmann::json json = read_json_file(file);
  StrictObject object(json, file.string());
  Trace out;
  out.id = object.text("id");
  out.run = object.text("run");
  out.kind =
      object.one_of("layer_kind", {"dense", "moe"}) == "moe" ? LayerKind::moe : LayerKind::dense;
  out.layers = object.positive("layers");
  out.gemm_s = object.positive("gemm_s");
  out.attention_s = object.positive("attention_s");
  out.memory_s = object.positive("memory_s");
  out.source = read_source(object.object("source"));
  object.finish();
  return out;
}

Bill with_trace(Bill bill, const Trace& trace, const FactorValues& factors) {
  const WorkTimes layer = layer_work_s(bill, trace.kind, factors);
  const auto of = [&](Work w) { return layer[static_cast<std::size_t>(w)]; };
  const double gemm =
      trace.gemm_s / trace.layers / (of(Work::gemm) + of(Work::gemm_high) + of(Work::grouped));
  const double attention = trace.attention_s / trace.layers / of(Work::attention);
  const double memory =
      trace.memory_s / trace.layers / (of(Work::traffic) + of(Work::expert_traffic));
  for (auto& [kind, bill_of] : bill.layers) {
    for (SlotBill* slot : {&bill_of.forward, &bill_of.backward_input, &bill_of.weight}) {
      for (const Work w : {Work::gemm, Work::gemm_high, Work::grouped}) {
        slot->work[static_cast<std::size_t>(w)] *= gemm;
        slot->at_other_passes[static_cast<std::size_t>(w)] *= gemm;
      }
      slot->work[static_cast<std::size_t>(Work::attention)] *= attention;
      for (const Work w : {Work::traffic, Work::expert_traffic}) {
        slot->work[static_cast<std::size_t>(w)] *= memory;
      }
    }
  }
  return bill;
}

}  // namespace trainmeter
