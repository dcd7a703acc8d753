// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the draws of a step say of it, and of the whole run.
#pragma once

#include <optional>
#include <vector>

namespace trainmeter {

struct Estimate {
  double p05 = 0, p50 = 0, p95 = 0;
};

struct RunEstimates {
  Estimate step_time_s;
  Estimate mfu;                       // 0..1, in the run's convention, against mfu_peak_flops
  Estimate tflops_per_gpu;            // model TFLOP/s in the same convention
  std::optional<Estimate> gpu_hours;  // where the run names its tokens
  std::optional<Estimate> cost_usd;   // where a price is known too
};

// Of each, one a draw.
struct StepDraws {
  std::vector<double> step_time_s, mfu, tflops_per_gpu;
};

// What a step's time is multiplied by.
struct StepsOfRun {
  double gpus = 1;
  std::optional<double> steps, usd_per_gpu_hour;
  double goodput = 1;
};

// Of the draws: where their middle is taken to be.
using Middle = double (*)(const std::vector<double>& draws);

Estimate estimate_of(const std::vector<double>& draws, Middle middle);
RunEstimates estimates_of(const StepDraws& draws, const StepsOfRun& run, Middle middle);

}  // namespace trainmeter
