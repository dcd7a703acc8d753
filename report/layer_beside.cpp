// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The table of layers beside a co-runner.
#include "report/layer_beside.hpp"

#include "record/formulas.hpp"
#include "record/layer_factors.hpp"
#include "record/names.hpp"
#include "record/samples.hpp"
#include "record/statistics.hpp"
#include "report/story.hpp"

#include <fmt/format.h>

#include <optional>
#include <string>

namespace trainmeter {
namespace {

using Json = nlohmann::ordered_json;

std::string name_of(const Interference& layer) {
  const Measurement& m = *layer.alone;
  return fmt::format("{} {}, {}", m.operation, m.dtype,
                     sizes_in(own_name(m.name, layer.co_alone->operation)));
}

double median_s(const Measurement& m) {
  return median(counted_samples(m).time_s);
}

// Of the three rows of a layer, "1.98, 1.97, 1.97 GHz"; empty where no clock could be read.
std::string clocks_of(const Interference& layer) {
  std::string out;
  for (const Measurement* m : {layer.alone, layer.held, layer.together}) {
    if (m->sm_clock_hz.empty()) return "";
    out += fmt::format("{}{:.2f}", out.empty() ? "" : ", ", median(m->sm_clock_hz) / 1e9);
  }
  return out + " GHz";
}

double co_rate(const Measurement& co_runner) {
  return rate(co_runner.bytes, median_s(co_runner));
}

// In the time of one layer beside it, over what it is to move: 1 where its pace fits.
std::optional<double> moved_of_wanted(const Interference& layer) {
  const auto wanted = layer.co_together->notes.find("co_layer_bytes");
  if (wanted == layer.co_together->notes.end()) return std::nullopt;
  return co_rate(*layer.co_together) * median_s(*layer.together) / std::stod(wanted->second);
}

std::string moves_of(const Interference& layer) {
  const auto what = layer.co_together->notes.find("co_moves");
  std::string out = fmt::format("{}: beside it on {} of {} SMs (cores): {}, alone {}",
                                name_of(layer), layer.co_together->sms, layer.alone->sms,
                                format_bandwidth(co_rate(*layer.co_together)),
                                format_bandwidth(co_rate(*layer.co_alone)));
  if (what != layer.co_together->notes.end()) out += "; it moves " + what->second;
  if (const auto share = moved_of_wanted(layer))
    out += fmt::format(", {} of that while the layer ran", format_percent(*share));
  const std::string clocks = clocks_of(layer);
  return clocks.empty() ? out : out + "; clocks of the three: " + clocks;
}

std::vector<Text> row_of(const std::string& layer, const LayerFactor& f) {
  return {layer,
          f.what,
          format_seconds(f.alone_s),
          fmt::format("{:.3f}", f.sms),
          fmt::format("{:.3f}", f.in_place),
          fmt::format("{:.3f}", f.traffic),
          format_seconds(f.beside_s()),
          fmt::format("{:.3f}", f.in_place_s / f.alone_s)};
}

Json json_of(const LayerFactor& f) {
  return {{"what", f.what},           {"places", f.places},
          {"alone_s", f.alone_s},     {"sms", f.sms},
          {"in_place", f.in_place},   {"traffic", f.traffic},
          {"beside_s", f.beside_s()}, {"in_place_on_all", f.in_place_s / f.alone_s}};
}

}  // namespace

Document layers_beside(const std::vector<Record>& records) {
  Table table{{"layer", "what", ">alone on all SMs", ">x fewer SMs", ">x in place", ">x beside",
               ">= in place beside it", ">in place on all SMs"},
              {}};
  std::vector<Text> notes = {
      "factors of time, each by itself and multiplied: alone back to back on the SMs (on a CPU: "
      "cores) that a co-runner leaves and holds idle; between the layer's other kernels there; and "
      "there while the co-runner moves data. In turn, so at one clock. In place on all SMs is the "
      "ratio without any of it",
      "the layer's own time has nothing between its kernels, so it has no place to be in; its "
      "factors are medians over pairs of samples, so their product is only about its time"};
  for (const Record& record : records) {
    for (const LayerFactors& layer : layer_factors(record)) {
      const std::string name = name_of(layer.whole);
      table.rows.push_back({name, "the layer", format_seconds(median_s(*layer.whole.alone)),
                            fmt::format("{:.3f}", layer.whole.sms.median), "-",
                            fmt::format("{:.3f}", layer.whole.traffic.median),
                            format_seconds(median_s(*layer.whole.together)), "-"});
      for (const LayerFactor& sum : layer.sums()) table.rows.push_back(row_of(name, sum));
      notes.emplace_back(moves_of(layer.whole));
    }
  }
  if (table.rows.empty()) return {};
  Document out;
  out.emplace_back(Heading{2, "What fewer SMs and the traffic beside it cost a layer"});
  out.emplace_back(std::move(table));
  out.emplace_back(Bullets{std::move(notes)});
  return out;
}

Json layers_beside_json(const std::vector<Record>& records) {
  auto out = Json::array();
  for (const Record& record : records) {
    for (const LayerFactors& layer : layer_factors(record)) {
      const Interference& whole = layer.whole;
      const auto moved = moved_of_wanted(whole);
      Json one = {{"layer", whole.alone->name},
                  {"co_sms", whole.co_alone->sms},
                  {"alone_s", median_s(*whole.alone)},
                  {"sms", whole.sms.median},
                  {"traffic", whole.traffic.median},
                  {"beside_s", median_s(*whole.together)},
                  {"co_bytes_per_s_alone", co_rate(*whole.co_alone)},
                  {"co_bytes_per_s", co_rate(*whole.co_together)},
                  {"co_moved_of_wanted", moved ? Json(*moved) : Json(nullptr)},
                  {"gemms", json_of(layer.gemms)},
                  {"attention", json_of(layer.attention)},
                  {"others", json_of(layer.others)},
                  {"parts", Json::array()}};
      for (const LayerFactor& part : layer.parts) one["parts"].push_back(json_of(part));
      out.push_back(std::move(one));
    }
  }
  return out;
}

}  // namespace trainmeter
