// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Samples the step-time model (step_time.hpp) over everything uncertain, and turns step times into
// hours, MFU and money.
#include "report/predict.hpp"

#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/statistics.hpp"
#include "report/mfu_peak.hpp"
#include "report/price.hpp"
#include "report/rl.hpp"
#include "report/step_draws.hpp"
#include "workload/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

struct RunFacts {
  double tokens_per_step = 0, flops_per_token = 0, peak = 0;
  StepsOfRun of;
};

RunEstimates estimates_from(const std::vector<double>& step_times, const RunFacts& f) {
  StepDraws draws{.step_time_s = step_times, .mfu = {}, .tflops_per_gpu = {}};
  for (const double t : step_times) {
    draws.mfu.push_back(mfu(f.tokens_per_step / t, f.flops_per_token, f.of.gpus, f.peak));
    draws.tflops_per_gpu.push_back(f.tokens_per_step * f.flops_per_token / t / f.of.gpus / 1e12);
  }
  return estimates_of(draws, f.of, middle);
}

}  // namespace

std::optional<double> published_step_time(const Run& run, double peak_flops) {
  if (!run.model || !run.seq_len || !run.global_batch_sequences) return std::nullopt;
  const Published& p = run.published;
  const auto tokens = static_cast<double>(*run.global_batch_sequences * *run.seq_len);
  const auto gpus = static_cast<double>(run.gpus);
  const double flops = training_flops_per_token(
      *run.model, {.seq_len = *run.seq_len,
                   .attention = run.published.mfu_attention.value_or(AttentionFlops::causal)});
  if (p.step_time_s) return p.step_time_s;
  if (p.tokens_per_s_per_gpu) return tokens / (*p.tokens_per_s_per_gpu * gpus);
  if (p.tokens_per_day) return tokens / *p.tokens_per_day * 86400;
  if (p.tflops_per_gpu) return tokens * flops / (*p.tflops_per_gpu * 1e12 * gpus);
  if (p.mfu) return tokens * flops / (*p.mfu * peak_flops * gpus);
  if (p.hfu) {  // hardware FLOPs: forward, twice that backward, and a forward that is repeated
    const bool again = run.parallel && run.parallel->recompute == Recompute::full;
    return tokens * flops * (again ? 4.0 / 3 : 1) / (*p.hfu * peak_flops * gpus);
  }
  if (run.tokens && (p.gpu_hours || p.wall_hours)) {
    const double hours = p.gpu_hours ? *p.gpu_hours / gpus : *p.wall_hours;
    return hours * 3600 * run.goodput * tokens / *run.tokens;
  }
  return std::nullopt;
}

std::optional<double> null_step_s(const Run& run, const System& system, const RateBook& book) {
  const auto peak = dense_peak("bf16", run, system, book);
  if (!peak) return std::nullopt;
  const auto tokens = static_cast<double>(*run.global_batch_sequences * *run.seq_len);
  return tokens * training_flops_per_token(*run.model, {.seq_len = *run.seq_len}) /
         (kNullMfu * peak->value * static_cast<double>(run.gpus));
}

double central_step_s(const std::vector<Candidate>& candidates, const FactorValues& factors) {
  double log_time = 0;
  for (const Candidate& c : candidates) {
    log_time += c.weight * std::log(step_time(c.bill, factors).total_s);
  }
  return std::exp(log_time);
}

Knowledge load_knowledge(const Library& library) {
  return {read_factors(library.root() / "factors.json"),
          read_calibration(library.root() / "calibration.json")};
}

namespace {

// Squared correlation of each input with log step time: its share of the variance where the model
// is near linear in logarithms, as a sum of products is.
std::vector<std::pair<std::string, double>> sensitivities(const DrawnSteps& drawn) {
  std::vector<double> logs;
  for (const double t : drawn.step_s) logs.push_back(std::log(t));
  const double centre = mean(logs);
  double variance = 0;
  for (const double l : logs) variance += (l - centre) * (l - centre);
  // A draw and its opposite are one, so an input that moves nothing has a squared correlation of
  // chi-squared / pairs. Of some 30 such inputs about one in 30 lists passes kByChance for one.
  constexpr double kByChance = 10.8;  // 99.9 % of chi-squared with one degree of freedom
  const double pairs = static_cast<double>(logs.size()) / 2;
  std::vector<std::pair<std::string, double>> out;
  for (const auto& [name, x] : drawn.inputs) {
    const double x_centre = mean(x);
    double xx = 0;
    double xy = 0;
    for (std::size_t d = 0; d < x.size(); ++d) {
      xx += (x[d] - x_centre) * (x[d] - x_centre);
      xy += (x[d] - x_centre) * (logs[d] - centre);
    }
    constexpr double kLeastShare = 0.01;
    const double share = xx * variance > 0 ? xy * xy / (xx * variance) : 0;
    if (share >= std::max(kLeastShare, kByChance / pairs)) out.emplace_back(name, share);
  }
  std::ranges::stable_sort(out, std::ranges::greater{}, &std::pair<std::string, double>::second);
  return out;
}

std::vector<std::pair<std::string, double>> breakdown(const std::vector<Candidate>& candidates,
                                                      const FactorValues& centre, double median_s) {
  std::vector<std::pair<std::string, double>> out;
  double sum = 0;
  for (const Candidate& c : candidates) {
    for (const auto& [part, seconds] : step_time(c.bill, centre).breakdown_s) {
      auto same = std::ranges::find(out, part, &std::pair<std::string, double>::first);
      if (same == out.end()) same = out.insert(out.end(), {part, 0});
      same->second += c.weight * seconds;
      sum += c.weight * seconds;
    }
  }
  for (auto& [part, seconds] : out) seconds *= median_s / sum;
  return out;
}

void explain(Prediction& out, const std::vector<Candidate>& candidates,
             const FactorValues& centre) {
  const Candidate& likeliest = candidates.front();
  const StepTime step = step_time(likeliest.bill, centre);
  out.rates = likeliest.bill.rates;
  out.inputs = likeliest.bill.links;
  for (UsedRate& used : out.rates) used.share /= step.total_s;
  std::ranges::stable_sort(out.rates, std::ranges::greater{}, &UsedRate::share);
  out.assumptions = likeliest.bill.assumptions;
  out.memory = likeliest.memory;
  if (candidates.size() > 1) {
    out.assumptions.push_back(
        fmt::format("what the run doesn't print is sampled over {} plausible layouts; rates and "
                    "choices listed are those of the likeliest",
                    candidates.size()));
  }
  for (const std::string& note : likeliest.notes) out.assumptions.push_back(note);
}

}  // namespace

double median_shift(const std::vector<Candidate>& candidates, const Belief& belief,
                    const PredictOptions& options) {
  const FactorValues centre = belief.medians();
  return std::log(
      middle(draw_steps(candidates, belief, centre, options.samples, options.seed).step_s) /
      central_step_s(candidates, centre));
}

namespace {

// The fastest peak that a run may use; nothing where none is known.
double fastest_peak(const Run& run, const System& system, const RateBook& book) {
  double out = 0;
  for (const std::string& dtype : {std::string("bf16"), run.precision}) {
    if (const auto known = dense_peak(dtype, run, system, book)) out = std::max(out, known->value);
  }
  return out;
}

// Above 1 where MFU is against bf16's peak and the GEMMs have a faster one.
double most_mfu(const Run& run, const System& system, const RateBook& book) {
  const auto usual = dense_peak("bf16", run, system, book);
  return usual ? std::max(1.0, fastest_peak(run, system, book) / usual->value) : 1;
}

// The step with all its causal FLOPs at the fastest peak that it may use.
double least_step_s(const Run& run, const System& system, const RateBook& book) {
  const double flops = training_flops_per_token(*run.model, {.seq_len = *run.seq_len}) *
                       static_cast<double>(*run.global_batch_sequences * *run.seq_len);
  return flops / (fastest_peak(run, system, book) * static_cast<double>(run.gpus));
}

// No draw is faster than the peak. Where the middle one would be, some rate or peak is wrong.
void bound_by_peak(std::vector<double>& steps, const Run& run, const System& system,
                   const RateBook& book) {
  const double least = least_step_s(run, system, book);
  if (!(least <= middle(steps))) {
    throw BadInput(
        fmt::format("run {} on {}: a step of {:.3g} s would be faster than its FLOPs at the peak, "
                    "{:.3g} s: a rate, a size or the peak is wrong",
                    run.id, system.id, middle(steps), least));
  }
  for (double& seconds : steps) seconds = std::max(seconds, least);
}

// The dtype that a run's GEMMs are in here, `rates_of` being the one whose rates stand for them:
// fp16 and bf16 are one datapath, another dtype replaces the run's.
std::string computed_in(const std::string& precision, const std::string& rates_of) {
  const bool narrow = rates_of == "fp16" || rates_of == "bf16";
  return narrow && (precision == "fp16" || precision == "bf16") ? precision : rates_of;
}

Prediction checked(Prediction out, const Run& run, const System& system) {
  refuse_impossible(out);
  for (std::string& text : defaults_taken(run)) out.assumptions.push_back(std::move(text));
  if (system.one_gpu_a_node_assumed && run.gpus > 1)
    out.assumptions.push_back(fmt::format(
        "gpus_per_node of {} isn't printed: one assumed, so that all GPUs exchange over "
        "the network",
        system.id));
  if (const std::string left_out = left_out_on(system, run); !left_out.empty())
    out.assumptions.push_back(left_out);
  if (const std::string beyond = beyond_memory(out); !beyond.empty())
    out.assumptions.push_back(beyond);
  return out;
}

}  // namespace

StepBelief step_belief(const Run& run, const System& system, const RateBook& book,
                       const Knowledge& knowledge) {
  StepBelief out;
  out.before = knowledge.calibration.for_family(run.family);
  out.measured = measured_factors(book.slowdowns(), run.precision, system);
  out.centre = with_measured(out.before, out.measured).medians();
  return out;
}

Prediction predict(const Run& original, const System& system, const RateBook& book,
                   const Knowledge& knowledge, const PredictOptions& options) {
  const Run run = carried_to(original, system);
  if (options.samples != 0 && options.samples < kLeastDraws) {
    throw BadInput(fmt::format("--samples: expected 0 (no range) or at least {}", kLeastDraws));
  }
  if (run.rl && run.tokens) {
    throw BadInput(fmt::format(
        "{}: tokens: expected none beside `rl`, whose phases say what an RL stage trains on",
        run.place.file.empty() ? "run " + run.id : run.place.file));
  }
  refuse_impossible(book, system);
  if (run.rl) {
    Prediction out = predict_rl(run, system, book, knowledge, options, mfu_peak(run, system, book));
    out.most_mfu = most_mfu(run, system, book);
    return checked(std::move(out), run, system);
  }
  const auto [before, measured, centre] = step_belief(run, system, book, knowledge);
  const std::vector<Candidate> ways = candidates(run, system, book, centre);

  Prediction out;
  out.run_id = run.id;
  out.system_id = system.id;
  out.gpus = run.gpus;
  out.precision = computed_in(run.precision, ways.front().bill.gemm.dtype);
  out.goodput = run.goodput;
  explain(out, ways, centre);
  out.factors =
      used_factors(ways.front().bill, knowledge.factors, with_measured(before, measured), measured);
  out.in_place = in_place_links(ways.front().bill, out.factors);
  for (std::string& text : learnt_from_one_family(out.factors, knowledge.calibration, run.family))
    out.assumptions.push_back(std::move(text));
  DrawnSteps drawn;
  if (options.samples > 0) {
    drawn = draw_steps(ways, before, centre, options.samples, options.seed, measured);
  } else {
    drawn.step_s = {central_step_s(ways, centre)};
    drawn.over_centre = {1};
  }
  out.moves_most = sensitivities(drawn);
  if (ways.front().bill.layout.pp > 1) {
    const double slot = step_time(ways.front().bill, centre).slot_s;
    const Estimate ratio = estimate_of(drawn.over_centre, middle);
    out.slot_time_s = Estimate{slot * ratio.p05, slot * ratio.p50, slot * ratio.p95};
  }

  RunFacts facts;
  facts.tokens_per_step = static_cast<double>(*run.global_batch_sequences * *run.seq_len);
  facts.flops_per_token = training_flops_per_token(
      *run.model, {.seq_len = *run.seq_len,
                   .attention = run.published.mfu_attention.value_or(AttentionFlops::causal)});
  facts.of.gpus = static_cast<double>(run.gpus);
  const UsedInput peak = mfu_peak(run, system, book);
  facts.peak = peak.value;
  bound_by_peak(drawn.step_s, run, system, book);
  facts.of.goodput = run.goodput;
  if (run.tokens) facts.of.steps = *run.tokens / facts.tokens_per_step;
  const Price price = price_of(run, system, options);
  facts.of.usd_per_gpu_hour = out.price_usd_per_gpu_hour = price.usd_per_gpu_hour;
  out.price_how = price.how;
  out.flops_per_step = facts.tokens_per_step * facts.flops_per_token;
  out.mfu_peak_flops = facts.peak;
  out.most_mfu = most_mfu(run, system, book);
  add_inputs(out, run, peak, dense_peak("bf16", run, system, book), price.input());
  out.estimates = estimates_from(drawn.step_s, facts);
  out.breakdown_s = breakdown(ways, centre, out.estimates.step_time_s.p50);
  if (const auto null_time = null_step_s(run, system, book)) {
    out.null_model = estimates_from({*null_time}, facts);
  }
  if (const auto published = published_step_time(run, facts.peak)) {
    out.published_step_time_s = published;
    out.error_pct = (out.estimates.step_time_s.p50 / *published - 1) * 100;
  }
  if (!price.usd_per_gpu_hour)
    out.assumptions.emplace_back("no price is known: give --price for the cost");
  out.published = printed_figures(run.published);
  return checked(std::move(out), run, system);
}

}  // namespace trainmeter
