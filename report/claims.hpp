// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Is a published claim believable? Its own arithmetic, what it implies per GPU, and the best that
// anybody measured on that GPU.
#pragma once

#include "report/predict.hpp"
#include "workload/run.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// One sum redone: "512 GPUs x 80 h = 40,960 GPU-hours", beside what the source prints.
struct Arithmetic {
  std::string what;  // the sum with its result
  double computed = 0;
  double printed = 0;
  std::string unit;     // "GPU-hours" or "USD"
  bool agrees = false;  // within the printed figures' rounding
};

// Model FLOP/s per GPU that one stage's tokens and GPU-hours imply.
struct Implied {
  std::string stage;
  double flops_per_s_per_gpu = 0;
  bool upper_bound =
      false;  // RL with every output as long as allowed: the mean length isn't printed
  std::string how;
  std::string precision;
};

struct Ceiling {
  double flops_per_s = 0;
  std::string dtype, origin, how;
};

struct ClaimPrediction {  // of the stages that can be predicted
  std::string run;
  Prediction prediction;
};

struct Verdict {
  std::string id, title;
  std::string verdict;  // consistent exceeds_measured contradictory untestable
  std::string reason;
  std::vector<Arithmetic> arithmetic;
  std::vector<Implied> implied;
  std::vector<Ceiling> ceilings;  // by precision, the run's first
  std::vector<ClaimPrediction> predicted;
  std::vector<std::string> not_predicted;     // stages, with the reason
  std::optional<double> gpu_hours, cost_usd;  // as the source prints them
  std::optional<Source> source;
  bool fails() const { return verdict == "contradictory" || verdict == "exceeds_measured"; }
};

// Judges with the rates published for the claim's own system.
Verdict judge(const Run& claim, const Library& library);

nlohmann::ordered_json to_json(const Verdict& verdict);

}  // namespace trainmeter
