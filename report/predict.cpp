// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Samples the step-time model (step_model.hpp) and turns step times into hours, MFU and money.
#include "report/predict.hpp"

#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/statistics.hpp"
#include "report/step_model.hpp"
#include "workload/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

namespace trainmeter {
namespace {

constexpr double kNullMfu = 0.40;
Estimate estimate_of(const std::vector<double>& values) {
  return {quantile(values, 0.05), quantile(values, 0.5), quantile(values, 0.95)};
}

double mfu_peak(const Run& run, const System& system, const RateBook& book) {
  if (run.published.mfu_peak_flops) return *run.published.mfu_peak_flops;
  for (const std::string& dtype : {std::string("bf16"), run.precision, std::string("fp32")}) {
    if (const auto found = system.peak_flops.find(dtype); found != system.peak_flops.end())
      return found->second;
    if (const auto measured = book.register_peak(dtype)) return measured->value;
  }
  throw BadInput(fmt::format("system {}: peak_flops: no bf16 or {} peak, so MFU has no denominator",
                             system.id, run.precision));
}

AttentionFlops attention_convention(const Run& run) {
  if (run.published.mfu_attention == "full") return AttentionFlops::full;
  if (run.published.mfu_attention == "none") return AttentionFlops::none;
  return AttentionFlops::causal;
}

struct RunFacts {
  double tokens_per_step, flops_per_token, gpus, peak;
  std::optional<double> steps, price;
  double goodput;
};

RunEstimates estimates_from(const std::vector<double>& step_times, const RunFacts& f) {
  RunEstimates out;
  std::vector<double> hours, mfus, tflops, cost;
  for (const double t : step_times) {
    mfus.push_back(mfu(f.tokens_per_step / t, f.flops_per_token, f.gpus, f.peak));
    tflops.push_back(f.tokens_per_step * f.flops_per_token / t / f.gpus / 1e12);
    if (f.steps) {
      hours.push_back(gpu_hours(f.gpus, *f.steps * t) / f.goodput);
      if (f.price) cost.push_back(cost_usd(hours.back(), *f.price));
    }
  }
  out.step_time_s = estimate_of(step_times);
  out.mfu = estimate_of(mfus);
  out.tflops_per_gpu = estimate_of(tflops);
  if (!hours.empty()) out.gpu_hours = estimate_of(hours);
  if (!cost.empty()) out.cost_usd = estimate_of(cost);
  return out;
}

}  // namespace

std::optional<double> published_step_time(const Run& run, double peak_flops) {
  if (!run.model || !run.seq_len || !run.global_batch_sequences) return std::nullopt;
  const Published& p = run.published;
  const auto tokens = static_cast<double>(*run.global_batch_sequences * *run.seq_len);
  const auto gpus = static_cast<double>(run.gpus);
  const double flops = training_flops_per_token(
      *run.model, {.seq_len = *run.seq_len, .attention = attention_convention(run)});
  if (p.step_time_s) return p.step_time_s;
  if (p.tokens_per_s_per_gpu) return tokens / (*p.tokens_per_s_per_gpu * gpus);
  if (p.tokens_per_day) return tokens / *p.tokens_per_day * 86400;
  if (p.tflops_per_gpu) return tokens * flops / (*p.tflops_per_gpu * 1e12 * gpus);
  if (p.mfu) return tokens * flops / (*p.mfu * peak_flops * gpus);
  if (p.gpu_hours && run.tokens)
    return *p.gpu_hours * 3600 * run.goodput / gpus * tokens / *run.tokens;
  return std::nullopt;
}

Prediction predict(const Run& run, const System& system, const RateBook& book,
                   const PredictOptions& options) {
  const auto need = [&](bool there, const char* key) {
    if (!there)
      throw BadInput(fmt::format("run {}: {}: missing; a prediction needs it", run.id, key));
  };
  need(run.model.has_value(), "model");
  need(run.seq_len.has_value(), "seq_len");
  need(run.global_batch_sequences.has_value(), "global_batch_sequences");
  if (options.samples < 100) throw BadInput("--samples: expected at least 100");

  Prediction out;
  out.run_id = run.id;
  out.system_id = system.id;
  const std::vector<Part> parts = step_parts(run, system, book, out);

  const Draw centre = middle_draw();
  const double total = step_time(parts, centre);
  for (const Part& part : parts) out.breakdown_s.emplace_back(part.name, part_time(part, centre));
  for (UsedRate& used : out.rates) used.share /= total;
  std::ranges::stable_sort(out.rates, std::ranges::greater{}, &UsedRate::share);

  std::mt19937_64 random(options.seed);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform;
  std::vector<Draw> draws(static_cast<std::size_t>(options.samples));
  for (auto& draw : draws) {
    for (std::size_t i = 0; i < kInputs; ++i)
      draw[i] = i < kInPlace ? normal(random) : uniform(random);
  }
  std::vector<double> times;
  for (const auto& draw : draws) times.push_back(step_time(parts, draw));
  for (std::size_t i = 0; i < kInputs; ++i) {  // one input at a time
    std::vector<double> alone;
    for (const auto& draw : draws) {
      Draw only = centre;
      only[i] = draw[i];
      alone.push_back(step_time(parts, only));
    }
    const Estimate e = estimate_of(alone);
    if (e.p95 > e.p05) out.moves_most.emplace_back(kInputNames[i], (e.p95 - e.p05) / e.p50);
  }
  std::ranges::stable_sort(out.moves_most, std::ranges::greater{},
                           &std::pair<std::string, double>::second);

  RunFacts facts{};
  facts.tokens_per_step = static_cast<double>(*run.global_batch_sequences * *run.seq_len);
  facts.flops_per_token = training_flops_per_token(
      *run.model, {.seq_len = *run.seq_len, .attention = attention_convention(run)});
  facts.gpus = static_cast<double>(run.gpus);
  facts.peak = mfu_peak(run, system, book);
  facts.goodput = run.goodput;
  if (run.tokens) facts.steps = *run.tokens / facts.tokens_per_step;
  facts.price = options.price_usd_per_gpu_hour;
  if (!facts.price) facts.price = run.price_usd_per_gpu_hour;
  if (!facts.price) facts.price = system.price_usd_per_gpu_hour;
  out.price_usd_per_gpu_hour = facts.price;
  out.flops_per_step = facts.tokens_per_step * facts.flops_per_token;
  out.mfu_peak_flops = facts.peak;
  out.estimates = estimates_from(times, facts);
  const double null_time = out.flops_per_step / (kNullMfu * facts.peak * facts.gpus);
  out.null_model = estimates_from({null_time}, facts);
  if (const auto published = published_step_time(run, facts.peak)) {
    out.published_step_time_s = published;
    out.error_pct = (out.estimates.step_time_s.p50 / *published - 1) * 100;
  }
  if (!facts.price) out.assumptions.emplace_back("no price is known: give --price for the cost");
  if (run.goodput < 1)
    out.assumptions.push_back(
        fmt::format("goodput {:.2f}: share of wall time that trains", run.goodput));

  const auto put = [&](const char* key, const auto& value) {
    if (value) out.published[key] = *value;
  };
  const Published& p = run.published;
  put("gpu_hours", p.gpu_hours);
  put("wall_hours", p.wall_hours);
  put("step_time_s", p.step_time_s);
  put("tokens_per_s_per_gpu", p.tokens_per_s_per_gpu);
  put("tokens_per_day", p.tokens_per_day);
  put("tflops_per_gpu", p.tflops_per_gpu);
  put("mfu", p.mfu);
  put("hfu", p.hfu);
  put("cost_usd", p.cost_usd);
  if (out.published.is_null()) out.published = nlohmann::ordered_json::object();
  return out;
}

nlohmann::ordered_json to_json(const Estimate& e) {
  return {{"p05", e.p05}, {"p50", e.p50}, {"p95", e.p95}};
}

namespace {

nlohmann::ordered_json to_json(const RunEstimates& e) {
  nlohmann::ordered_json json = {{"step_time_s", to_json(e.step_time_s)},
                                 {"gpu_hours", nullptr},
                                 {"mfu", to_json(e.mfu)},
                                 {"tflops_per_gpu", to_json(e.tflops_per_gpu)},
                                 {"cost_usd", nullptr}};
  if (e.gpu_hours) json["gpu_hours"] = to_json(*e.gpu_hours);
  if (e.cost_usd) json["cost_usd"] = to_json(*e.cost_usd);
  return json;
}

}  // namespace

nlohmann::ordered_json to_json(const Prediction& p) {
  nlohmann::ordered_json json = {{"run_id", p.run_id},
                                 {"system_id", p.system_id},
                                 {"estimates", to_json(p.estimates)},
                                 {"null_model", to_json(p.null_model)}};
  json["breakdown_s"] = nlohmann::ordered_json::object();
  for (const auto& [name, seconds] : p.breakdown_s) json["breakdown_s"][name] = seconds;
  json["published"] = p.published;
  json["published_step_time_s"] =
      p.published_step_time_s ? nlohmann::ordered_json(*p.published_step_time_s) : nullptr;
  json["error_pct"] = p.error_pct ? nlohmann::ordered_json(*p.error_pct) : nullptr;
  json["rates"] = nlohmann::ordered_json::array();
  for (const UsedRate& used : p.rates) {
    json["rates"].push_back({{"for", used.what},
                             {"value", used.rate.value},
                             {"share_of_step", used.share},
                             {"how", used.rate.how},
                             {"origin", used.rate.origin}});
  }
  json["moves_most"] = nlohmann::ordered_json::array();
  for (const auto& [name, width] : p.moves_most)
    json["moves_most"].push_back({{"input", name}, {"relative_width", width}});
  json["assumptions"] = p.assumptions;
  json["price_usd_per_gpu_hour"] =
      p.price_usd_per_gpu_hour ? nlohmann::ordered_json(*p.price_usd_per_gpu_hour) : nullptr;
  json["mfu_peak_flops"] = p.mfu_peak_flops;
  return json;
}

}  // namespace trainmeter
