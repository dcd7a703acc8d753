// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The training pass of an RL update: the pre-training engine on the generated tokens.
#pragma once

#include "report/predict.hpp"

#include <string>
#include <vector>

namespace trainmeter {

struct UpdateWork {  // of the mean update
  double tokens = 0;
  double length = 0;  // of the output that the mean token is in
  double flops = 0;   // of the training pass
};

struct TrainingPass {
  double tokens = 0;
  double fixed_s = 0;           // pipeline bubble, gradients, optimizer: whatever the tokens
  double work_s = 0;            // grows with them
  double log_sigma = 0;         // of both
  std::vector<UsedRate> rates;  // shares of this pass
  std::vector<std::string> assumptions;

  [[nodiscard]] double work_of(double other_tokens) const { return work_s * other_tokens / tokens; }
};

// MFU of the pass where no layout works.
const FactorPrior& training_mfu_prior();

// On the run's layout, else on one that fits; where the engine has none, FLOPs at an MFU from a
// range. `peak_flops` is MFU's denominator.
TrainingPass training_pass(const Run& run, const System& system, const RateBook& book,
                           const Knowledge& knowledge, const PredictOptions& options,
                           const UpdateWork& work, double peak_flops);

}  // namespace trainmeter
