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
  const WorkSeconds layer = layer_work_s(bill, trace.kind, factors);
  const double gemm = trace.gemm_s / trace.layers /
                      (layer[Work::gemm] + layer[Work::gemm_high] + layer[Work::grouped]);
  const double attention = trace.attention_s / trace.layers / layer[Work::attention];
  const double memory =
      trace.memory_s / trace.layers / (layer[Work::traffic] + layer[Work::expert_traffic]);
  for (auto& [kind, bill_of] : bill.layers) {
    for (SlotBill* slot : {&bill_of.forward, &bill_of.backward_input, &bill_of.weight}) {
      for (const Work w : {Work::gemm, Work::gemm_high, Work::grouped}) {
        slot->work[w] *= gemm;
        slot->at_other_passes[w] *= gemm;
      }
      slot->work[Work::attention] *= attention;
      for (const Work w : {Work::traffic, Work::expert_traffic}) {
        slot->work[w] *= memory;
      }
    }
  }
  return bill;
}

}  // namespace trainmeter
