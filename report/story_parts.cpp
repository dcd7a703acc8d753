// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The answer first, and the method last.
#include "report/story_parts.hpp"

#include "record/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace trainmeter {
namespace {

constexpr std::size_t kDifferencesShown = 20;

std::string held_by_cap(const RatePoint& point) {
  if (!point.power_capped) return "";
  return point.clock_hz > 0
             ? fmt::format(", where the power cap holds it at {:.2f} GHz", point.clock_hz / 1e9)
             : ", held by the power cap";
}

// Of several devices a case's rate is its slowest one's.
std::string measured_on(const Story& story) {
  if (!story.apart) return story.machine.gpu;
  return fmt::format("{} x {}, by the slowest of them", story.apart->devices, story.machine.gpu);
}

Text about_kernels(const Story& story) {
  for (const char* dtype : {"fp8", "bf16", "fp32"}) {
    const auto best = story.rates.best_known_gemm(dtype);
    if (!best) continue;
    const auto peak = story.machine.peak_flops.find(dtype);
    const std::string of_peak =
        peak == story.machine.peak_flops.end()
            ? ""
            : fmt::format(", {} of {}", format_percent(best->value / peak->second),
                          story.machine.source ? "its datasheet's peak" : "its register loop");
    const std::string rate = shown_rate(*best, best->value);
    const std::string text =
        best->published
            ? fmt::format("that anybody published reaches {} ({}){}", rate, best->backend, of_peak)
            : fmt::format("measured reaches {}{}, {}{}", rate, of_peak, shown_regime(*best),
                          held_by_cap(*best));
    return numbered(fmt::format("{}: the best {} GEMM {}.", measured_on(story), dtype, text),
                    best->name + ":rate");
  }
  for (const std::string& dtype : dtype_names()) {
    const auto best = story.rates.best_known_gemm(dtype);
    if (best)
      return numbered(fmt::format("{}: the best {} GEMM measured reaches {}.", measured_on(story),
                                  dtype, shown_rate(*best, best->value)),
                      best->name + ":rate");
  }
  return fmt::format("{}: no GEMM was measured.",
                     story.machine.gpu.empty() ? "This machine" : story.machine.gpu);
}

Text about_training(const Story& story) {
  if (!story.prediction)
    return "No training run could be predicted: " + story.why_no_prediction + ".";
  const Prediction& p = *story.prediction;
  const Estimate& step = p.estimates.step_time_s;
  std::string rest;
  if (p.published_step_time_s) {
    rest = fmt::format("; its source has {}", format_seconds(*p.published_step_time_s));
  } else if (p.estimates.gpu_hours) {
    rest = fmt::format("; {} device-hours{}", format_hours(p.estimates.gpu_hours->p50),
                       p.estimates.cost_usd ? ", " + format_usd(p.estimates.cost_usd->p50) : "");
  }
  return numbered(
      fmt::format("{}: {} a step ({} to {} in nine of ten draws), an MFU of {}{}.",
                  story.prediction_title, format_seconds(step.p50), format_seconds(step.p05),
                  format_seconds(step.p95), format_percent(p.estimates.mfu.p50), rest),
      "predict/" + p.run_id + ":step_time_s");
}

Text about_claims(const Story& story) {
  const auto count = [&](bool constructed, const auto& is) {
    return std::ranges::count_if(
        story.verdicts, [&](const Verdict& v) { return v.constructed == constructed && is(v); });
  };
  const auto any = [](const Verdict&) { return true; };
  const auto fails = [](const Verdict& v) { return v.fails(); };
  const auto is = [](const char* verdict) {
    return [verdict](const Verdict& v) { return v.verdict == verdict; };
  };
  std::string made;
  if (const auto all = count(true, any); all > 0)
    made = fmt::format(" Of {} more, made up to show mistakes, {} are refuted.", all,
                       count(true, fails));
  return fmt::format(
      "Of {} published claims, {} agree with their own arithmetic and with what has been measured; "
      "untestable: {}; refuted: {}.{}",
      count(false, any), count(false, is("consistent")), count(false, is("untestable")),
      count(false, fails), made);
}

}  // namespace

Lead answer(const Story& story) {
  return {{about_kernels(story), about_training(story), about_claims(story)}};
}

Document side_by_side(const Story& story) {
  // By case, the best rate of each record by itself; null where it has none.
  std::vector<RateBook> each(story.records.size());
  std::map<std::string, std::vector<const RatePoint*>> cases;
  for (std::size_t r = 0; r < story.records.size(); ++r) {
    each[r].add(story.records[r]);
    for (const RatePoint& point : each[r].points()) {
      auto& row = cases[point.name];
      row.resize(story.records.size());
      if (row[r] == nullptr || row[r]->value < point.value) row[r] = &point;
    }
  }
  struct Row {
    std::string name;
    std::vector<const RatePoint*> points;
    double ratio = 0;
  };
  std::vector<Row> rows;
  for (auto& [name, points] : cases) {
    double low = 0, high = 0;
    for (const RatePoint* p : points) {
      if (p == nullptr) continue;
      low = low > 0 ? std::min(low, p->value) : p->value;
      high = std::max(high, p->value);
    }
    if (std::ranges::count(points, nullptr) + 1 < static_cast<std::ptrdiff_t>(points.size()))
      rows.push_back({name, points, high / low});
  }
  std::ranges::stable_sort(rows, std::ranges::greater{}, &Row::ratio);
  Document out;
  out.emplace_back(Heading{2, "What differs between the records"});
  if (rows.empty()) {
    out.emplace_back(Paragraph{"No case was measured in more than one of them."});
    return out;
  }
  Table table{{"case"}, {}};
  for (const Record& record : story.records)
    table.columns.push_back(">" + record.file.stem().string());
  table.columns.emplace_back(">fastest / slowest");
  for (std::size_t i = 0; i < std::min(kDifferencesShown, rows.size()); ++i) {
    std::vector<Text> cells = {rows[i].name};
    for (const RatePoint* p : rows[i].points)
      cells.emplace_back(p == nullptr ? "-" : shown_rate(*p, p->value));
    cells.emplace_back(fmt::format("{:.2f}", rows[i].ratio));
    table.rows.push_back(std::move(cells));
  }
  out.emplace_back(std::move(table));
  out.emplace_back(Paragraph{
      fmt::format("{} cases are in more than one record. Whether a difference is more than "
                  "noise: trainmeter compare.",
                  rows.size())});
  return out;
}

Document method(const Story& story) {
  Document out;
  out.emplace_back(Heading{2, "Environment and method"});
  if (story.records.empty()) {
    out.emplace_back(
        Paragraph{"Nothing here was measured by us: every rate is one that others "
                  "published, with its source."});
  }
  for (const Record& record : story.records) {
    Table table{{"what", "value"}, {}};
    for (const Header& h : record.headers) {
      table.rows.push_back(
          {h.program, fmt::format("{} on {}, {}, timer {}, data {}, cache {}", h.started_at, h.host,
                                  fmt::join(h.command, " "), h.discipline.timer, h.discipline.data,
                                  h.discipline.cache)});
    }
    if (!record.headers.empty()) {
      for (const auto& [what, version] : record.headers.front().software)
        table.rows.push_back({what, version});
      for (const auto& [what, value] : record.headers.front().environment)
        table.rows.push_back({what, value});
    }
    out.emplace_back(Heading{3, record.file.string()});
    out.emplace_back(std::move(table));
  }
  out.emplace_back(Bullets{
      {"Measured: the median of the samples that count, each case verified before it was timed "
       "(docs/how-it-is-measured.md).",
       "Predicted: work over rates times factors, sampled 1000 times; a range holds nine draws of "
       "ten (docs/extrapolation.md).",
       "Judged: a claim's own arithmetic, what it implies per GPU, and the best that anybody "
       "measured (docs/claims.md).",
       "Every number has an id: trainmeter explain ID shows what it follows from."}});
  return out;
}

}  // namespace trainmeter
