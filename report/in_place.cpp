// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Pairs GEMMs in a layer with the same alone.
#include "report/in_place.hpp"

#include "record/samples.hpp"
#include "record/statistics.hpp"
#include "report/rates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

namespace trainmeter {
namespace {

struct Pair {
  std::string layout;
  double in_place_s, alone_s;
  std::vector<std::string> origins;
};

double median_s(const Measurement& m) {
  return median(counted_samples(m).time_s);
}

std::string place_of(const Record& record, const Line& line) {
  return fmt::format("{}:{}", record.file.string(), line.line);
}

// The same case alone, which a session writes behind the one in place.
const Line* alone_in_turn(const std::vector<Line>& lines,
                          std::vector<Line>::const_iterator in_place) {
  const auto found = std::find_if(in_place, lines.end(), [&](const Line& line) {
    const Measurement& m = line.measurement;
    return line.session == in_place->session && m.name == in_place->measurement.name &&
           m.beside == "none" && m.usable();
  });
  return found == lines.end() ? nullptr : &*found;
}

std::optional<Pair> pair_of(const Record& record, std::vector<Line>::const_iterator line,
                            const RateBook& book) {
  const Measurement& m = line->measurement;
  const double in_place_s = median_s(m);
  const std::string here = place_of(record, *line);
  if (const Line* alone = alone_in_turn(record.lines, line)) {
    const auto places = static_cast<double>(m.runs_per_sample);
    return Pair{m.layout,
                places * in_place_s,
                places * median_s(alone->measurement),
                {here, place_of(record, *alone)}};
  }
  if (m.operation != "gemm") return std::nullopt;
  const auto size = [&](const char* key) {
    const auto found = m.shape.find(key);
    return found == m.shape.end() ? 1 : found->second;
  };
  const auto rate = book.gemm(m.dtype, m.layout, size("m"), size("n"), size("k"), size("groups"));
  // Another shape's rate would be no ratio of in place.
  if (!rate || rate->shape > 0) return std::nullopt;
  return Pair{m.layout, in_place_s, m.flops / rate->value, {here, rate->origin}};
}

// The ratio of those pairs that are in `layout` (empty: of all), `spread` being of one of them.
InPlace ratio_of(const std::vector<Pair>& pairs, const std::string& layout, double spread) {
  InPlace out;
  double in_place = 0;
  double by_itself = 0;
  for (const Pair& p : pairs) {
    if (!layout.empty() && p.layout != layout) continue;
    in_place += p.in_place_s;
    by_itself += p.alone_s;
    ++out.pairs;
    out.origins.insert(out.origins.end(), p.origins.begin(), p.origins.end());
  }
  out.ratio = by_itself / in_place;
  out.sigma = spread / std::sqrt(static_cast<double>(out.pairs));
  return out;
}

// Root mean square of the logarithms of single ratios against that of all, weighted by time.
double spread_of(const std::vector<Pair>& pairs) {
  const double centre = std::log(ratio_of(pairs, "", 0).ratio);
  double sum = 0;
  double weights = 0;
  for (const Pair& p : pairs) {
    const double off = std::log(p.alone_s / p.in_place_s) - centre;
    sum += p.in_place_s * off * off;
    weights += p.in_place_s;
  }
  return std::sqrt(sum / weights);
}

}  // namespace

InPlaceRatios InPlaceRatios::all_one() {
  InPlaceRatios out;
  out.add("", "", {});
  return out;
}

void InPlaceRatios::add(std::string dtype, std::string layout, InPlace ratio) {
  known_.push_back({std::move(dtype), std::move(layout), std::move(ratio)});
}

const InPlace* InPlaceRatios::of(std::string_view dtype, std::string_view layout) const {
  const std::string_view twin = dtype == "bf16" ? "fp16" : dtype == "fp16" ? "bf16" : dtype;
  for (const std::string_view as : {dtype, twin, std::string_view()}) {
    for (const std::string_view in : {layout, std::string_view()}) {
      for (const Known& known : known_) {
        if (known.dtype == as && known.layout == in) return &known.ratio;
      }
    }
  }
  return nullptr;
}

InPlaceRatios measured_in_place(const std::vector<Record>& records) {
  RateBook alone;
  for (const Record& record : records) alone.add(record);
  std::map<std::string, std::vector<Pair>> by_dtype;
  for (const Record& record : records) {
    for (auto line = record.lines.begin(); line != record.lines.end(); ++line) {
      const Measurement& m = line->measurement;
      if (!m.usable() || m.beside != "layer") continue;
      if (m.operation != "gemm" && m.operation != "grouped_gemm") continue;
      if (record.header_of(*line).discipline.cache == "hot")
        continue;  // a step's operands are cold
      if (auto pair = pair_of(record, line, alone)) by_dtype[m.dtype].push_back(std::move(*pair));
    }
  }
  InPlaceRatios out;
  for (const auto& [dtype, pairs] : by_dtype) {
    const double spread = spread_of(pairs);
    std::set<std::string> layouts = {""};
    for (const Pair& p : pairs) layouts.insert(p.layout);
    for (const std::string& layout : layouts)
      out.add(dtype, layout, ratio_of(pairs, layout, spread));
  }
  return out;
}

}  // namespace trainmeter
