// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Finds a layer's parts, each six times, and adds them up.
#include "record/layer_factors.hpp"

#include "record/samples.hpp"
#include "record/statistics.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>

namespace trainmeter {
namespace {

struct Times {
  double alone = 0, alone_held = 0, in_place = 0, in_place_held = 0, in_place_together = 0;
};

Times& operator+=(Times& to, const Times& more) {
  to.alone += more.alone;
  to.alone_held += more.alone_held;
  to.in_place += more.in_place;
  to.in_place_held += more.in_place_held;
  to.in_place_together += more.in_place_together;
  return to;
}

struct Part {
  const Measurement* alone;
  double places;
  Times times;  // of all places
};

LayerFactor factor_of(std::string what, double places, const Times& t) {
  return {.what = std::move(what),
          .places = places,
          .alone_s = t.alone,
          .sms = t.alone_held / t.alone,
          .in_place = t.in_place_held / t.alone_held,
          .traffic = t.in_place_together / t.in_place_held,
          .in_place_s = t.in_place};
}

// The parts of one layer; none where one isn't complete.
std::vector<Part> parts_of(const Record& record, const Measurement& layer,
                           const std::string& co_runner) {
  std::map<std::string, std::map<std::string, const Measurement*>> rows;  // by name, beside
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    const auto of = m.notes.find(kOfLayer);
    if (of == m.notes.end() || of->second != layer.name || m.session != layer.session ||
        m.repetition != layer.repetition || !m.usable())
      continue;
    rows[m.name][m.beside] = &m;
  }
  std::vector<Part> out;
  for (const auto& part : rows) {
    const auto& by_beside = part.second;
    const auto row = [&](const std::string& beside) {
      const auto found = by_beside.find(beside);
      return found == by_beside.end() ? nullptr : found->second;
    };
    const Measurement* const in_place = row(kInLayer);
    const Measurement* const alone = row("none");
    const Measurement* const all[] = {alone, row(kIdle), in_place, row(in_layer_beside(kIdle)),
                                      row(in_layer_beside(co_runner))};
    if (std::ranges::find(all, nullptr) != std::end(all)) return {};
    const auto places = static_cast<double>(in_place->runs_per_sample);
    const auto time = [&](int i) { return places * median(counted_samples(*all[i]).time_s); };
    out.push_back(
        {.alone = alone, .places = places, .times = {time(0), time(1), time(2), time(3), time(4)}});
  }
  return out;
}

LayerFactors sum_up(const Interference& whole, const std::vector<Part>& parts) {
  LayerFactors out{.whole = whole, .parts = {}, .gemms = {}, .others = {}};
  Times gemms;
  Times others;
  double places_of_gemms = 0;
  double places_of_others = 0;
  for (const Part& part : parts) {
    const Measurement& m = *part.alone;
    const bool is_gemm = m.operation == "gemm" || m.operation == "grouped_gemm";
    (is_gemm ? gemms : others) += part.times;
    (is_gemm ? places_of_gemms : places_of_others) += part.places;
    out.parts.push_back(
        factor_of(own_name(m.name, whole.co_alone->operation), part.places, part.times));
  }
  std::ranges::sort(out.parts, std::greater(), &LayerFactor::beside_s);
  out.gemms = factor_of("GEMMs", places_of_gemms, gemms);
  out.others = factor_of("other parts", places_of_others, others);
  return out;
}

}  // namespace

std::vector<LayerFactors> layer_factors(const Record& record) {
  std::vector<LayerFactors> out;
  for (const Interference& whole : interferences(record)) {
    const std::vector<Part> parts = parts_of(record, *whole.alone, whole.co_alone->operation);
    if (!parts.empty()) out.push_back(sum_up(whole, parts));
  }
  return out;
}

}  // namespace trainmeter
