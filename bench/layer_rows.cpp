// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ratios of a layer's rows, and their table.
#include "bench/layer_rows.hpp"

#include "record/layer_factors.hpp"
#include "record/names.hpp"
#include "record/samples.hpp"
#include "record/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trainmeter {
namespace {

struct PartTimes {
  const Measurement* row;
  double places, in_place_s, alone_s;
};

double median_s(const Measurement& row) {
  return median(counted_samples(row).time_s);
}

std::vector<PartTimes> times_of(const std::vector<Measurement>& rows) {
  std::vector<PartTimes> out;
  for (std::size_t i = 0; i + 2 < rows.size(); i += 2) {
    out.push_back({&rows[i], static_cast<double>(rows[i].runs_per_sample), median_s(rows[i]),
                   median_s(rows[i + 1])});
  }
  return out;
}

bool is_gemm(const Measurement& row) {
  return row.operation == "gemm" || row.operation == "grouped_gemm";
}

struct Sums {
  double in_place_s = 0, alone_s = 0;
};

template <class Wanted>
Sums sums_of(const std::vector<PartTimes>& parts, Wanted wanted) {
  Sums out;
  for (const PartTimes& part : parts) {
    if (!wanted(*part.row)) continue;
    out.in_place_s += part.places * part.in_place_s;
    out.alone_s += part.places * part.alone_s;
  }
  return out;
}

}  // namespace

void note_ratios(std::vector<Measurement>& rows) {
  Measurement& layer = rows.back();
  const std::vector<PartTimes> parts = times_of(rows);
  const double layer_s = median_s(layer);
  const auto note = [&](const char* name, double over, double under) {
    if (over > 0 && under > 0) layer.notes[name] = fmt::format("{:.4f}", over / under);
  };
  const Sums all = sums_of(parts, [](const Measurement&) { return true; });
  const Sums gemms = sums_of(parts, is_gemm);
  note("laps_vs_layer", all.in_place_s, layer_s);
  note("alone_vs_layer", all.alone_s, layer_s);
  note("in_place_ratio", gemms.in_place_s, gemms.alone_s);
  note("in_place_ratio_others", all.in_place_s - gemms.in_place_s, all.alone_s - gemms.alone_s);
  const auto clock = [&](const char* name, const Measurement& row) {
    if (!row.sm_clock_hz.empty())
      layer.notes[name] = fmt::format("{:.0f}", median(row.sm_clock_hz));
  };
  clock("clock_in_layer_hz", rows.front());
  if (rows.size() > 2) clock("clock_alone_hz", rows[1]);
}

namespace {

std::string factors_table(const LayerFactors& layer) {
  std::vector<LayerFactor> lines = layer.parts;
  for (LayerFactor& sum : layer.sums()) lines.push_back(std::move(sum));
  std::size_t width = 9;
  for (const LayerFactor& line : lines) width = std::max(width, line.what.size());
  std::string out = fmt::format(
      "{:<{}}  places       alone  x SMs  x in place  x beside  = beside it\n", "part", width);
  for (const LayerFactor& line : lines) {
    out += fmt::format("{:<{}}  {:>6}  {:>10}  {:>5.3f}  {:>10.3f}  {:>8.3f}  {:>11}\n", line.what,
                       width, line.places, format_seconds(line.alone_s), line.sms, line.in_place,
                       line.traffic, format_seconds(line.beside_s()));
  }
  return out + fmt::format("{:<{}}  {:>6}  {:>10}  {:>5.3f}  {:>10}  {:>8.3f}  {:>11}\n",
                           "the layer", width, 1, format_seconds(median_s(*layer.whole.alone)),
                           layer.whole.sms.median, "-", layer.whole.traffic.median,
                           format_seconds(median_s(*layer.whole.together)));
}

}  // namespace

std::string layer_table(const std::vector<Measurement>& rows) {
  if (rows.front().notes.contains(kOfLayer)) {
    Record record;
    for (const Measurement& row : rows) record.lines.push_back({.measurement = row});
    const std::vector<LayerFactors> found = layer_factors(record);
    return found.empty() ? "" : factors_table(found.front());
  }
  std::vector<PartTimes> parts = times_of(rows);
  std::ranges::sort(parts, std::greater(),
                    [](const PartTimes& part) { return part.places * part.in_place_s; });
  std::size_t width = 4;
  for (const PartTimes& part : parts) width = std::max(width, part.row->name.size());
  std::string out = fmt::format("{:<{}}  places    in place       alone   ratio\n", "part", width);
  for (const PartTimes& part : parts) {
    out += fmt::format("{:<{}}  {:>6}  {:>10}  {:>10}  {:>6.3f}\n", part.row->name, width,
                       part.places, format_seconds(part.in_place_s), format_seconds(part.alone_s),
                       part.in_place_s / part.alone_s);
  }
  return out;
}

}  // namespace trainmeter
