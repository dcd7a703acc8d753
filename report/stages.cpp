// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Adds the stages' predictions.
#include "report/stages.hpp"

#include "record/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trainmeter {
namespace {

bool staged(const Run& run) {
  return !run.seq_len && !run.rl && !run.stages.empty() &&
         std::ranges::all_of(run.stages, [](const Stage& s) { return s.run != nullptr; });
}

void add(Estimate& sum, const Estimate& other, double times) {
  sum.p05 += other.p05 * times;
  sum.p50 += other.p50 * times;
  sum.p95 += other.p95 * times;
}

// One total of a stage's estimates into the whole's, with the stage's share of all steps.
void add(RunEstimates& sum, const RunEstimates& stage, double share, bool priced) {
  add(sum.step_time_s, stage.step_time_s, share);
  if (!sum.gpu_hours) sum.gpu_hours.emplace();
  add(*sum.gpu_hours, *stage.gpu_hours, 1);
  if (!priced) return;
  if (!sum.cost_usd) sum.cost_usd.emplace();
  add(*sum.cost_usd, *stage.cost_usd, 1);
}

// Rates over the whole, from its FLOPs: a fast step is a high rate.
void set_rates(RunEstimates& e, double flops_per_step, double gpus, double peak) {
  const auto rate = [&](double seconds) { return flops_per_step / seconds / gpus; };
  const Estimate& t = e.step_time_s;
  e.tflops_per_gpu = {rate(t.p95) / 1e12, rate(t.p50) / 1e12, rate(t.p05) / 1e12};
  e.mfu = {rate(t.p95) / peak, rate(t.p50) / peak, rate(t.p05) / peak};
}

}  // namespace

Prediction predict_run(const Run& original, const System& system, const RateBook& book,
                       const Knowledge& knowledge, const PredictOptions& options) {
  if (!staged(original)) return predict(original, system, book, knowledge, options);
  const Run run = carried_to(original, system);
  std::vector<Prediction> parts;
  std::vector<double> steps;
  double all_steps = 0;
  for (const Stage& stage : run.stages) {
    if (!stage.run->tokens) {
      throw BadInput(fmt::format("{}: stages: {}: tokens: missing; the sum of stages needs them",
                                 run.file, stage.run->id));
    }
    parts.push_back(predict_run(*stage.run, system, book, knowledge, options));
    steps.push_back(*stage.run->tokens /
                    static_cast<double>(*stage.run->global_batch_sequences * *stage.run->seq_len));
    all_steps += steps.back();
  }
  Prediction out;
  out.run_id = run.id;
  out.system_id = system.id;
  out.gpus = run.gpus;
  out.mfu_peak_flops = parts.front().mfu_peak_flops;
  out.price_usd_per_gpu_hour = parts.front().price_usd_per_gpu_hour;
  out.price_how = parts.front().price_how;
  const bool priced = std::ranges::all_of(
      parts, [](const Prediction& p) { return p.estimates.cost_usd.has_value(); });
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Prediction& part = parts[i];
    if (out.precision.find(part.precision) == std::string::npos)
      out.precision += (i > 0 ? ", " : "") + part.precision;
    const double share = steps[i] / all_steps;
    out.flops_per_step += part.flops_per_step * share;
    add(out.estimates, part.estimates, share, priced);
    add(out.null_model, part.null_model, share, priced);
    for (const auto& [name, seconds] : part.breakdown_s) {
      const auto same =
          std::ranges::find(out.breakdown_s, name, &std::pair<std::string, double>::first);
      if (same == out.breakdown_s.end()) {
        out.breakdown_s.emplace_back(name, seconds * share);
      } else {
        same->second += seconds * share;
      }
    }
    for (UsedRate used : part.rates) {
      used.what = part.run_id + ": " + used.what;
      used.share *= share;
      out.rates.push_back(std::move(used));
    }
    out.assumptions.push_back(fmt::format("{}: {:.0f} steps, {:.4g} s each", part.run_id, steps[i],
                                          part.estimates.step_time_s.p50));
    for (const std::string& text : part.assumptions) {
      if (std::ranges::find(out.assumptions, text) == out.assumptions.end()) {
        out.assumptions.push_back(text);
      }
    }
  }
  std::ranges::stable_sort(out.rates, std::ranges::greater{}, &UsedRate::share);
  out.moves_most = parts.front().moves_most;
  out.factors = parts.front().factors;
  out.in_place = parts.front().in_place;
  const auto gpus = static_cast<double>(run.gpus);
  set_rates(out.estimates, out.flops_per_step, gpus, out.mfu_peak_flops);
  set_rates(out.null_model, out.flops_per_step, gpus, out.mfu_peak_flops);
  out.published = printed_figures(run.published);
  if (run.published.gpu_hours) {
    out.published_step_time_s = *run.published.gpu_hours * 3600 / gpus / all_steps;
    out.error_pct = (out.estimates.step_time_s.p50 / *out.published_step_time_s - 1) * 100;
  }
  return out;
}

}  // namespace trainmeter
