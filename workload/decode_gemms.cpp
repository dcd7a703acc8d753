// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A step's forward GEMMs, with the rows and the latent attention of a decode step.
#include "workload/decode_gemms.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace trainmeter {
namespace {

// All local experts together; `ep` GPUs send theirs here, as many as go from here to others.
GemmWork of_experts(GemmWork work, const Model& model, std::int64_t tokens, std::int64_t tp) {
  const double rows =
      static_cast<double>(tokens * model.moe->experts_per_token) / static_cast<double>(tp);
  work.m = std::max<std::int64_t>(1, std::llround(rows));
  work.count = static_cast<double>(moe_layers(model)) * rows / static_cast<double>(work.m);
  return work;
}

}  // namespace

std::vector<GemmWork> decode_gemms(const Model& model, std::int64_t tokens, std::int64_t tp,
                                   std::int64_t ep) {
  std::vector<GemmWork> out;
  // So many tokens that `tp` ways divide them; all rows are set below.
  for (GemmWork work : step_gemms(model, tokens * tp, tp, ep)) {
    if (work.pass != Pass::fprop) continue;
    if (work.name.starts_with("expert_")) {
      out.push_back(of_experts(std::move(work), model, tokens, tp));
      continue;
    }
    work.m = tokens;
    if (work.name != "kv_b") {
      out.push_back(std::move(work));
      continue;
    }
    const Mla& mla = *model.mla;
    work.groups = model.heads / tp;
    work.name = "kv_b_key";
    work.n = mla.kv_lora_rank, work.k = mla.qk_nope_head_dim;
    out.push_back(work);
    work.name = "kv_b_value";
    work.n = mla.v_head_dim, work.k = mla.kv_lora_rank;
    out.push_back(std::move(work));
  }
  return out;
}

}  // namespace trainmeter
