// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Is a published claim believable? Its own arithmetic, what it implies per GPU, and the best that
// anybody measured on that GPU. docs/claims.md has the rules in words.
#pragma once

#include "report/cost.hpp"
#include "report/document.hpp"
#include "report/predict.hpp"
#include "workload/claim.hpp"

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
  std::string unit;                    // GPU-hours, USD, TFLOP/s, ... (workload/claim.cpp)
  bool agrees = false;                 // within the printed figures' rounding
  std::string rule = "sums_disagree";  // the rule that speaks where it doesn't agree
  std::string note;                    // what the disagreement looks like, where that is known
};

// What a token's training costs in one way of counting, and the MFU that follows.
struct Convention {
  std::string name;  // "6ND", "causal attention", "full attention"
  double flops_per_token = 0;
  double mfu = 0;  // against the dense bf16 peak
};

// FLOP/s per GPU that one printed figure implies.
struct ImpliedRate {
  std::string figure;  // tokens and hours, tokens/s, step time, tokens a day, TFLOP/s, MFU
  std::string how;
  double flops_per_s_per_gpu = 0;
  double tokens_per_s = 0;  // per GPU; 0 where the figure is of FLOPs
  bool whole_run = false;   // an average over all hours; else the rate while it trains
};

// FLOP/s per GPU that one stage's figures imply, the most by any of them; of a collective, bytes/s.
struct Implied {
  std::string stage;
  double flops_per_s_per_gpu = 0;
  double bus_bytes_per_s = 0;
  bool upper_bound =
      false;  // RL with every output as long as allowed: the mean length isn't printed
  std::string how;
  std::string precision;
  double bf16_share = 0;  // of an fp8 run's FLOPs: attention and head, as its file counts them
  std::string operation = "gemm";         // the ceiling's that it is held against
  std::vector<Convention> conventions;    // by the most tokens/s that a figure implies
  std::vector<ImpliedRate> rates;         // by each figure
  std::optional<double> whole_run_share;  // of the fastest steady rate, where both are printed
};

struct Ceiling {
  std::string operation = "gemm";
  double flops_per_s = 0, bus_bytes_per_s = 0;  // one of them
  std::string dtype, origin, how;
  std::string figure;  // id of the published one; empty: the user's own record
  bool own = false;    // published by the claimant
  KeyPlace place;      // of that figure
};

struct ClaimPrediction {  // of the stages that can be predicted
  std::string run;
  Prediction prediction;
  std::optional<double> claimed_gpu_hours;
  // Of the claimed hours: "below" or "above" the predicted range, "within"; empty without both.
  [[nodiscard]] std::string place() const;
};

struct Verdict {
  std::string id, title;
  std::string verdict;  // consistent exceeds_measured contradictory untestable
  std::string rule;     // the one that decided: docs/claims.md
  std::string reason;
  std::string plainly;  // the contradiction in a layman's words, where its source tells it
  std::string would_change;
  std::vector<Arithmetic> arithmetic;
  std::vector<Implied> implied;
  std::vector<Ceiling> ceilings;  // by precision, the run's first
  std::vector<ClaimPrediction> predicted;
  std::vector<std::string> not_predicted;     // runs and stages: id, hours claimed, why
  std::optional<double> gpu_hours, cost_usd;  // as the source prints them
  std::optional<Cost> cost;                   // of the GPU-hours, printed or computed
  std::string sentence, who, said_on;
  bool constructed = false;
  std::vector<std::string> counts, leaves_out;
  std::optional<Source> source;
  KeyPlace place;      // the claim's file
  KeyPlace run_below;  // the run file that it is built on, where it is
  bool fails() const { return verdict == "contradictory" || verdict == "exceeds_measured"; }
};

struct JudgeOptions {
  // The user's, carried to the claim's system: what the claim's run is predicted with, and ceilings
  // where they are above the published ones. Empty: published ones alone.
  std::vector<Record> rates;
  CostOptions cost;
};

Verdict judge(const Claim& claim, const Library& library, const JudgeOptions& options = {});

nlohmann::ordered_json to_json(const Verdict& verdict);
Document to_document(const std::vector<Verdict>& verdicts);
Document claims_table(const std::vector<Verdict>& verdicts);  // the verdicts alone

}  // namespace trainmeter
