// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From rates to one training run: step time, GPU-hours, MFU, cost, each as a range.
// docs/extrapolation.md explains the model.
#pragma once

#include "report/rates.hpp"
#include "workload/run.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

struct Estimate {
  double p05 = 0, p50 = 0, p95 = 0;
};

struct RunEstimates {
  Estimate step_time_s;
  Estimate mfu;                       // 0..1, causal attention exact, against mfu_peak_flops
  Estimate tflops_per_gpu;            // model TFLOP/s
  std::optional<Estimate> gpu_hours;  // where the run names its tokens
  std::optional<Estimate> cost_usd;   // where a price is known too
};

struct UsedRate {
  std::string what;  // "qkv fprop 4096x2304x768 bf16"
  Rate rate;
  double share = 0;  // of the step
};

struct Prediction {
  std::string run_id, system_id;
  RunEstimates estimates;
  RunEstimates null_model;  // 40 % of the dense peak for everything, in exact causal FLOPs
  std::vector<std::pair<std::string, double>>
      breakdown_s;  // of the step with every input at its middle; adds up to it
  std::vector<std::pair<std::string, double>>
      moves_most;  // input, relative width of the step's 90 % interval that it alone causes
  std::optional<double> published_step_time_s;  // what the source's figure comes to
  std::optional<double> error_pct;              // of the step time against it
  nlohmann::ordered_json published;
  std::vector<UsedRate> rates;  // the most time first
  std::vector<std::string> assumptions;
  std::optional<double> price_usd_per_gpu_hour;
  double flops_per_step = 0;  // of the whole run's step, model FLOPs
  double mfu_peak_flops = 0;  // the denominator
};

struct PredictOptions {
  std::optional<double> price_usd_per_gpu_hour;  // before the run's, before the system's
  int samples = 4000;
  std::uint64_t seed = 1;
};

// BadInput where the run lacks what a prediction needs, or no rate is known for it.
Prediction predict(const Run& run, const System& system, const RateBook& rates,
                   const PredictOptions& options);

nlohmann::ordered_json to_json(const Prediction& prediction);
nlohmann::ordered_json to_json(const Estimate& estimate);

// The step time in seconds that a published figure comes to: of step_time_s, tokens_per_s_per_gpu,
// tokens_per_day, tflops_per_gpu, mfu, gpu_hours, the first there is.
std::optional<double> published_step_time(const Run& run, double peak_flops);

}  // namespace trainmeter
