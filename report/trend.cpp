// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Change points in the history of a node's parts.
#include "report/trend.hpp"

#include "record/statistics.hpp"
#include "report/spread.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

namespace trainmeter {
namespace {

// Each date's median, over the cases, of how far above its own median over the dates a case was.
std::vector<double> levels(const std::vector<std::map<std::string, double>>& dates) {
  std::map<std::string, std::vector<double>> by_case;
  for (const auto& date : dates) {
    for (const auto& [name, log_rate] : date) by_case[name].push_back(log_rate);
  }
  std::vector<double> out;
  for (const auto& date : dates) {
    std::vector<double> above;
    for (const auto& [name, log_rate] : date) above.push_back(log_rate - median(by_case[name]));
    out.push_back(median(above));
  }
  return out;
}

// Of successive dates, once a step at `split` and one slope are taken out: neither is correlation.
// Noise without any comes out below 0, by about (1 + 4 r) / n. Source: Marriott and Pope (1954),
// Bias in the estimation of autocorrelations, Biometrika 41.
double correlation_of_dates(const std::vector<double>& series, std::size_t split) {
  const auto at = series.begin() + static_cast<std::ptrdiff_t>(split);
  const double before = mean(std::vector(series.begin(), at));
  const double after = mean(std::vector(at, series.end()));
  const auto n = static_cast<double>(series.size());
  std::vector<double> when, value;  // from the middle of their side
  for (std::size_t t = 0; t < series.size(); ++t) {
    const double first = t < split ? 0 : static_cast<double>(split);
    const double last = t < split ? static_cast<double>(split) - 1 : n - 1;
    when.push_back(static_cast<double>(t) - (first + last) / 2);
    value.push_back(series[t] - (t < split ? before : after));
  }
  const double times = std::inner_product(when.begin(), when.end(), when.begin(), 0.0);
  const double slope =
      times > 0 ? std::inner_product(when.begin(), when.end(), value.begin(), 0.0) / times : 0;
  double products = 0, squares = 0;
  for (std::size_t t = 0; t < value.size(); ++t) {
    value[t] -= slope * when[t];
    squares += value[t] * value[t];
    if (t > 0) products += value[t] * value[t - 1];
  }
  if (!(squares > n * kLeastVariance)) return 0;
  const double r = products / squares;
  return std::clamp(r + (1 + 4 * r) / n, 0.0, 1.0);
}

double pettitt_p(double n, double k, double correlation = 0) {
  const double independent = (1 - correlation) / (1 + correlation);  // of so many dates
  return std::min(1.0, 2 * std::exp(-6 * k * k * independent / (n * n * n + n * n)));
}

// The shortest series that is judged: where all that are as long, or longer, can show a change.
// Those that can't are no comparisons, so they don't count among them.
std::size_t shortest_judged(std::vector<std::size_t> lengths, double false_alarms) {
  std::ranges::sort(lengths);
  for (auto at = lengths.begin(); at != lengths.end();
       at = std::upper_bound(at, lengths.end(), *at)) {
    const auto series = static_cast<double>(lengths.end() - at);
    if (least_p(*at) * series < false_alarms) return *at;
  }
  return std::numeric_limits<std::size_t>::max();
}

}  // namespace

double least_p(std::size_t dates) {
  return pettitt_p(static_cast<double>(dates),
                   static_cast<double>((dates / 2) * (dates - dates / 2)));
}

std::size_t dates_needed(std::size_t series, double false_alarms) {
  std::size_t dates = 2;
  while (!(least_p(dates) * static_cast<double>(series) < false_alarms)) ++dates;
  return dates;
}

bool Trend::slower() const {
  return std::ranges::any_of(drifts, [](const Drift& d) { return d.change < 0; });
}

bool Trend::judged_all() const {
  return series > 0 && too_short == 0;
}

ChangePoint change_point(const std::vector<double>& series) {
  const auto n = static_cast<double>(series.size());
  ChangePoint out;
  std::int64_t u = 0;
  double k = 0, clearest = 0;
  for (std::size_t t = 1; t < series.size(); ++t) {  // t values are before the change
    for (const double other : series) u += (series[t - 1] > other) - (series[t - 1] < other);
    const auto before = static_cast<double>(t);
    const double size = std::abs(static_cast<double>(u));
    const double z = size / std::sqrt(before * (n - before));
    if (!(z > clearest)) continue;
    clearest = z;
    k = size;
    out.first_after = t;
  }
  out.p = pettitt_p(n, k, correlation_of_dates(series, out.first_after));
  return out;
}

void History::add(const Record& record) {
  FleetFacts facts(rules_);
  facts.add(record);
  // By title, which leaves the number of a node's cores out: its series go on where it changes.
  std::map<Series::key_type, std::map<std::string, std::vector<double>>> rates;
  for (const FleetFacts::Case& c : facts.cases) {
    for (const auto& [number, log_rates] : c.log_rates) {
      const FleetFacts::Part& part = facts.parts[number];
      std::vector<double>& all = rates[{facts.nodes[part.node], part.name, c.group}][c.title];
      all.insert(all.end(), log_rates.begin(), log_rates.end());
    }
  }
  for (const auto& [key, by_title] : rates) {
    Point point{record.headers.front().started_at, {}};
    for (const auto& [title, log_rates] : by_title) point.log_rates[title] = median(log_rates);
    series_[key].push_back(std::move(point));
  }
}

Trend History::judge() const {
  Trend out;
  std::vector<Drift> found;
  std::vector<std::size_t> lengths;
  for (const auto& [key, points] : series_) lengths.push_back(points.size());
  const std::size_t shortest = shortest_judged(lengths, rules_.false_alarms);
  out.dates_needed = dates_needed(series_.size(), rules_.false_alarms);
  for (const auto& [key, unordered] : series_) {
    if (unordered.size() < shortest) {
      ++out.too_short;
      continue;
    }
    ++out.series;
    std::vector<Point> points = unordered;
    std::ranges::stable_sort(points, {}, &Point::date);
    std::vector<std::map<std::string, double>> rates;
    for (const Point& point : points) rates.push_back(point.log_rates);
    const std::vector<double> level = levels(rates);
    const ChangePoint change = change_point(level);
    const auto after = level.begin() + static_cast<std::ptrdiff_t>(change.first_after);
    const double step =
        median(std::vector(after, level.end())) - median(std::vector(level.begin(), after));
    const auto& [node, part, group] = key;
    found.push_back(
        {node, part, group, points[change.first_after].date, std::expm1(step), change.p});
  }
  for (const Drift& drift : found) {
    if (drift.p * static_cast<double>(out.series) < rules_.false_alarms &&
        std::abs(drift.change) > rules_.tolerance)
      out.drifts.push_back(drift);
  }
  return out;
}

Document to_document(const Trend& trend) {
  Document out;
  out.emplace_back(Heading{1, "trainmeter: changes over the dates"});
  if (trend.series > 0 || trend.too_short == 0) {
    out.emplace_back(Paragraph{
        fmt::format("{} series judged, {} with a change.", trend.series, trend.drifts.size())});
  }
  if (trend.too_short > 0) {
    out.emplace_back(Paragraph{fmt::format(
        "Can't tell of {} series, whose dates are too few for any change to be beyond chance: with "
        "{} series {} dates are needed.",
        trend.too_short, trend.series + trend.too_short, trend.dates_needed)});
  }
  if (trend.drifts.empty()) return out;
  Table table{{"node", "part", "group", "since", ">change", ">p"}, {}};
  for (const Drift& d : trend.drifts) {
    table.rows.push_back({d.node, d.part, d.group, d.since,
                          fmt::format("{:+.1f} %", 100 * d.change), fmt::format("{:.1g}", d.p)});
  }
  out.emplace_back(std::move(table));
  return out;
}

nlohmann::ordered_json to_json(const Trend& trend) {
  auto drifts = nlohmann::ordered_json::array();
  for (const Drift& d : trend.drifts) {
    drifts.push_back({{"node", d.node},
                      {"part", d.part},
                      {"group", d.group},
                      {"since", d.since},
                      {"change", d.change},
                      {"p", d.p}});
  }
  return {{"series", trend.series},
          {"cannot_tell", trend.too_short},
          {"dates_needed", trend.dates_needed},
          {"drifts", std::move(drifts)}};
}

}  // namespace trainmeter
