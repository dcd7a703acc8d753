// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ranges of draws, and from a step to the run.
#include "report/estimates.hpp"

#include "record/formulas.hpp"
#include "record/statistics.hpp"

namespace trainmeter {

Estimate estimate_of(const std::vector<double>& draws, Middle middle) {
  return {quantile(draws, 0.05), middle(draws), quantile(draws, 0.95)};
}

RunEstimates estimates_of(const StepDraws& draws, const StepsOfRun& run, Middle middle) {
  RunEstimates out;
  out.step_time_s = estimate_of(draws.step_time_s, middle);
  out.mfu = estimate_of(draws.mfu, middle);
  out.tflops_per_gpu = estimate_of(draws.tflops_per_gpu, middle);
  if (!run.steps) return out;
  std::vector<double> hours, cost;
  for (const double step_s : draws.step_time_s) {
    hours.push_back(gpu_hours(run.gpus, *run.steps * step_s) / run.goodput);
    if (run.usd_per_gpu_hour) cost.push_back(cost_usd(hours.back(), *run.usd_per_gpu_hour));
  }
  out.gpu_hours = estimate_of(hours, middle);
  if (run.usd_per_gpu_hour) out.cost_usd = estimate_of(cost, middle);
  return out;
}

}  // namespace trainmeter
