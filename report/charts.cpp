// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Charts of what was measured or published: rates against shape, intensity, payload and regime.
#include "report/charts.hpp"

#include "record/formulas.hpp"
#include "record/names.hpp"
#include "report/chart_parts.hpp"
#include "report/numbers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <utility>

namespace trainmeter {
namespace {

using Json = nlohmann::ordered_json;

struct Gemm {  // of a story, with the number that its rate is
  const RatePoint* point = nullptr;
  std::string number;
  std::string shape;  // tells it from others of the same series
};

// The id of each point's number: the fastest of a name has the plain one (report/numbers.hpp).
std::map<const RatePoint*, std::string> ids_of(const std::vector<RatePoint>& points) {
  std::map<std::string, double> best;
  for (const RatePoint& p : points) best[p.name] = std::max(best[p.name], p.value);
  std::map<const RatePoint*, std::string> out;
  for (const RatePoint& p : points)
    out[&p] = p.name + ":rate" + (p.value < best[p.name] ? "@" + p.origin : "");
  return out;
}

std::string series_of(const RatePoint& p) {
  return p.dtype + " " + p.backend + (p.published ? " (published)" : "");
}

// Of a case that was measured or published more than once: which line, which publication.
std::string where(const RatePoint& p) {
  return p.published ? fmt::format(" ({})", p.name)
                     : fmt::format(" (line {})", p.origin.substr(p.origin.rfind(':') + 1));
}

std::vector<Gemm> gemms_of(const Story& story) {
  std::vector<Gemm> out;
  const auto ids = ids_of(story.points);
  for (const RatePoint& p : story.points) {
    if (p.operation == "gemm" && p.m > 0) out.push_back({&p, ids.at(&p), shown_gemm(p)});
  }
  std::ranges::stable_sort(out, std::ranges::greater{},
                           [](const Gemm& g) { return g.point->value; });
  std::set<std::pair<std::string, std::string>> seen;  // by series and shape
  for (Gemm& g : out) {
    if (!seen.insert({series_of(*g.point), g.shape}).second) g.shape += where(*g.point);
  }
  return out;
}

double flops_of(const RatePoint& p) {
  return static_cast<double>(p.groups) * gemm_flops(p.m, p.n, p.k);
}

double intensity_of(const RatePoint& p) {
  const double in = dtype_bytes(p.dtype);
  return gemm_flops(p.m, p.n, p.k) / gemm_bytes(p.m, p.n, p.k, in, std::max(in, 2.0));
}

Json gemm_values(const std::vector<Gemm>& gemms) {
  auto values = Json::array();
  for (const Gemm& g : gemms) {
    values.push_back({{"number", g.number},
                      {"case", g.shape},
                      {"series", series_of(*g.point)},
                      {"intensity", intensity_of(*g.point)},
                      {"flops", flops_of(*g.point)},
                      {"rate", g.point->value},
                      {"shown", shown_rate(*g.point, g.point->value)}});
  }
  return values;
}

// "bf16 m:1024 n:2304 k:768": what fits beside an axis.
std::string short_name(const RatePoint& p) {
  std::string sizes = p.name.substr(std::min(p.name.size(), p.name.find(p.backend + "/")));
  sizes = sizes.substr(std::min(sizes.size(), p.backend.size()));
  std::ranges::replace(sizes, '/', ' ');
  return p.dtype + sizes;
}

}  // namespace

Block ladder_chart(const Story& story) {
  Bars bars("ladder", "From the datasheet to the step: FLOP/s per device", "FLOP/s per device",
            ".2s");
  const std::string dtype = story.rates.best_known_gemm("fp8") ? "fp8" : "bf16";
  for (const std::string& type : dtype == "fp8" ? std::vector<std::string>{"fp8", "bf16"}
                                                : std::vector<std::string>{"bf16", "fp32"}) {
    if (const auto peak = story.machine.peak_flops.find(type);
        peak != story.machine.peak_flops.end())
      bars.add(story.machine.source ? type + " peak, datasheet" : type + " peak, register loop",
               peak->second, format_flops(peak->second), "machine:peak_flops." + type, "possible");
    if (const auto best = story.rates.best_known_gemm(type))
      bars.add(type + " GEMM, the best" + (best->published ? " (" + best->backend + ")" : ""),
               best->value, format_flops(best->value), best->name + ":rate",
               best->published ? "published" : "measured");
  }
  if (story.prediction) {
    const Prediction& p = *story.prediction;
    const double tflops = p.estimates.tflops_per_gpu.p50;
    bars.add("whole step, predicted", tflops * 1e12, format_flops(tflops * 1e12),
             "predict/" + p.run_id + ":tflops_per_gpu", "predicted");
    if (p.published_step_time_s) {
      const double published =
          tflops * 1e12 * p.estimates.step_time_s.p50 / *p.published_step_time_s;
      bars.add("whole step, published", published, format_flops(published), "", "published");
    }
  }
  if (bars.empty()) return Paragraph{"No ladder: no peak, no GEMM and no step is known."};
  return bars.chart();
}

Block roofline_chart(const Story& story) {
  const std::vector<Gemm> gemms = gemms_of(story);
  double memory = story.machine.memory_bytes_per_s.value_or(0);
  if (const auto measured = story.rates.memory(); memory == 0 && measured) memory = measured->value;
  if (gemms.empty()) return Paragraph{"No roofline: no GEMM of a known shape (gemm_bench)."};
  if (!(memory > 0)) return Paragraph{"No roofline: no memory bandwidth is known (memory_bench)."};
  double low = INFINITY, high = 0;
  for (const Gemm& g : gemms) {
    low = std::min(low, intensity_of(*g.point));
    high = std::max(high, intensity_of(*g.point));
  }
  auto roof = Json::array();
  for (const auto& [type, peak] : story.machine.peak_flops) {
    if (std::ranges::none_of(gemms, [&](const Gemm& g) { return g.point->dtype == type; }))
      continue;
    const double ridge = peak / memory;
    for (const double x : {std::min(low, ridge) / 2, ridge, std::max(high, ridge) * 2})
      roof.push_back(
          {{"roof", type + " peak"}, {"intensity", x}, {"rate", std::min(peak, x * memory)}});
  }
  Json spec = plot(gemm_values(gemms));
  spec["layer"] = {{{"data", {{"values", roof}}},
                    {"mark", {{"type", "line"}, {"strokeDash", {4, 3}}}},
                    {"encoding",
                     {{"x", log_axis("intensity", "FLOP per least byte")},
                      {"y", log_axis("rate", "FLOP/s")},
                      {"detail", {{"field", "roof"}}},
                      {"color", {{"value", "#888888"}}}}}},
                   {{"mark", {{"type", "point"}, {"filled", true}, {"size", 45}}},
                    {"encoding",
                     {{"x", log_axis("intensity", "FLOP per least byte")},
                      {"y", log_axis("rate", "FLOP/s")},
                      {"color", series_colour()},
                      {"shape", {{"field", "series"}, {"type", "nominal"}, {"legend", nullptr}}},
                      {"tooltip", tooltip({"case", "series", "shown"})}}}}};
  Table table{{"shape", "of", ">FLOP / byte", ">rate"}, {}};
  for (const Gemm& g : gemms)
    table.rows.push_back({g.shape, series_of(*g.point),
                          fmt::format("{:.0f}", intensity_of(*g.point)),
                          numbered(shown_rate(*g.point, g.point->value), g.number)});
  return chart_of("roofline",
                  fmt::format("Roofline: GEMMs under the peak and {} of memory bandwidth",
                              format_bandwidth(memory)),
                  std::move(spec), std::move(table));
}

Block shape_chart(const Story& story) {
  const std::vector<Gemm> gemms = gemms_of(story);
  if (gemms.empty()) return Paragraph{"No GEMM rates against shape: gemm_bench measures them."};
  Json spec = plot(gemm_values(gemms));
  spec["mark"] = {{"type", "point"}, {"filled", true}, {"size", 45}};
  spec["encoding"] = {{"x", log_axis("flops", "FLOP of one GEMM")},
                      {"y", log_axis("rate", "FLOP/s")},
                      {"color", series_colour()},
                      {"shape", {{"field", "series"}, {"type", "nominal"}, {"legend", nullptr}}},
                      {"tooltip", tooltip({"case", "series", "shown"})}};
  Table table{{"shape", "of", ">FLOP", ">rate"}, {}};
  for (const Gemm& g : gemms)
    table.rows.push_back({g.shape, series_of(*g.point), fmt::format("{:.3g}", flops_of(*g.point)),
                          numbered(shown_rate(*g.point, g.point->value), g.number)});
  return chart_of("shapes", "GEMM rate against the size of the GEMM", std::move(spec),
                  std::move(table));
}

Block payload_chart(const Story& story) {
  if (story.collectives.size() < 2)
    return Paragraph{"No bandwidth against message size: collective_bench measures it."};
  std::vector<RatePoint> points;
  for (const Achieved& a : story.collectives) points.push_back(a.point);
  const auto ids = ids_of(points);
  auto values = Json::array();
  Table table{{"operation", ">payload", ">ranks", ">time", ">algorithm", ">bus"}, {}};
  // nccl-tests has each size twice: into a buffer of its own, and in place.
  const auto in_place = [](const RatePoint& p) {
    return p.name.find("/in_place:1") != std::string::npos;
  };
  const bool told = std::ranges::any_of(points, in_place);
  if (told) table.columns.insert(table.columns.begin() + 1, "in place");
  for (const RatePoint& p : points) {
    const double algorithm = p.value / bus_factor(p.operation, p.ranks);
    const auto bytes = static_cast<double>(p.bytes);
    const std::string& number = ids.at(&p);
    const std::string series = fmt::format("{} {}, {} ranks{}", p.operation, p.backend, p.ranks,
                                           in_place(p) ? ", in place" : "");
    values.push_back({{"number", number},
                      {"series", series},
                      {"case", format_bytes(bytes)},
                      {"bytes", bytes},
                      {"rate", p.value},
                      {"shown", format_bandwidth(p.value)}});
    table.rows.push_back({p.operation + " " + p.backend, format_bytes(bytes),
                          std::to_string(p.ranks), format_seconds(bytes / algorithm),
                          format_bandwidth(algorithm),
                          numbered(format_bandwidth(p.value), number)});
    auto& row = table.rows.back();
    if (told) row.insert(row.begin() + 1, in_place(p) ? "yes" : "no");
  }
  Json spec = plot(std::move(values));
  spec["mark"] = {{"type", "line"}, {"point", true}};
  spec["encoding"] = {{"x", log_axis("bytes", "payload, bytes")},
                      {"y", log_axis("rate", "bus bandwidth, bytes/s")},
                      {"color", series_colour()},
                      {"tooltip", tooltip({"case", "series", "shown"})}};
  return chart_of("payload", "Bus bandwidth against message size", std::move(spec),
                  std::move(table));
}

Block regime_chart(const Story& story) {
  struct Pair {
    const RatePoint *burst = nullptr, *sustained = nullptr;
  };
  std::map<std::string, Pair> cases;
  std::map<std::string, const RatePoint*> by_origin;
  for (const RatePoint& p : story.rates.points()) by_origin.emplace(p.origin, &p);
  for (const Record& record : story.records) {
    for (const Line& line : record.lines) {
      const std::string& regime = record.header_of(line).discipline.regime;
      if (regime.empty()) continue;
      const auto found = by_origin.find(fmt::format("{}:{}", record.file.string(), line.line));
      if (found == by_origin.end()) continue;
      const RatePoint* point = found->second;
      (regime == "burst" ? cases[point->name].burst : cases[point->name].sustained) = point;
    }
  }
  std::erase_if(cases, [](const auto& one) {
    return one.second.burst == nullptr || one.second.sustained == nullptr;
  });
  if (cases.empty())
    return Paragraph{
        "No burst against sustained: no case was measured in both (--regime=burst, then "
        "--regime=sustained, into one record)."};
  auto values = Json::array();
  Table table{{"case", ">burst", ">sustained", ">sustained / burst", ">clock", ">power"}, {}};
  for (const auto& [name, pair] : cases) {
    for (const auto* p : {pair.burst, pair.sustained})
      values.push_back({{"case", short_name(*p)},
                        {"series", p == pair.burst ? "burst" : "sustained"},
                        {"rate", p->value},
                        {"shown", shown_rate(*p, p->value)},
                        {"clock", p->clock_hz},
                        {"power", p->power_w}});
    table.rows.push_back(
        {name, shown_rate(*pair.burst, pair.burst->value),
         shown_rate(*pair.sustained, pair.sustained->value),
         fmt::format("{:.2f}", pair.sustained->value / pair.burst->value),
         pair.sustained->clock_hz > 0 ? fmt::format("{:.0f} MHz", pair.sustained->clock_hz / 1e6)
                                      : "-",
         pair.sustained->power_w > 0 ? fmt::format("{:.0f} W", pair.sustained->power_w) : "n/a"});
  }
  Json spec = plot(std::move(values));
  spec["mark"] = "bar";
  spec["encoding"] = {{"y",
                       {{"field", "case"},
                        {"type", "nominal"},
                        {"title", nullptr},
                        {"axis", {{"labelLimit", 220}}}}},
                      {"yOffset", {{"field", "series"}}},
                      {"x",
                       {{"field", "rate"},
                        {"type", "quantitative"},
                        {"title", "rate"},
                        {"axis", {{"format", ".2s"}}}}},
                      {"color", series_colour()},
                      {"tooltip", tooltip({"case", "series", "shown", "clock", "power"})}};
  spec["height"] = {{"step", 14}};
  spec["autosize"] = {{"type", "fit-x"}, {"contains", "padding"}};
  return chart_of("regime", "Burst against sustained", std::move(spec), std::move(table));
}

}  // namespace trainmeter
