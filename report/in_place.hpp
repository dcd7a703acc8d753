// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The in-place ratio from records: GEMMs timed between the other kernels of a layer, against the
// same GEMMs alone.
#pragma once

#include "report/predict.hpp"

#include <vector>

namespace trainmeter {

// Of all usable lines of a `gemm` with "layer" beside it, where `alone` has the very shape and
// layout: the sum of the times alone / the sum of the times in place. Its sigma is the error of
// that mean: the spread of the single ratios, weighted by time, over the root of their number.
// Nothing where there is no such pair.
std::optional<InPlace> measured_in_place(const std::vector<Record>& records, const RateBook& alone);

}  // namespace trainmeter
