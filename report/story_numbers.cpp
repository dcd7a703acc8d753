// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The numbers of a story: what each line of a record gives, and the leaves of the JSON of
// predictions, validation and claims, each with what the fields beside it say of it.
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/samples.hpp"
#include "report/numbers.hpp"
#include "report/story.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace trainmeter {
namespace {

using Json = nlohmann::ordered_json;

// "qkv fprop 4096x2304x768 bf16" as a part of an id.
std::string word(std::string text) {
  std::ranges::replace(text, ' ', '_');
  return text;
}

std::string text_of(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// What an array's element is called: by the field that tells it from its neighbours, else by its
// place.
std::string name_of(const Json& element, std::size_t index) {
  for (const char* key : {"stage", "for", "factor", "input", "run", "dtype", "id"}) {
    if (const std::string name = text_of(element, key); !name.empty()) return word(name);
  }
  return fmt::format("{}", index + 1);
}

class Leaves {
 public:
  Leaves(Numbers& numbers, std::string prefix, std::string kind, std::string source)
      : numbers_(numbers),
        prefix_(std::move(prefix)),
        kind_(std::move(kind)),
        source_(std::move(source)) {}

  void add(const Json& json, const std::string& path) {
    if (json.is_object()) {
      for (const auto& [key, value] : json.items()) {
        const std::string below = path.empty() ? key : path + "." + key;
        if (value.is_number() && !value.is_boolean()) {
          leaf(json, below, key, value.get<double>());
        } else {
          add(value, below);
        }
      }
    } else if (json.is_array()) {
      for (std::size_t i = 0; i < json.size(); ++i) {
        if (json[i].is_structured()) add(json[i], path + "." + name_of(json[i], i));
      }
    }
  }

 private:
  void leaf(const Json& around, const std::string& path, const std::string& key, double value) {
    std::string formula;
    for (const char* field : {"formula", "what", "how", "why", "for"}) {
      if (formula.empty()) formula = text_of(around, field);
    }
    const std::string origin = text_of(around, "origin");
    const std::string unit = text_of(around, "unit");
    std::string shown = shown_number(unit.empty() ? path : unit, value);
    if (key == "value" &&
        (path.find("memory") != std::string::npos || path.find("all_") != std::string::npos)) {
      shown = format_bandwidth(value);
    } else if (key == "value" && path.starts_with("rates.")) {
      shown = format_flops(value);
    }
    numbers_.add({.id = prefix_ + ":" + path,
                  .value = value,
                  .shown = unit == "GPU-hours" ? format_count(value) : shown,
                  .kind = origin.empty()                    ? kind_
                          : origin.starts_with("published") ? "published"
                          : origin.starts_with("assumed")   ? "assumed"
                                                            : "measured",
                  .formula = formula,
                  .inputs = {},
                  .source = origin.empty() ? source_ : origin});
  }

  Numbers& numbers_;
  std::string prefix_, kind_, source_;
};

void add_measured(Numbers& numbers, const Story& story) {
  struct Found {
    bool counts;  // as a rate
    double value;
    const Record* record;
    const Line* line;
  };
  std::vector<Found> found;
  for (const Record& record : story.records) {
    for (const Line& line : record.lines) {
      const Header& header = record.header_of(line);
      if (line.measurement.usable())
        found.push_back({gives_rate(line.measurement, header), rate_of(line.measurement, header),
                         &record, &line});
    }
  }
  // The fastest of a case is the one that tables show.
  std::ranges::stable_sort(found, std::ranges::greater{},
                           [](const Found& f) { return std::pair(f.counts, f.value); });
  for (const Found& f : found) {
    const Measurement& m = f.line->measurement;
    const std::string where = fmt::format("{}:{}", f.record->file.string(), f.line->line);
    const bool compute = is_compute(m.operation);
    std::string id = m.name + ":rate";
    if (numbers.find(id) != nullptr) id += "@" + where;
    const std::string factor =
        is_collective(m.operation)
            ? fmt::format(" x bus factor {:.4g}", bus_factor(m.operation, m.ranks))
            : "";
    numbers.add(
        {.id = id,
         .value = f.value,
         .shown = compute ? format_flops(f.value) : format_bandwidth(f.value),
         .kind = "measured",
         .formula = fmt::format("{:.4g} {}{} / {}, the median of {} of {} samples{}",
                                compute ? m.flops : m.bytes, compute ? "FLOP" : "bytes", factor,
                                format_seconds(median_time(m).median),
                                counted_samples(m).time_s.size(), m.time_s.size(),
                                m.operation == "fma" ? " (the rate takes their 5 % fastest)" : ""),
         .inputs = {},
         .source = where});
  }
}

std::string factor_id(const Prediction& p, Factor factor) {
  return fmt::format("predict/{}:factors.{}.middle", p.run_id, to_string(factor));
}

// Numbers by the record's line that they came from: those of figures of one page share their
// source.
std::map<std::string, std::string> ids_by_line(const Numbers& numbers) {
  std::map<std::string, std::string> out;
  for (const Number& n : numbers.all()) {
    if (n.kind == "measured") out.emplace(n.source, n.id);
  }
  return out;
}

// A rate of a prediction, tied to the number of the record's line or published figure it came from.
void add_rates(Numbers& numbers, const Prediction& p, const std::string& prefix) {
  const std::map<std::string, std::string> by_line = ids_by_line(numbers);
  for (const UsedRate& used : p.rates) {
    const std::string id = fmt::format("{}:rates.{}.value", prefix, word(used.what));
    Number number{.id = id,
                  .value = used.rate.value,
                  .shown = shown_rate(used),
                  .kind = used.rate.basis == Basis::datasheet
                              ? "published"
                              : std::string(to_string(used.rate.basis)),
                  .formula = used.rate.how,
                  .inputs = {},
                  .source = used.rate.origin};
    if (numbers.find(used.rate.figure + ":rate") != nullptr) {
      number.inputs = {used.rate.figure + ":rate"};
    } else if (const auto line = by_line.find(used.rate.origin); line != by_line.end()) {
      number.inputs = {line->second};
    }
    numbers.add(std::move(number));
  }
}

// Measured, tied to the lines in place and alone; else to the factor that is assumed or learnt.
// Returns the ids.
std::vector<std::string> add_in_place(Numbers& numbers, const Prediction& p) {
  const std::map<std::string, std::string> by_line = ids_by_line(numbers);
  std::vector<std::string> ids;
  for (const InPlaceLink& link : p.in_place) {
    Number number{.id = number_id(p, link),
                  .value = link.ratio,
                  .shown = fmt::format("{:.3g}", link.ratio),
                  .kind = link.basis == "measured"          ? "measured"
                          : link.basis == "published steps" ? "derived"
                                                            : "assumed",
                  .formula = link.why,
                  .inputs = {},
                  .source = ""};
    for (const std::string& origin : link.origins) {
      if (const auto line = by_line.find(origin); line != by_line.end())
        number.inputs.push_back(line->second);
    }
    if (link.factor) {
      number.formula = "no GEMM of this dtype was timed in a layer (layer_bench): the factor";
      number.inputs = {factor_id(p, *link.factor)};
    }
    ids.push_back(number.id);
    numbers.add(std::move(number));
  }
  return ids;
}

void add_prediction(Numbers& numbers, const Prediction& p, bool datasheet) {
  const std::string prefix = "predict/" + p.run_id;
  add_rates(numbers, p, prefix);
  Json json = to_json(p);
  std::vector<std::string> rates, parts;
  for (const UsedRate& used : p.rates)
    rates.push_back(fmt::format("{}:rates.{}.value", prefix, word(used.what)));
  for (const UsedFactor& used : p.factors) {
    const std::string id = factor_id(p, used.factor);
    numbers.add(
        {.id = id,
         .value = used.middle,
         .shown = fmt::format("{:.3g}", used.middle),
         .kind = used.learnt ? "derived" : "assumed",
         .formula = used.learnt ? "learnt from published steps of other families" : used.why,
         .inputs = {},
         .source = used.learnt ? "results/published/calibration.json"
                               : "results/published/factors.json"});
    const bool linked = std::ranges::any_of(
        p.in_place, [&](const InPlaceLink& link) { return link.factor == used.factor; });
    if (!linked) rates.push_back(id);
  }
  for (std::string& id : add_in_place(numbers, p)) rates.push_back(std::move(id));
  for (const auto& [part, seconds] : p.breakdown_s) {
    parts.push_back(fmt::format("{}:breakdown_s.{}", prefix, part));
    numbers.add({.id = parts.back(),
                 .value = seconds,
                 .shown = format_seconds(seconds),
                 .kind = "derived",
                 .formula =
                     "work / (rate x in place x other factors), summed over this part of the "
                     "step with every input at its middle, averaged over the plausible layouts, "
                     "scaled to the median of the draws (docs/extrapolation.md)",
                 .inputs = parts.size() == 1 ? rates : std::vector<std::string>{},
                 .source = ""});
  }
  const auto derived = [&](const char* name, const Estimate& e, const char* formula,
                           std::vector<std::string> inputs) {
    const double values[] = {e.p50, e.p05, e.p95};
    const char* const ends[] = {"", ".p05", ".p95"};
    for (int i = 0; i < 3; ++i) {
      numbers.add({.id = fmt::format("{}:{}{}", prefix, name, ends[i]),
                   .value = values[i],
                   .shown = shown_number(name, values[i]),
                   .kind = "derived",
                   .formula = i == 0 ? formula
                                     : fmt::format("{} % of the draws lie below", i == 1 ? 5 : 95),
                   .inputs = i == 0 ? inputs : std::vector<std::string>{prefix + ":" + name},
                   .source = ""});
    }
  };
  const auto constant = [&](const char* name, double value, const char* kind, const char* formula) {
    numbers.add({.id = prefix + ":" + name,
                 .value = value,
                 .shown = shown_number(name, value),
                 .kind = kind,
                 .formula = formula,
                 .inputs = {},
                 .source = ""});
    return prefix + ":" + name;
  };
  const std::string step = prefix + ":step_time_s";
  const std::string flops = constant("flops_per_step", p.flops_per_step, "derived",
                                     "model FLOPs of a step (docs/flops.md)");
  const std::string peak = constant(
      "mfu_peak_flops", p.mfu_peak_flops, datasheet ? "published" : "measured",
      "the peak that MFU is given against: the system's, dense, or the best GEMM above it");
  derived("step_time_s", p.estimates.step_time_s, "median of the draws: the sum of these parts",
          parts);
  derived("tflops_per_gpu", p.estimates.tflops_per_gpu, "model FLOPs of a step / step time / GPUs",
          {flops, step});
  derived("mfu", p.estimates.mfu, "model FLOP/s per GPU / peak",
          {prefix + ":tflops_per_gpu", peak});
  if (p.estimates.gpu_hours) {
    const std::string goodput =
        constant("goodput", p.goodput, "assumed", "share of the wall time that trains");
    derived("gpu_hours", *p.estimates.gpu_hours, "steps x step time x GPUs / 3600 / goodput",
            {step, goodput});
  }
  if (p.estimates.cost_usd && p.price_usd_per_gpu_hour) {
    const std::string price = constant("price_usd_per_gpu_hour", *p.price_usd_per_gpu_hour,
                                       "published", p.price_how.c_str());
    derived("cost_usd", *p.estimates.cost_usd, "GPU-hours x price", {prefix + ":gpu_hours", price});
  }
  const char* null_formula = "the null model: 40 % of the dense bf16 peak for everything";
  derived("null_model.step_time_s", p.null_model.step_time_s, null_formula, {});
  derived("null_model.mfu", p.null_model.mfu, null_formula, {});
  derived("null_model.tflops_per_gpu", p.null_model.tflops_per_gpu, null_formula, {});
  if (p.null_model.gpu_hours)
    derived("null_model.gpu_hours", *p.null_model.gpu_hours, null_formula, {});
  if (p.null_model.cost_usd)
    derived("null_model.cost_usd", *p.null_model.cost_usd, null_formula, {});
  for (const char* done : {"estimates", "null_model", "rates", "breakdown_s"}) json.erase(done);
  Leaves(numbers, prefix, "derived", "").add(json, "");
}

void add_published_rates(Numbers& numbers, const std::vector<RatePoint>& points) {
  for (const RatePoint& p : points) {
    if (!p.published) continue;
    numbers.add({.id = p.name + ":rate",
                 .value = p.value,
                 .shown = shown_rate(p, p.value),
                 .kind = "published",
                 .formula = p.projection,
                 .inputs = {},
                 .source = p.origin});
  }
}

}  // namespace

std::string number_id(const Prediction& p, const InPlaceLink& link) {
  return fmt::format("predict/{}:in_place.{}.ratio", p.run_id, word(link.what));
}

Numbers numbers_of(const Story& story) {
  Numbers numbers;
  add_measured(numbers, story);
  add_published_rates(numbers, story.points);
  for (const auto& [dtype, peak] : story.machine.peak_flops) {
    const auto measured = story.rates.register_peak(dtype);
    const auto& source = story.machine.source;
    numbers.add({.id = "machine:peak_flops." + dtype,
                 .value = peak,
                 .shown = format_flops(peak),
                 .kind = source ? "published" : "measured",
                 .formula = source ? "dense, as the datasheet has it" : "register loop",
                 .inputs = {},
                 .source = source     ? source->title + ", " + source->locator
                           : measured ? measured->origin
                                      : ""});
  }
  if (story.machine.memory_bytes_per_s) {
    const auto& source = story.machine.source;
    numbers.add({.id = "machine:memory_bytes_per_s",
                 .value = *story.machine.memory_bytes_per_s,
                 .shown = format_bandwidth(*story.machine.memory_bytes_per_s),
                 .kind = "published",
                 .formula = "",
                 .inputs = {},
                 .source = source ? source->title + ", " + source->locator : ""});
  }
  if (story.prediction)
    add_prediction(numbers, *story.prediction, story.machine.source.has_value());
  for (const Verdict& verdict : story.verdicts) {
    const std::string source = verdict.source
                                   ? fmt::format("{}, {} ({})", verdict.source->title,
                                                 verdict.source->locator, verdict.source->url)
                                   : "";
    Leaves(numbers, verdict.id, "derived", source).add(to_json(verdict), "");
  }
  if (story.validation) {
    for (const Json& row : to_json(*story.validation)) {
      Leaves(numbers, "validate/" + row.at("run_id").get<std::string>(), "derived",
             "results/published/runs/" + row.at("run_id").get<std::string>() + ".json")
          .add(row, "");
    }
  }
  return numbers;
}

}  // namespace trainmeter
