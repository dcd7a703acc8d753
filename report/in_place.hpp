// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The in-place ratio from records: GEMMs timed between the other kernels of a layer, against the
// same GEMMs alone.
#pragma once

#include "report/predict.hpp"

#include <string>
#include <vector>

namespace trainmeter {

// Of all usable lines of a `gemm` or `grouped_gemm` with "layer" beside it: the sum of the times
// alone / the sum of the times in place. Alone is the same case as the same session measured it in
// turn with the layer (layer_bench), as often as it stands in the layer; else, of a `gemm`, the
// rate that `alone` has of the very shape and layout. Lines in `dtype`, where there are any; none
// on operands that stay in the caches.
//
// Its sigma is the error of that mean: the spread of the single ratios, weighted by time, over the
// root of their number. Nothing where there is no such pair.
std::optional<InPlace> measured_in_place(const std::vector<Record>& records, const RateBook& alone,
                                         const std::string& dtype = "");

}  // namespace trainmeter
