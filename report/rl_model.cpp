// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Rollout, training, reference pass, weight transfer, transitions.
#include "report/rl_model.hpp"

#include "record/error.hpp"
#include "report/candidates.hpp"
#include "workload/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

namespace trainmeter {
namespace {

constexpr std::array<std::string_view, kRlFactors> kNames = {
    "decode_efficiency", "decode_kernels_s", "exchange_s",   "tokens_per_decode_step",
    "mean_of_allowed",   "length_spread",    "transition_s", "form of the RL model"};

const std::array<FactorPrior, kRlFactors> kPriors = {
    FactorPrior{
        .median = 0.65,
        .low = 0.39,
        .high = 1.08,
        .why = "the sum of a decode step's parts against published steps of V3, the median between "
               "the two: SGLang on 8 H200 at the end of 2024 (30.3, 206 and 761 tokens/s at batch "
               "1, 8 and 32; sgl-project/sglang pull 2643) is 0.39 to 0.63; DeepSeek's serving on "
               "H800 (14.8 K tokens/s a node at 20 to 22 a sequence of 4,989 tokens), which "
               "overlaps two batches, is 1.08"},
    {.median = 60e-6,
     .low = 30e-6,
     .high = 150e-6,
     .why = "20 to 30 kernels a layer, each with 2 to 5 us of launch, ramp and tail"},
    {.median = 25e-6,
     .low = 10e-6,
     .high = 60e-6,
     .why = "3 to 6 us of network (ISCA 2025, table 5) and a kernel on either side; NCCL starts a "
            "collective inside a node in some 30 us (micro/h200.json)"},
    {.median = 1.5,
     .low = 1.2,
     .high = 1.85,
     .why = "R1's rollouts drafted with the MTP module (arXiv 2501.12948v2, B.1); 85 to 90 % of "
            "its drafts are accepted (DeepSeek-V3 report, 5.4.3), fewer at temperature 1; SGLang "
            "prints 1.8 x at batch 1, 1.5 x at 32"},
    {.median = 0.25,
     .low = 0.1,
     .high = 0.6,
     .why = "limits are set not to bind, and a run from a base model begins with short outputs; "
            "DeepScaleR, from a reasoning model, averaged 3.5 to 5.5 K of 8 K"},
    {.median = 0.8,
     .low = 0.5,
     .high = 1.1,
     .why = "one output in twenty is 2 to 6 times as long as the median one"},
    {.median = 20,
     .low = 5,
     .high = 90,
     .why = "models take turns in memory (arXiv 2501.12948v2, B.1: offloaded after each phase): "
            "tens of GB a GPU over PCIe both ways, caches and graphs set up again"},
    {.median = 1,
     .low = 0.75,
     .high = 1.33,
     .why = "uneven GPUs and experts, restarts, evaluation, rewards that others wait for, the old "
            "policy's logits"}};

std::string place_of(const Run& run) {
  return run.place.file.empty() ? "run " + run.id : run.place.file;
}

}  // namespace

std::string_view to_string(RlFactor factor) {
  return kNames[static_cast<std::size_t>(factor)];
}

const FactorPrior& rl_prior(RlFactor factor) {
  return kPriors[static_cast<std::size_t>(factor)];
}

RlModel::RlModel(const Run& run, const System& system, const RateBook& book,
                 const Knowledge& knowledge, const PredictOptions& options, double peak_flops,
                 std::vector<RlPhase> phases)
    : run_(run),
      system_(system),
      phases_(std::move(phases)),
      node_links_(knowledge.factors.priors[static_cast<std::size_t>(Factor::node_links)]),
      network_links_(knowledge.factors.priors[static_cast<std::size_t>(Factor::network_links)]) {
  const Rl& rl = *run.rl;
  outputs_ =
      static_cast<double>(rl.questions_per_step) * static_cast<double>(rl.samples_per_question);
  outputs_per_rollout_ = rl.outputs_per_rollout
                             ? static_cast<double>(*rl.outputs_per_rollout)
                             : outputs_ * static_cast<double>(rl.minibatches.value_or(1));
  if (rl.minibatches && static_cast<double>(*rl.minibatches) != updates_per_rollout()) {
    throw BadInput(
        fmt::format("{}: rl.minibatches: expected outputs_per_rollout / (questions_per_step x "
                    "samples_per_question) = {:g}, found {}",
                    place_of(run), updates_per_rollout(), *rl.minibatches));
  }
  double longest = 0;
  const RlDraw centre = central();
  for (const RlPhase& phase : phases_) {
    steps_ += phase.steps;
    longest = std::max(longest, lengths(phase, centre).mean());
  }
  // Training in 16 bits with weights in 8 for rollouts is usual where the device has them.
  std::vector<std::string> dtypes = {run.precision};
  if (run.precision != "fp8" && system.peak_flops.contains("fp8")) dtypes.emplace_back("fp8");
  for (DecodeStep& decode : decode_layouts(*run.model, system, book, run.gpus, dtypes,
                                           outputs_per_rollout_, longest, place_of(run))) {
    engines_.push_back({.decode = std::move(decode)});
  }
  training_ = training_pass(run, system, book, knowledge, options, mean_work(centre), peak_flops);
  weigh_engines();
}

void RlModel::weigh_engines() {
  std::vector<double> steps;
  std::map<std::string, double> fastest;
  RlDraw d = central();
  for (d.engine = 0; d.engine < engines_.size(); ++d.engine) {
    steps.push_back(step(d).total_s());
    double& best =
        fastest.try_emplace(engines_[d.engine].decode.layout().dtype, steps.back()).first->second;
    best = std::min(best, steps.back());
  }
  std::map<std::string, double> sums;
  for (std::size_t i = 0; i < engines_.size(); ++i) {
    const std::string& dtype = engines_[i].decode.layout().dtype;
    engines_[i].weight = std::exp2(-(steps[i] / fastest.at(dtype) - 1) / kTuning);
    sums[dtype] += engines_[i].weight;
  }
  for (Engine& e : engines_) {
    e.weight /= sums.at(e.decode.layout().dtype) * static_cast<double>(sums.size());
  }
  constexpr double kNegligible = 0.01;
  std::vector<std::size_t> order;
  double kept = 0;
  for (std::size_t i = 0; i < engines_.size(); ++i) {
    if (engines_[i].weight < kNegligible) continue;
    order.push_back(i);
    kept += engines_[i].weight;
  }
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [&](std::size_t i) { return engines_[i].weight; });
  std::vector<Engine> likely;
  for (const std::size_t i : order) {
    likely.push_back({.decode = engines_[i].decode, .weight = engines_[i].weight / kept});
    log_steps_.push_back(std::log(steps[i]));
  }
  engines_ = std::move(likely);
}

RlDraw RlModel::central() const {
  RlDraw d;
  for (std::size_t f = 0; f < kRlFactors; ++f) d.factors[f] = kPriors[f].median;
  d.node_links = node_links_.median;
  d.network_links = network_links_.median;
  return d;
}

RlDraw RlModel::draw(std::mt19937_64& random, std::vector<double>& inputs) const {
  std::normal_distribution<double> normal;
  RlDraw d = central();
  const auto vary = [&](double& value, double log_sigma) {
    inputs.push_back(log_sigma * normal(random));
    value *= std::exp(inputs.back());
  };
  for (std::size_t f = 0; f < kRlFactors; ++f) vary(d.factors[f], kPriors[f].log_sigma());
  vary(d.node_links, node_links_.log_sigma());
  vary(d.network_links, network_links_.log_sigma());
  vary(d.memory, engines_.front().decode.memory().noise);
  vary(d.training, training_.log_sigma);
  double u = std::uniform_real_distribution<double>()(random);
  while (d.engine + 1 < engines_.size() && u > engines_[d.engine].weight) {
    u -= engines_[d.engine].weight;
    ++d.engine;
  }
  inputs.push_back(log_steps_[d.engine]);
  return d;
}

std::vector<std::string> RlModel::input_names() {
  std::vector<std::string> out(kNames.begin(), kNames.end());
  for (const char* name : {"node_links", "network_links", "spread of the memory measurements",
                           "training pass", "layout and dtype of the rollout engine"}) {
    out.emplace_back(name);
  }
  return out;
}

Lengths RlModel::lengths(const RlPhase& phase, const RlDraw& d) const {
  constexpr double kNoLimit = 1e3;  // means
  const double mean = phase.mean_output_tokens
                          ? *phase.mean_output_tokens
                          : d[RlFactor::mean_of_allowed] * *phase.max_output_tokens;
  return {mean, d[RlFactor::length_spread], phase.max_output_tokens.value_or(kNoLimit * mean)};
}

DecodeFactors RlModel::decode_factors(const RlDraw& d) const {
  return {.efficiency = d[RlFactor::decode_efficiency] * d.memory,
          .kernels_s = d[RlFactor::decode_kernels_s],
          .exchange_s = d[RlFactor::exchange_s],
          .node_links = d.node_links,
          .network_links = d.network_links,
          .verified_positions = drafts() ? 2.0 : 1.0};
}

RolloutTime RlModel::rollout(const Lengths& l, const RlDraw& d) const {
  return rollout(l, d, decode_factors(d));
}

double RlModel::rollout_at_rates_s(const RlDraw& d) const {
  DecodeFactors factors = decode_factors(d);
  factors.efficiency = 1;
  factors.kernels_s = factors.exchange_s = 0;
  factors.node_links = factors.network_links = std::numeric_limits<double>::infinity();
  double out = 0;
  for (const RlPhase& phase : phases_)
    out += phase.steps / steps_ * rollout(lengths(phase, d), d, factors).seconds;
  return out / updates_per_rollout();
}

RolloutTime RlModel::rollout(const Lengths& l, const RlDraw& d,
                             const DecodeFactors& factors) const {
  const double tokens = drafts() ? std::clamp(d[RlFactor::tokens_per_decode_step], 1.0, 2.0) : 1.0;
  const DecodeStep& engine = engines_[d.engine].decode;
  const auto gpus = static_cast<double>(used_gpus(run_.gpus, engine.layout().gpus));
  return rollout_time(engine, l, outputs_per_rollout_, outputs_per_rollout_ / gpus, tokens,
                      factors);
}

double RlModel::flops_per_token(const Lengths& l) const {
  const auto length = std::max<std::int64_t>(1, std::llround(l.length_of_mean_token()));
  return training_flops_per_token(*run_.model, {.seq_len = length});
}

UpdateWork RlModel::mean_work(const RlDraw& d) const {
  UpdateWork out;
  for (const RlPhase& phase : phases_) {
    const Lengths l = lengths(phase, d);
    const double tokens = outputs_ * l.mean() * phase.steps / steps_;
    out.tokens += tokens;
    out.length += tokens * l.length_of_mean_token();
    out.flops += tokens * flops_per_token(l);
  }
  out.length /= out.tokens;
  return out;
}

double RlModel::weight_transfer_s(const RlDraw& d) const {
  if (run_.gpus < 2) return 0;
  const auto& link = one_node() ? system_.nvlink_bytes_per_s : system_.nic_bytes_per_s;
  if (!link) return 0;
  const double reached = one_node() ? d.node_links : d.network_links;
  return engines_[d.engine].decode.weight_bytes() / (*link * reached);
}

RlStep RlModel::mean_step(RlDraw d) const {
  constexpr std::array kSeconds = {&RlStep::rollout_s,   &RlStep::training_s,
                                   &RlStep::reference_s, &RlStep::weight_transfer_s,
                                   &RlStep::overhead_s,  &RlStep::rollout_at_rates_s};
  RlStep out;
  double log_s = 0;
  for (d.engine = 0; d.engine < engines_.size(); ++d.engine) {
    RlStep one = step(d);
    one.rollout_at_rates_s = rollout_at_rates_s(d);
    const double weight = engines_[d.engine].weight;
    log_s += weight * std::log(one.total_s());
    for (const auto seconds : kSeconds) out.*seconds += weight * one.*seconds;
    out.tokens = one.tokens;
    out.flops = one.flops;
  }
  const double scale = std::exp(log_s) / out.total_s();
  for (const auto seconds : kSeconds) out.*seconds *= scale;
  return out;
}

RlStep RlModel::step(const RlDraw& d) const {
  RlStep out;
  const double form = d[RlFactor::form];
  // A training pass is three forward passes: a token is generated in one, trained on in three, and
  // scored by the reference model in one.
  const double passes = run_.rl->reference_model ? 5.0 / 3 : 4.0 / 3;
  for (const RlPhase& phase : phases_) {
    const double share = phase.steps / steps_;
    const Lengths l = lengths(phase, d);
    const double tokens = outputs_ * l.mean();
    out.tokens += share * tokens;
    out.flops += share * tokens * flops_per_token(l) * passes;
    out.rollout_s += share * form * rollout(l, d).seconds / updates_per_rollout();
    const double work = training_.work_of(tokens) * d.training;
    out.training_s += share * form * (training_.fixed_s * d.training + work);
    if (run_.rl->reference_model) out.reference_s += share * form * work / 3;
  }
  out.weight_transfer_s = form * weight_transfer_s(d) / updates_per_rollout();
  out.overhead_s = form * d[RlFactor::transition_s] / updates_per_rollout();
  return out;
}

}  // namespace trainmeter
