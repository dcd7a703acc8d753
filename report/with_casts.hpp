// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What an fp8 GEMM's rate becomes when the casts of its operands count, too.
#pragma once

#include "record/record.hpp"
#include "report/document.hpp"

#include <nlohmann/json.hpp>

#include <vector>

namespace trainmeter {

// Heading and table of the fp8 GEMMs with scales of blocks whose activations' casts the same record
// has at the same sizes: the fastest of each problem, alone and with the casts' time added. Casts
// of a forward GEMM and of a data gradient (C = A B^T): A by cast_fp8, else by cast_fp8_transpose,
// which casts it for the weight gradient too; and B by cast_fp8_block where that was measured. Of a
// weight gradient, which is added to, both operands, tokens down, by cast_fp8_transpose, else
// recast_fp8. Rows as in training alone: on normal data, not out of the caches, on all SMs with
// nothing beside. Nothing where there is none.
Document with_casts(const std::vector<Record>& records);
nlohmann::ordered_json with_casts_json(const std::vector<Record>& records);

}  // namespace trainmeter
