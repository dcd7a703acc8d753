// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A run of several stages, such as a context extension at two lengths: each stage is predicted by
// itself, and hours and money are added.
#pragma once

#include "report/predict.hpp"

namespace trainmeter {

// Whether a run is no more than its stages, which are runs all.
bool is_in_stages(const Run& run);

// predict(), or where the run itself has no sequence length but stages that are runs, the sum of
// theirs: hours and cost added quantile by quantile (the stages share their causes, so their errors
// go together), step time as the mean over all steps, rates over the time of each stage's own GPUs.
// The run's price and goodput hold for stages that have none. BadInput where a stage can't be
// predicted, or has stages itself; it is named.
Prediction predict_run(const Run& run, const System& system, const RateBook& rates,
                       const Knowledge& knowledge, const PredictOptions& options);

}  // namespace trainmeter
