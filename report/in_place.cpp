// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Pairs operations in a layer with the same alone.
#include "report/in_place.hpp"

#include "record/samples.hpp"
#include "record/statistics.hpp"
#include "report/rates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <numbers>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

namespace trainmeter {
namespace {

struct Pair {
  std::string layout;
  GemmSize size;
  double in_place_s, alone_s;
  double error;  // of in_place_s, as a share: how well its samples know their median
  bool in_turn;
  std::vector<std::string> origins;
};

double median_s(const Measurement& m) {
  return median(counted_samples(m).time_s);
}

double error_of_median(const Measurement& m) {
  const auto samples = static_cast<double>(counted_samples(m).time_s.size());
  return std::sqrt(std::numbers::pi / 2 / samples) * noise_of(m);
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

std::vector<std::string> operations_of(const Measurement& m) {
  if (m.operation != kLayerOthers) return {m.operation};
  const auto of = m.notes.find("of");
  std::istringstream words(of == m.notes.end() ? "" : of->second);
  return {std::istream_iterator<std::string>(words), {}};
}

// Experts' GEMMs, whose rows are of all groups, have no size of their own here.
GemmSize size_of(const Measurement& m) {
  if (m.operation != "gemm") return {};
  const auto in = [&](const char* key) {
    const auto found = m.shape.find(key);
    return found == m.shape.end() ? 1 : found->second;
  };
  return {in("m"), in("n"), in("k"), in("groups")};
}

std::optional<Pair> pair_of(const Record& record, std::vector<Line>::const_iterator line,
                            const RateBook& book) {
  const Measurement& m = line->measurement;
  const GemmSize size = size_of(m);
  const double in_place_s = median_s(m);
  const std::string here = place_of(record, *line);
  if (const Line* alone = alone_in_turn(record.lines, line)) {
    const auto places = static_cast<double>(m.runs_per_sample);
    return Pair{pass_layout(m),
                size,
                places * in_place_s,
                places * median_s(alone->measurement),
                error_of_median(m),
                true,
                {here, place_of(record, *alone)}};
  }
  if (m.operation != "gemm") return std::nullopt;
  const auto& [rows, columns, inner, groups] = size;
  const std::string layout = pass_layout(m);
  const auto rate = book.gemm(m.dtype, layout, rows, columns, inner, groups);
  // Another shape's rate would be no ratio of in place.
  if (!rate || rate->shape > 0) return std::nullopt;
  return Pair{layout,
              size,
              in_place_s,
              m.flops / rate->value,
              error_of_median(m),
              false,
              {here, rate->origin}};
}

// Sum of the times alone / sum of the times in place, spread being of one of the pairs.
InPlace ratio_of(const std::vector<Pair>& pairs, double spread) {
  InPlace out;
  double in_place = 0;
  double by_itself = 0;
  for (const Pair& p : pairs) {
    in_place += p.in_place_s;
    by_itself += p.alone_s;
    out.in_turn = out.in_turn && p.in_turn;
    ++out.pairs;
    out.origins.insert(out.origins.end(), p.origins.begin(), p.origins.end());
  }
  out.ratio = by_itself / in_place;
  out.sigma = spread / std::sqrt(static_cast<double>(out.pairs));
  return out;
}

// Mean over the pairs, weighted by time in place.
template <class Value>
double mean_of(const std::vector<Pair>& pairs, Value value) {
  double sum = 0;
  double weights = 0;
  for (const Pair& p : pairs) {
    sum += p.in_place_s * value(p);
    weights += p.in_place_s;
  }
  return sum / weights;
}

double squared(double x) {
  return x * x;
}

// Of the logarithms of single ratios against that of all: root mean square.
double spread_of(const std::vector<Pair>& pairs) {
  const double centre = std::log(ratio_of(pairs, 0).ratio);
  return std::sqrt(mean_of(
      pairs, [&](const Pair& p) { return squared(std::log(p.alone_s / p.in_place_s) - centre); }));
}

// What their samples leave open of the ratio of all.
double error_of(const std::vector<Pair>& pairs) {
  return std::sqrt(mean_of(pairs, [](const Pair& p) { return squared(p.error); }) /
                   static_cast<double>(pairs.size()));
}

// A GEMM's own ratio, as far as its samples can tell it from its pass's (`of_pass`): the larger
// their error beside the `true_spread` of ratios, which is what such errors don't explain, the
// nearer to the pass's (empirical Bayes, of logarithms).
InPlace own_ratio(const std::vector<Pair>& pairs, const InPlace& of_pass, double true_spread) {
  InPlace out = ratio_of(pairs, 0);
  const double error = error_of(pairs);
  if (!(error > 0)) return out;
  const double weight = squared(true_spread) / (squared(true_spread) + squared(error));
  out.ratio = std::pow(out.ratio, weight) * std::pow(of_pass.ratio, 1 - weight);
  out.sigma = std::hypot(std::sqrt(weight) * error, (1 - weight) * of_pass.sigma);
  return out;
}

template <class Wanted>
std::vector<Pair> those(const std::vector<Pair>& pairs, Wanted wanted) {
  std::vector<Pair> out;
  std::ranges::copy_if(pairs, std::back_inserter(out), wanted);
  return out;
}

// Of the logarithms of single ratios, where a layer has one GEMM only: as wide as what is assumed
// where none has (results/published/factors.json, in_place_*).
constexpr double kUnknownSpread = 0.1;

// Of one dtype's GEMMs: of all, of each pass, of each GEMM.
void add_gemms(InPlaceRatios& out, const std::string& dtype, const std::vector<Pair>& pairs) {
  const double spread = pairs.size() > 1 ? spread_of(pairs) : kUnknownSpread;
  const double noise = mean_of(pairs, [](const Pair& p) { return squared(p.error); });
  const double true_spread = std::sqrt(std::max(0.0, squared(spread) - noise));
  out.add(dtype, "", ratio_of(pairs, spread));
  std::map<std::string, std::set<GemmSize>> sizes;
  for (const Pair& p : pairs) sizes[p.layout].insert(p.size);
  for (const auto& [layout, in_layout] : sizes) {
    const auto of_pass = those(pairs, [&](const Pair& p) { return p.layout == layout; });
    const InPlace pass = ratio_of(of_pass, spread);
    out.add(dtype, layout, pass);
    for (const GemmSize& size : in_layout) {
      if (size == GemmSize{}) continue;
      const auto same = those(of_pass, [&](const Pair& p) { return p.size == size; });
      out.add(dtype, layout, own_ratio(same, pass, true_spread), size);
    }
  }
}

}  // namespace

InPlaceRatios InPlaceRatios::all_one() {
  InPlaceRatios out;
  out.add("", "", {});
  return out;
}

void InPlaceRatios::add(std::string dtype, std::string layout, InPlace ratio,
                        const GemmSize& size) {
  known_.push_back({std::move(dtype), std::move(layout), size, std::move(ratio)});
}

const InPlace* InPlaceRatios::of(std::string_view dtype, std::string_view layout,
                                 const GemmSize& size) const {
  const std::string_view twin = dtype == "bf16" ? "fp16" : dtype == "fp16" ? "bf16" : dtype;
  const std::string_view in_records = layout_that_serves(dtype, layout);
  const std::array<std::pair<std::string_view, GemmSize>, 3> nearest_first = {
      {{in_records, size}, {in_records, {}}, {"", {}}}};
  for (const std::string_view as : {dtype, twin, std::string_view()}) {
    for (const auto& [in, of] : nearest_first) {
      for (const Known& known : known_) {
        if (known.dtype == as && known.layout == in && known.size == of) return &known.ratio;
      }
    }
  }
  return nullptr;
}

const InPlace* InPlaceRatios::other(const std::string& dtype, const std::string& operation) const {
  const auto found = others_.find({dtype, operation});
  return found == others_.end() ? nullptr : &found->second;
}

InPlaceRatios measured_in_place(const std::vector<Record>& records) {
  RateBook alone;
  alone.add(records);
  std::map<std::string, std::vector<Pair>> gemms;
  std::map<std::pair<std::string, std::string>, std::vector<Pair>> others;
  for (const Record& record : records) {
    for (auto line = record.lines.begin(); line != record.lines.end(); ++line) {
      const Measurement& m = line->measurement;
      if (!m.usable() || m.beside != "layer") continue;
      if (record.header_of(*line).discipline.cache == "hot")
        continue;  // a step's operands are cold
      const auto pair = pair_of(record, line, alone);
      if (!pair) continue;
      if (m.operation == "gemm" || m.operation == "grouped_gemm") {
        gemms[m.dtype].push_back(*pair);
      } else {
        for (const std::string& operation : operations_of(m))
          others[{m.dtype, operation}].push_back(*pair);
      }
    }
  }
  InPlaceRatios out;
  for (const auto& [dtype, pairs] : gemms) {
    const auto in_turn = those(pairs, [](const Pair& p) { return p.in_turn; });
    add_gemms(out, dtype, in_turn.empty() ? pairs : in_turn);
  }
  for (const auto& [key, pairs] : others) {
    InPlace ratio = ratio_of(pairs, spread_of(pairs));
    ratio.sigma = std::hypot(ratio.sigma, error_of(pairs));
    out.add_other(key.first, key.second, std::move(ratio));
  }
  return out;
}

}  // namespace trainmeter
