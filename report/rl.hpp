// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// An RL stage (GRPO): outputs are generated, scored by the reference model, and trained on.
// docs/extrapolation.md explains the model and says where its constants come from.
#pragma once

#include "report/predict.hpp"

namespace trainmeter {

// Of a run with `rl` and no `tokens`; a step is one update. `peak` is MFU's denominator.
// BadInput where phases or their lengths are missing, saying what would explain published hours.
Prediction predict_rl(const Run& run, const System& system, const RateBook& book,
                      const Knowledge& knowledge, const PredictOptions& options,
                      const UsedInput& peak);

}  // namespace trainmeter
