// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The GEMMs of one decode step, in which every running sequence gets its next token.
#pragma once

#include "workload/step.hpp"

#include <cstdint>
#include <vector>

namespace trainmeter {

// The forward GEMMs over all layers on one GPU that has `tokens` sequences, divided as step_gemms
// divides them, but for what so few rows change: every tensor-parallel rank computes all of them in
// the small projections too; MLA decodes on the cached latent, so that kv_b is multiplied into
// queries (kv_b_key) and results (kv_b_value), a product for each of `groups` heads. Routed
// experts: m = rows of all `groups` local ones together, which may be fewer than those.
std::vector<GemmWork> decode_gemms(const Model& model, std::int64_t tokens, std::int64_t tp = 1,
                                   std::int64_t ep = 1);

}  // namespace trainmeter
