// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From rates to one training run: step time, GPU-hours, MFU, cost, each as a range.
// docs/extrapolation.md explains the model.
#pragma once

#include "report/candidates.hpp"
#include "report/estimates.hpp"
#include "report/factors.hpp"
#include "report/rates.hpp"
#include "report/used_factors.hpp"
#include "report/used_inputs.hpp"
#include "workload/run.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

struct Prediction {
  std::string run_id, system_id;
  std::int64_t gpus = 1;
  std::string precision;  // of GEMMs: the run's, or what replaces it here; of stages all of theirs
  RunEstimates estimates;
  RunEstimates null_model;              // see null_step_s
  std::optional<Estimate> slot_time_s;  // one micro-batch forward and backward in the median stage,
                                        // where there is a pipeline
  // Adds up to the median step: parts with every input at its middle, averaged over the plausible
  // layouts and scaled to it.
  std::vector<std::pair<std::string, double>> breakdown_s;
  // Input, share of the variance of log step time that it explains by itself.
  std::vector<std::pair<std::string, double>> moves_most;
  std::optional<double> published_step_time_s;  // what the source's figure comes to
  std::optional<double> error_pct;              // of the step time against it
  nlohmann::ordered_json published;
  std::vector<UsedRate> rates;        // the most time first
  std::vector<UsedFactor> factors;    // between those rates and the step
  std::vector<InPlaceLink> in_place;  // the one of them that every GEMM has, measured or not
  std::vector<UsedInput> inputs;      // what else it takes as given
  KeyPlace place;                     // of the run in its file
  std::vector<std::string> assumptions;
  std::optional<MemoryUse> memory;  // of its likeliest layout; of stages, the fullest one's
  std::optional<double> price_usd_per_gpu_hour;
  std::string price_how;      // whose, of when
  double goodput = 1;         // share of wall time that trains; hours are divided by it
  double flops_per_step = 0;  // of the whole run's step, model FLOPs
  double mfu_peak_flops = 0;  // the denominator
  double most_mfu = 1;        // that the peak of its GEMMs allows: fp8's is twice bf16's
};

// What is known besides rates: the factors' priors, and what published steps say about them.
struct Knowledge {
  FactorTable factors;
  Calibration calibration;
};
Knowledge load_knowledge(const Library& library);

inline constexpr int kLeastDraws = 100, kMostDraws = 1'000'000;  // where there is a range

struct PredictOptions {
  std::optional<double> price_usd_per_gpu_hour;  // before the run's, before the system's
  int samples = 1000;                            // 0: no range, every input at its median
  std::uint64_t seed = 1;
};

// The run as it would be on another system than its own (or its stages'): its work, layout and
// software, without what its source says of that system: published figures, price, power cap.
// On its own, as it is.
Run carried_to(Run run, const System& system);
std::string left_out_on(const System& system, const Run& run);  // says so; empty on its own

// Where a system has a published id but other figures, for which that id's measured rates are taken
// all the same: says so. Else empty.
std::string differs_from_published(const System& system, const Library& library);

// Says which traffic the step leaves out, a line for each kind of link without a bandwidth.
std::vector<std::string> left_out_traffic(const Prediction& prediction);

// Where it needs more memory than a device has, and nobody ran it, says so; else empty.
std::string beyond_memory(const Prediction& prediction);

// What the run leaves out and this takes, one a line (Run::left_out).
std::vector<std::string> defaults_taken(const Run& run);

// As carried_to(run, system). BadInput where the run lacks what a prediction needs, its layout is
// impossible or doesn't fit, or no rate is known for it, or where something impossible follows: no
// time for a step, more FLOP/s than the peak. A run is never predicted with factors that its own
// family took part in.
Prediction predict(const Run& run, const System& system, const RateBook& rates,
                   const Knowledge& knowledge, const PredictOptions& options);

// What is believed of the factors of a run's step, whatever its layout.
struct StepBelief {
  Belief before;                         // without what was measured
  std::vector<MeasuredFactor> measured;  // of the factors, on the run's own device
  FactorValues centre{};                 // the medians with that
};
StepBelief step_belief(const Run& run, const System& system, const RateBook& rates,
                       const Knowledge& knowledge);

// BadInput where a figure of it is none that can be: a step, slot or part of one that takes no
// time, a rate's share or an MFU above 100 %.
void refuse_impossible(const Prediction& prediction);

// BadInput where a GEMM was measured on a GPU above its datasheet's dense peak.
void refuse_impossible(const RateBook& book, const System& system);

// Fills in what `out` takes as given, from the run and what it was predicted with. `null_peak`:
// what the null model's step is of, where that isn't `peak`.
void add_inputs(Prediction& out, const Run& run, const UsedInput& peak,
                std::optional<UsedInput> null_peak, const std::optional<UsedInput>& price);

// The step without sampling: the geometric mean over the candidates, every factor at its median.
double central_step_s(const std::vector<Candidate>& candidates, const FactorValues& factors);

// log(middle of the sampled step times / central_step_s at the belief's means): what skewed inputs
// and maxima add.
double median_shift(const std::vector<Candidate>& candidates, const Belief& belief,
                    const PredictOptions& options);

inline constexpr double kNullMfu = 0.40;  // the null model's

// 40 % of the dense bf16 peak for everything, in exact causal FLOPs without router and MTP. Nothing
// where the system has no bf16 peak (fp32 on a CPU without bf16).
std::optional<double> null_step_s(const Run& run, const System& system, const RateBook& book);

// What the source claims, as the run file has it.
nlohmann::ordered_json printed_figures(const Published& published);
// A run that nobody has published, nor printed a figure of.
bool is_plan(const Run& run);

nlohmann::ordered_json to_json(const Prediction& prediction);
nlohmann::ordered_json to_json(const Estimate& estimate);

// The step time in seconds that a published figure comes to: of step_time_s, tokens_per_s_per_gpu,
// tokens_per_day, tflops_per_gpu, mfu, hfu, gpu_hours, wall_hours, the first there is. hfu counts a
// second forward pass where the layout recomputes.
std::optional<double> published_step_time(const Run& run, double peak_flops);

}  // namespace trainmeter
