// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Charts of predictions: where a step's time goes, what it rests on, and how well it holds.
#include "record/names.hpp"
#include "report/chart_parts.hpp"
#include "report/charts.hpp"
#include "report/numbers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace trainmeter {
namespace {

// What a step has beside its kernels' time alone, by the parts of its breakdown.
std::string without_rate(const Prediction& p) {
  static const std::map<std::string, std::string> kWords = {
      {"communication_exposed", "communication"},
      {"data_parallel", "communication"},
      {"interference_and_host", "interference"},
      {"pipeline_bubble", "bubbles"},
      {"optimizer_and_overhead", "overheads"},
      {"waiting_for_host", "waiting for the host"},
      {"jitter_of_nodes", "jitter"},
      {"reference", "reference pass"},
      {"weight_transfer", "weight transfer"},
      {"overhead", "transitions"}};
  constexpr double kLeastShare = 0.005;
  double whole = 0;
  for (const auto& [part, seconds] : p.breakdown_s) whole += seconds;
  std::string out = "no rate: slower in place";
  for (const auto& [part, seconds] : p.breakdown_s) {
    const auto word = kWords.find(part);
    if (word == kWords.end() || !(seconds >= kLeastShare * whole)) continue;
    if (out.find(", " + word->second) == std::string::npos) out += ", " + word->second;
  }
  return out;
}

}  // namespace

using Json = nlohmann::ordered_json;

Block breakdown_chart(const Prediction& p) {
  Bars bars("breakdown", "Where the time of a step goes", "seconds", ".2~s");
  for (const auto& [part, seconds] : p.breakdown_s)
    bars.add(part, seconds, format_seconds(seconds),
             fmt::format("predict/{}:breakdown_s.{}", p.run_id, part), "predicted");
  if (bars.empty()) return Paragraph{"No breakdown of a step: it is a sum of stages."};
  return bars.chart();
}

Block basis_chart(const Prediction& p) {
  const auto shown = [](const Rate& rate) {
    switch (rate.basis) {
      case Basis::measured:
        return std::pair(rate.how.starts_with("exact") ? "measured at this very shape"
                                                       : "measured, carried from others",
                         "measured");
      case Basis::projected:
        return std::pair("measured on another chip, projected", "derived");
      case Basis::published:
        return std::pair("published rates", "published");
      case Basis::datasheet:
        return std::pair("a share of the datasheet", "published");
      case Basis::assumed:
        break;
    }
    return std::pair("assumed: a share of another kernel's rate", "assumed");
  };
  std::map<std::pair<std::string, std::string>, double> shares;  // by words and kind
  double all = 0;
  for (const UsedRate& used : p.rates) {
    shares[shown(used.rate)] += used.share;
    all += used.share;
  }
  Bars bars("basis", "What the time of a step rests on", "share of the step", ".0%");
  for (const auto& [what, share] : shares)
    bars.add(what.first, share, format_percent(share), "", what.second);
  if (bars.empty()) return Paragraph{"Nothing is known of what a step's time rests on."};
  if (all < 0.995) bars.add(without_rate(p), 1 - all, format_percent(1 - all), "", "assumed");
  return bars.chart();
}

Block tornado_chart(const Prediction& p) {
  if (p.factors.empty())
    return Paragraph{"No sensitivities: no factor stands between kernels and step here."};
  auto values = Json::array();
  Table table{{"factor", ">5 %", ">95 %", ">step at 5 %", ">step at 95 %", "from"}, {}};
  for (const UsedFactor& f : p.factors) {
    const auto moved = [&](double to) { return std::pow(to / f.middle, f.elasticity) - 1; };
    const std::string name(to_string(f.factor));
    const double low = moved(f.low), high = moved(f.high);
    values.push_back({{"label", name},
                      {"low", low},
                      {"high", high},
                      {"series", f.learnt ? "learnt from published steps" : basis_of(f)},
                      {"size", std::abs(high - low)},
                      {"number", fmt::format("predict/{}:factors.{}.middle", p.run_id, name)}});
    table.rows.push_back({numbered(name, ""), fmt::format("{:.3g}", f.low),
                          fmt::format("{:.3g}", f.high), fmt::format("{:+.1f} %", low * 100),
                          fmt::format("{:+.1f} %", high * 100), basis_of(f)});
  }
  Json spec = plot(std::move(values));
  spec["height"] = {{"step", 26}};
  spec["autosize"] = {{"type", "fit-x"}, {"contains", "padding"}};
  spec["mark"] = {{"type", "bar"}, {"height", 14}};
  spec["encoding"] = {{"y",
                       {{"field", "label"},
                        {"type", "nominal"},
                        {"title", nullptr},
                        {"sort", {{"field", "size"}, {"order", "descending"}}},
                        {"axis", {{"labelLimit", 170}}}}},
                      {"x",
                       {{"field", "low"},
                        {"type", "quantitative"},
                        {"title", "change of the step time"},
                        {"axis", {{"format", "+.0%"}, {"tickCount", 5}}}}},
                      {"x2", {{"field", "high"}}},
                      {"color", series_colour()},
                      {"tooltip", tooltip({"label", "low", "high", "series"})}};
  return chart_of("tornado", "What the range of each factor does to the step time", std::move(spec),
                  std::move(table));
}

Block validation_chart(const Validation& v) {
  auto values = Json::array();
  Table table{{"run", ">published", ">predicted", ">5 %", ">95 %", ">error", ">null model"}, {}};
  for (const ValidatedRow& r : v.rows) {
    const std::string id = "validate/" + r.id;
    values.push_back({{"number", id + ":error_pct"},
                      {"case", r.id},
                      {"family", r.family},
                      {"published", r.published_s},
                      {"engine", r.predicted.p50 / r.published_s},
                      {"low", r.predicted.p05 / r.published_s},
                      {"high", r.predicted.p95 / r.published_s},
                      {"null", 1 + r.null_error_pct / 100},
                      {"error", shown_number("error_pct", r.error_pct)}});
    table.rows.push_back(
        {r.id, numbered(format_seconds(r.published_s), id + ":published_step_time_s"),
         numbered(format_seconds(r.predicted.p50), id + ":predicted_step_time_s.p50"),
         format_seconds(r.predicted.p05), format_seconds(r.predicted.p95),
         numbered(shown_number("error_pct", r.error_pct), id + ":error_pct"),
         numbered(shown_number("null_error_pct", r.null_error_pct), id + ":null_error_pct")});
  }
  if (table.rows.empty()) return Paragraph{"No published run could be predicted."};
  Json spec = plot(std::move(values));
  spec["height"] = 340;
  const Json x = {{"field", "published"},
                  {"type", "quantitative"},
                  {"title", "published step time, seconds"},
                  {"scale", {{"type", "log"}, {"nice", false}, {"padding", 12}}},
                  {"axis", {{"format", "~g"}, {"tickCount", 6}}}};
  const auto y = [](const char* field) {
    return Json{{"field", field},
                {"type", "quantitative"},
                {"title", "predicted / published"},
                {"scale", {{"type", "log"}, {"base", 2}}},
                {"axis", {{"format", "~g"}}}};
  };
  const auto who = [](const char* name) {
    return Json{{"datum", name}, {"legend", {{"orient", "bottom"}, {"title", nullptr}}}};
  };
  const Json tip = tooltip({"case", "family", "error"});
  spec["layer"] = {
      {{"mark", {{"type", "rule"}, {"strokeDash", {4, 3}}}}, {"encoding", {{"y", {{"datum", 1}}}}}},
      {{"mark", {{"type", "point"}, {"shape", "cross"}, {"size", 18}, {"opacity", 0.55}}},
       {"encoding", {{"x", x}, {"y", y("null")}, {"color", who("null model")}, {"tooltip", tip}}}},
      {{"mark", {{"type", "rule"}, {"opacity", 0.4}}},
       {"encoding",
        {{"x", x},
         {"y", y("low")},
         {"y2", {{"field", "high"}}},
         {"color", who("engine, with its 90 % range")}}}},
      {{"mark", {{"type", "point"}, {"filled", true}, {"size", 28}}},
       {"encoding",
        {{"x", x},
         {"y", y("engine")},
         {"color", who("engine, with its 90 % range")},
         {"tooltip", tip}}}}};
  return chart_of("validation",
                  fmt::format("Predictions against {} published steps: mean error {:.1f} %, the "
                              "null model's {:.1f} %, every family alike",
                              v.rows.size(), v.mean_pct, v.null_mean_pct),
                  std::move(spec), std::move(table));
}

}  // namespace trainmeter
