// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Samples the RL step, and puts its inputs into words.
#include "report/rl.hpp"

#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/statistics.hpp"
#include "report/price.hpp"
#include "report/rl_model.hpp"
#include "report/step_links.hpp"
#include "workload/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <random>

namespace trainmeter {
namespace {

std::string place_of(const Run& run) {
  return run.place.file.empty() ? "run " + run.id : run.place.file;
}

// GPU-hours over GPUs where no wall hours are printed.
std::optional<double> published_hours(const Run& run) {
  if (run.published.wall_hours) return run.published.wall_hours;
  if (run.published.gpu_hours) return *run.published.gpu_hours / static_cast<double>(run.gpus);
  return std::nullopt;
}

double hours(const RlModel& model, const RlDraw& draw, const Run& run) {
  return model.steps() * model.mean_step(draw).total_s() / 3600 / run.goodput;
}

// Mean output over the longest allowed with which the model at its middle gives `target` hours.
std::optional<double> explaining_share(const RlModel& model, const Run& run, double target) {
  RlDraw d = model.central();
  const auto hours_at = [&](double share) {
    d[RlFactor::mean_of_allowed] = share;
    return hours(model, d, run);
  };
  double low = 0.005;
  double high = Lengths::kFullest;
  if (!(hours_at(low) < target && target < hours_at(high))) return std::nullopt;
  constexpr int kHalvings = 30;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = std::sqrt(low * high);
    (hours_at(middle) < target ? low : high) = middle;
  }
  return high;
}

std::string two_digits(double value) {
  const double unit = std::pow(10, std::floor(std::log10(value)) - 1);
  return format_count(std::round(value / unit) * unit);
}

using ModelOf = std::function<RlModel(std::vector<RlPhase>)>;

// What a run without steps or lengths would need, in words; empty where no hours are printed.
std::string would_explain(const ModelOf& model_of, const Run& run, std::optional<double> steps) {
  const auto target = published_hours(run);
  if (!target) return "";
  constexpr double kLongest = 32768;
  std::string text;
  if (!steps) {
    for (const double mean : {2048.0, 8192.0}) {
      const RlModel model =
          model_of({{.steps = 1, .mean_output_tokens = mean, .max_output_tokens = kLongest}});
      text +=
          fmt::format("{}{} steps with outputs of {} tokens on average", text.empty() ? "" : " or ",
                      two_digits(*target / hours(model, model.central(), run)), format_count(mean));
    }
    text += fmt::format(" and {} at most", format_count(kLongest));
  } else {
    const RlModel model = model_of(
        {{.steps = *steps, .mean_output_tokens = std::nullopt, .max_output_tokens = kLongest}});
    const auto share = explaining_share(model, run, *target);
    text = fmt::format(
        "{} on average if {} were allowed",
        share ? "outputs of " + two_digits(*share * kLongest) + " tokens" : "no length of outputs",
        format_count(kLongest));
  }
  return fmt::format("; the published {:g} h would be explained by {}, {} outputs a rollout",
                     *target, text,
                     format_count(static_cast<double>(run.rl->outputs_per_rollout.value_or(
                         run.rl->questions_per_step * run.rl->samples_per_question))));
}

double median_draw(const std::vector<double>& draws) {
  return quantile(draws, 0.5);
}

RunEstimates estimates_from(const std::vector<double>& seconds, const std::vector<double>& flops,
                            double peak_flops, const StepsOfRun& run) {
  StepDraws draws{.step_time_s = seconds, .mfu = {}, .tflops_per_gpu = {}};
  for (std::size_t i = 0; i < seconds.size(); ++i) {
    const double per_gpu = flops[i] / seconds[i] / run.gpus;
    draws.tflops_per_gpu.push_back(per_gpu / 1e12);
    draws.mfu.push_back(per_gpu / peak_flops);
  }
  return estimates_of(draws, run, median_draw);
}

double squared_correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const double x_mean = mean(x);
  const double y_mean = mean(y);
  double xx = 0;
  double yy = 0;
  double xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - x_mean) * (x[i] - x_mean);
    yy += (y[i] - y_mean) * (y[i] - y_mean);
    xy += (x[i] - x_mean) * (y[i] - y_mean);
  }
  return xx * yy > 0 ? xy * xy / (xx * yy) : 0;
}

struct Sampled {
  std::vector<double> seconds, flops;
  std::vector<std::vector<double>> inputs;  // by input, one value a draw
};

Sampled sample(const RlModel& model, const PredictOptions& options) {
  std::mt19937_64 random(options.seed);
  Sampled out;
  out.inputs.resize(RlModel::input_names().size());
  if (options.samples == 0) {
    const RlStep step = model.mean_step(model.central());
    return {.seconds = {step.total_s()}, .flops = {step.flops}, .inputs = std::move(out.inputs)};
  }
  for (int i = 0; i < options.samples; ++i) {
    std::vector<double> inputs;
    const RlStep step = model.step(model.draw(random, inputs));
    out.seconds.push_back(step.total_s());
    out.flops.push_back(step.flops);
    for (std::size_t k = 0; k < inputs.size(); ++k) out.inputs[k].push_back(inputs[k]);
  }
  return out;
}

std::vector<std::pair<std::string, double>> sensitivities(const Sampled& sampled) {
  constexpr double kLeastShare = 0.01;
  std::vector<double> logs;
  for (const double t : sampled.seconds) logs.push_back(std::log(t));
  const std::vector<std::string> names = RlModel::input_names();
  std::vector<std::pair<std::string, double>> out;
  for (std::size_t k = 0; k < names.size(); ++k) {
    const double share = squared_correlation(sampled.inputs[k], logs);
    if (share >= kLeastShare) out.emplace_back(names[k], share);
  }
  std::ranges::stable_sort(out, std::ranges::greater{}, &std::pair<std::string, double>::second);
  return out;
}

std::string factor_words(RlFactor f) {
  const FactorPrior& p = rl_prior(f);
  return fmt::format("{} {:g} ({:g} to {:g}): {}", to_string(f), p.median, p.low, p.high, p.why);
}

std::vector<std::string> words(const RlModel& model, const Run& run, const System& system) {
  std::vector<std::string> out;
  const RlDraw centre = model.central();
  bool assumed_mean = false;
  for (const RlPhase& phase : model.phases()) {
    const Lengths l = model.lengths(phase, centre);
    const RolloutTime r = model.rollout(l, centre);
    const double longest = l.longest(model.outputs_per_rollout());
    out.push_back(fmt::format(
        "{:.0f} steps: outputs of {:.0f} tokens on average{}; a rollout of {:.0f} takes {:.0f} s: "
        "its longest output of {:.0f} tokens alone would take {:.0f} s ({:.0f} tokens/s), all "
        "tokens at the full batch's rate {:.0f} s",
        phase.steps, l.mean(), phase.mean_output_tokens ? "" : " (assumed)",
        model.outputs_per_rollout(), r.seconds, longest, r.alone_s, longest / r.alone_s,
        r.throughput_s));
    assumed_mean = assumed_mean || !phase.mean_output_tokens;
  }
  std::vector<std::string> engines;
  for (const Engine& e : model.engines()) {
    const DecodeLayout& l = e.decode.layout();
    const std::int64_t idle = run.gpus - used_gpus(run.gpus, l.gpus);
    engines.push_back(fmt::format("{} in {}{} ({:.0f} %)", l.gpus, l.dtype,
                                  idle > 0 ? fmt::format(" with {} idle", idle) : "",
                                  100 * e.weight));
  }
  out.push_back(
      fmt::format("rollout engine isn't printed: GPUs that share one copy of the weights "
                  "sampled over {}; rollout times are those of the first",
                  fmt::join(engines, ", ")));
  for (const std::string& text : model.training().assumptions) out.push_back(text);
  if (run.gpus > 1 && !(model.one_node() ? system.nvlink_bytes_per_s : system.nic_bytes_per_s)) {
    out.push_back("weight transfer" + std::string(model.one_node() ? kNoLink : kNoNetwork));
  }
  if (!run.rl->outputs_per_rollout && !run.rl->minibatches) {
    out.emplace_back("outputs_per_rollout isn't printed: one rollout a step assumed");
  }
  for (std::size_t f = 0; f < kRlFactors; ++f) {
    const auto factor = static_cast<RlFactor>(f);
    if (factor == RlFactor::tokens_per_decode_step && !model.drafts()) continue;
    if (factor == RlFactor::mean_of_allowed && !assumed_mean) continue;
    out.push_back(factor_words(factor));
  }
  const auto target = published_hours(run);
  if (assumed_mean && target) {
    const auto share = explaining_share(model, run, *target);
    out.push_back(share ? fmt::format("with all else at its middle, mean outputs of {:.2g} of the "
                                      "longest allowed would explain the published {:g} h",
                                      *share, *target)
                        : fmt::format("with all else at its middle, no mean output explains the "
                                      "published {:g} h",
                                      *target));
  }
  return out;
}

// Phases must have lengths; how many of the run's steps they make.
void check_phases(const Run& run, const ModelOf& model_of) {
  const std::vector<RlPhase>& phases = run.rl->phases;
  if (phases.empty()) {
    throw BadInput(
        fmt::format("{}: rl.phases: missing; a prediction needs steps and output lengths{}",
                    place_of(run), would_explain(model_of, run, std::nullopt)));
  }
  double steps = 0;
  for (const RlPhase& phase : phases) steps += phase.steps;
  for (std::size_t i = 0; i < phases.size(); ++i) {
    if (phases[i].mean_output_tokens || phases[i].max_output_tokens) continue;
    throw BadInput(
        fmt::format("{}: rl.phases[{}]: mean_output_tokens or max_output_tokens missing; a "
                    "prediction needs one{}",
                    place_of(run), i, would_explain(model_of, run, steps)));
  }
}

UsedInput constant(const std::string& what, const FactorPrior& prior, const char* file,
                   std::vector<std::string> parts) {
  UsedInput out;
  out.what = what;
  out.value = prior.median;
  out.how = prior.why;
  out.kind = "assumed";
  out.origins = {fmt::format("the constants of report/{}", file)};
  out.parts = std::move(parts);
  return out;
}

// What the parts of the step follow from beside rates.
void add_constants(Prediction& out, const RlModel& model, const System& system) {
  UsedInput steps;
  steps.what = "steps";
  steps.value = model.steps();
  steps.how = "updates, of all phases";
  steps.place = out.place.at("rl.phases");
  steps.parts = {"rollout", "training", "reference"};
  out.inputs.push_back(std::move(steps));
  for (std::size_t f = 0; f < kRlFactors; ++f) {
    const auto factor = static_cast<RlFactor>(f);
    std::vector<std::string> parts = {factor == RlFactor::transition_s ? "overhead" : "rollout"};
    if (factor == RlFactor::form)
      parts = {"rollout", "training", "reference", "weight_transfer", "overhead"};
    std::string what(to_string(factor));
    std::ranges::replace(what, ' ', '_');
    out.inputs.push_back(constant("rl." + what, rl_prior(factor), "rl_model.cpp", parts));
  }
  if (model.training().rates.empty()) {
    out.inputs.push_back(constant("rl.training_mfu", training_mfu_prior(), "rl_training.cpp",
                                  {"training", "reference"}));
  }
  const auto& bandwidth = model.one_node() ? system.nvlink_bytes_per_s : system.nic_bytes_per_s;
  if (!bandwidth || out.gpus < 2) return;
  UsedInput link;
  link.what = model.one_node() ? "nvlink_bytes_per_s" : "nic_bytes_per_s";
  link.value = *bandwidth;
  link.how = model.one_node() ? "a GPU's links inside a node, one way"
                              : "a GPU's share of its node's network, one way";
  link.place = system.place.at(link.what);
  link.numbers = {"machine:" + link.what};
  link.parts = {"weight_transfer"};
  out.inputs.push_back(std::move(link));
}

}  // namespace

Prediction predict_rl(const Run& run, const System& system, const RateBook& book,
                      const Knowledge& knowledge, const PredictOptions& options,
                      const UsedInput& peak) {
  const double peak_flops = peak.value;
  if (!run.model) {
    throw BadInput(fmt::format("{}: model: missing; a prediction needs it", place_of(run)));
  }
  const auto model_of = [&](std::vector<RlPhase> phases) {
    return RlModel(run, system, book, knowledge, options, peak_flops, std::move(phases));
  };
  check_phases(run, model_of);
  const RlModel model = model_of(run.rl->phases);
  const Sampled sampled = sample(model, options);
  const RlStep centre = model.mean_step(model.central());

  Prediction out;
  out.run_id = run.id;
  out.system_id = system.id;
  out.gpus = run.gpus;
  out.precision = run.precision;
  out.goodput = run.goodput;
  out.published = printed_figures(run.published);
  out.breakdown_s = {{"rollout", centre.rollout_s},
                     {"training", centre.training_s},
                     {"reference", centre.reference_s},
                     {"weight_transfer", centre.weight_transfer_s},
                     {"overhead", centre.overhead_s}};
  std::erase_if(out.breakdown_s, [](const auto& part) { return !(part.second > 0); });
  const double shown_s = median_draw(sampled.seconds);
  for (auto& [part, seconds] : out.breakdown_s) seconds *= shown_s / centre.total_s();
  const Price price = price_of(run, system, options);
  out.price_usd_per_gpu_hour = price.usd_per_gpu_hour;
  out.price_how = price.how;
  const StepsOfRun all{.gpus = static_cast<double>(run.gpus),
                       .steps = model.steps(),
                       .usd_per_gpu_hour = price.usd_per_gpu_hour,
                       .goodput = run.goodput};
  out.estimates = estimates_from(sampled.seconds, sampled.flops, peak_flops, all);
  // The null model's 6 N per token, for generated and for trained tokens alike.
  const double null_flops = 6 * active_parameters(*run.model) * 2 * centre.tokens;
  out.null_model = estimates_from({null_flops / (kNullMfu * peak_flops * all.gpus)}, {null_flops},
                                  peak_flops, all);
  if (options.samples > 0) out.moves_most = sensitivities(sampled);
  out.flops_per_step = centre.flops;
  out.mfu_peak_flops = peak_flops;

  const DecodeStep& engine = model.engines().front().decode;
  out.rates.push_back({"rollout, weights and cache at memory bandwidth", engine.memory(),
                       centre.rollout_at_rates_s / centre.total_s(), "rollout"});
  for (UsedRate used : model.training().rates) {
    used.share *= centre.training_s / centre.total_s();
    used.part = "training";
    out.rates.push_back(std::move(used));
  }
  add_inputs(out, run, peak, std::nullopt, price.input());
  add_constants(out, model, system);
  out.assumptions = words(model, run, system);
  if (!price.usd_per_gpu_hour)
    out.assumptions.emplace_back("no price is known: give --price for the cost");
  if (const auto published = published_hours(run)) {
    out.published_step_time_s = *published * 3600 * run.goodput / model.steps();
    out.error_pct = (out.estimates.step_time_s.p50 / *out.published_step_time_s - 1) * 100;
  }
  return out;
}

}  // namespace trainmeter
