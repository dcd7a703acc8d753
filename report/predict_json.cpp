// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Predictions as JSON.
#include "report/predict.hpp"

namespace trainmeter {

nlohmann::ordered_json printed_figures(const Published& p) {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  const auto put = [&](const char* key, const auto& value) {
    if (value) out[key] = *value;
  };
  put("gpu_hours", p.gpu_hours);
  put("wall_hours", p.wall_hours);
  put("step_time_s", p.step_time_s);
  put("tokens_per_s_per_gpu", p.tokens_per_s_per_gpu);
  put("tokens_per_day", p.tokens_per_day);
  put("tflops_per_gpu", p.tflops_per_gpu);
  put("slot_time_s", p.slot_time_s);
  put("mfu", p.mfu);
  put("hfu", p.hfu);
  put("mfu_peak_flops", p.mfu_peak_flops);
  if (p.mfu_attention) out["mfu_attention"] = to_string(*p.mfu_attention);
  put("cost_usd", p.cost_usd);
  return out;
}

bool is_plan(const Run& run) {
  Published figures = run.published;
  figures.mfu_attention.reset();  // how MFU is counted is no figure
  figures.mfu_peak_flops.reset();
  return !run.source && printed_figures(figures).empty();
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
                                 {"gpus", p.gpus},
                                 {"precision", p.precision},
                                 {"estimates", to_json(p.estimates)},
                                 {"null_model", to_json(p.null_model)}};
  if (p.slot_time_s) json["slot_time_s"] = to_json(*p.slot_time_s);
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
                             {"basis", to_string(used.rate.basis)},
                             {"origin", used.rate.origin}});
  }
  json["factors"] = nlohmann::ordered_json::array();
  for (const UsedFactor& used : p.factors) json["factors"].push_back(to_json(used));
  json["in_place"] = nlohmann::ordered_json::array();
  for (const InPlaceLink& link : p.in_place) json["in_place"].push_back(to_json(link));
  json["moves_most"] = nlohmann::ordered_json::array();
  for (const auto& [name, width] : p.moves_most)
    json["moves_most"].push_back({{"input", name}, {"variance_share", width}});
  json["memory_bytes"] =
      p.memory ? nlohmann::ordered_json{{"need", p.memory->need}, {"of", p.memory->of}} : nullptr;
  json["goodput"] = p.goodput;
  json["assumptions"] = p.assumptions;
  json["price_usd_per_gpu_hour"] =
      p.price_usd_per_gpu_hour ? nlohmann::ordered_json(*p.price_usd_per_gpu_hour) : nullptr;
  json["price_how"] = p.price_how;
  json["mfu_peak_flops"] = p.mfu_peak_flops;
  return json;
}

}  // namespace trainmeter
