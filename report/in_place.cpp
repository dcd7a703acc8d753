// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Pairs GEMMs in a layer with the same alone.
#include "report/in_place.hpp"

#include "record/samples.hpp"
#include "record/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace trainmeter {
namespace {

struct Pair {
  std::string dtype;
  double in_place_s, alone_s;
};

double median_s(const Measurement& m) {
  return median(counted_samples(m).time_s);
}

// The same case alone, which a session writes behind the one in place.
const Measurement* alone_in_turn(const std::vector<Line>& lines,
                                 std::vector<Line>::const_iterator in_place) {
  const auto found = std::find_if(in_place, lines.end(), [&](const Line& line) {
    const Measurement& m = line.measurement;
    return line.session == in_place->session && m.name == in_place->measurement.name &&
           m.beside == "none" && m.usable();
  });
  return found == lines.end() ? nullptr : &found->measurement;
}

std::optional<Pair> pair_of(const Measurement& m, const Measurement* alone, const RateBook& book) {
  const double in_place_s = median_s(m);
  if (alone != nullptr) {
    const auto places = static_cast<double>(m.runs_per_sample);
    return Pair{m.dtype, places * in_place_s, places * median_s(*alone)};
  }
  if (m.operation != "gemm") return std::nullopt;
  const auto size = [&](const char* key) {
    const auto found = m.shape.find(key);
    return found == m.shape.end() ? 1 : found->second;
  };
  const auto rate = book.gemm(m.dtype, m.layout, size("m"), size("n"), size("k"), size("groups"));
  // Another shape's rate would be no ratio of in place.
  if (!rate || rate->shape > 0) return std::nullopt;
  return Pair{m.dtype, in_place_s, m.flops / rate->value};
}

}  // namespace

std::optional<InPlace> measured_in_place(const std::vector<Record>& records, const RateBook& alone,
                                         const std::string& dtype) {
  std::vector<Pair> pairs;
  for (const Record& record : records) {
    for (auto line = record.lines.begin(); line != record.lines.end(); ++line) {
      const Measurement& m = line->measurement;
      if (!m.usable() || m.beside != "layer") continue;
      if (m.operation != "gemm" && m.operation != "grouped_gemm") continue;
      if (record.header_of(*line).discipline.cache == "hot")
        continue;  // a step's operands are cold
      if (const auto pair = pair_of(m, alone_in_turn(record.lines, line), alone))
        pairs.push_back(*pair);
    }
  }
  const auto wanted = [&](const Pair& p) { return p.dtype == dtype; };
  if (std::ranges::any_of(pairs, wanted)) std::erase_if(pairs, std::not_fn(wanted));
  if (pairs.empty()) return std::nullopt;
  double in_place = 0;
  double by_itself = 0;
  for (const Pair& p : pairs) {
    in_place += p.in_place_s;
    by_itself += p.alone_s;
  }
  const double centre = std::log(by_itself / in_place);
  double spread = 0;
  for (const Pair& p : pairs) {
    const double off = std::log(p.alone_s / p.in_place_s) - centre;
    spread += p.in_place_s / in_place * off * off;
  }
  return InPlace{.ratio = by_itself / in_place,
                 .sigma = std::sqrt(spread / static_cast<double>(pairs.size()))};
}

}  // namespace trainmeter
