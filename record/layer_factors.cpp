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
  std::vector<std::size_t> lines;
};

// Parts of one kind, and their sum.
struct Sum {
  const char* what;
  double places = 0;
  Times times = {};

  void add(const Part& part) {
    places += part.places;
    times += part.times;
  }
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
  std::map<std::string, std::map<std::string, const Line*>> rows;  // by name, beside
  for (const Line& line : record.lines) {
    const Measurement& m = line.measurement;
    const auto of = m.notes.find(kOfLayer);
    if (of == m.notes.end() || of->second != layer.name || m.session != layer.session ||
        m.repetition != layer.repetition || !m.usable())
      continue;
    rows[m.name][m.beside] = &line;
  }
  std::vector<Part> out;
  for (const auto& part : rows) {
    const auto& by_beside = part.second;
    const auto row = [&](const std::string& beside) {
      const auto found = by_beside.find(beside);
      return found == by_beside.end() ? nullptr : found->second;
    };
    const Line* const in_place = row(kInLayer);
    const Line* const alone = row("none");
    const Line* const all[] = {alone, row(kIdle), in_place, row(in_layer_beside(kIdle)),
                               row(in_layer_beside(co_runner))};
    if (std::ranges::find(all, nullptr) != std::end(all)) return {};
    const auto places = static_cast<double>(in_place->measurement.runs_per_sample);
    const auto time = [&](int i) {
      return places * median(counted_samples(all[i]->measurement).time_s);
    };
    Part one{.alone = &alone->measurement,
             .places = places,
             .times = {time(0), time(1), time(2), time(3), time(4)},
             .lines = {}};
    for (const Line* line : all) one.lines.push_back(line->line);
    out.push_back(std::move(one));
  }
  return out;
}

LayerFactors sum_up(const Interference& whole, const std::vector<Part>& parts) {
  LayerFactors out{
      .whole = whole, .parts = {}, .gemms = {}, .attention = {}, .others = {}, .lines = {}};
  Sum gemms{"GEMMs"};
  Sum attention{"attention core"};
  Sum others{"other parts"};
  for (const Part& part : parts) {
    const Measurement& m = *part.alone;
    const bool is_gemm = m.operation == "gemm" || m.operation == "grouped_gemm";
    (is_gemm ? gemms : m.operation.starts_with("attention") ? attention : others).add(part);
    out.parts.push_back(
        factor_of(own_name(m.name, whole.co_alone->operation), part.places, part.times));
    out.lines.insert(out.lines.end(), part.lines.begin(), part.lines.end());
  }
  std::ranges::sort(out.parts, std::greater(), &LayerFactor::beside_s);
  const auto sum = [](const Sum& of) { return factor_of(of.what, of.places, of.times); };
  out.gemms = sum(gemms);
  out.attention = sum(attention);
  out.others = sum(others);
  return out;
}

}  // namespace

std::vector<LayerFactor> LayerFactors::sums() const {
  std::vector<LayerFactor> out;
  for (const LayerFactor* sum : {&gemms, &attention, &others})
    if (sum->places > 0) out.push_back(*sum);
  return out;
}

std::vector<LayerFactors> layer_factors(const Record& record) {
  std::vector<LayerFactors> out;
  for (const Interference& whole : interferences(record)) {
    const std::vector<Part> parts = parts_of(record, *whole.alone, whole.co_alone->operation);
    if (!parts.empty()) out.push_back(sum_up(whole, parts));
  }
  return out;
}

}  // namespace trainmeter
