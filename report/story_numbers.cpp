// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The numbers of a story: what each line of a record gives, published figures, the machine's,
// and those of prediction, validation and claims.
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/samples.hpp"
#include "report/number_leaves.hpp"
#include "report/rate_lines.hpp"
#include "report/story.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace trainmeter {
namespace {

using Json = nlohmann::ordered_json;

void add_measured(Numbers& numbers, const Story& story) {
  struct Found {
    bool is_rate, counts;  // of its case; as one
    double value;
    const Record* record;
    const Line* line;
  };
  std::vector<Found> found;
  std::set<const Line*> rates;
  for (const RateLine& of : one_a_case(rate_lines(story.records))) rates.insert(of.line);
  for (const Record& record : story.records) {
    for (const Line& line : record.lines) {
      const Header& header = record.header_of(line);
      if (line.measurement.usable())
        found.push_back({rates.contains(&line), gives_rate(line.measurement, header),
                         rate_of(line.measurement, header), &record, &line});
    }
  }
  // The one that is the rate of its case is what tables show.
  std::ranges::stable_sort(found, std::ranges::greater{},
                           [](const Found& f) { return std::tuple(f.is_rate, f.counts, f.value); });
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

// "SOURCE (FILE:LINE)".
std::string with_place(const std::string& source, const KeyPlace& place, KeyLines& lines) {
  const std::string where = lines.shown(place);
  if (source.empty() || where.empty()) return source + where;
  return fmt::format("{} ({})", source, where);
}

void add_published_rates(Numbers& numbers, const std::vector<RatePoint>& points, KeyLines& lines) {
  for (const RatePoint& p : points) {
    if (!p.published) continue;
    numbers.add({.id = p.name + ":rate",
                 .value = p.value,
                 .shown = shown_rate(p, p.value),
                 .kind = "published",
                 .formula = p.projection,
                 .inputs = {},
                 .source = with_place(p.origin, p.place, lines)});
  }
}

void add_machine_figure(Numbers& numbers, const Story& story, KeyLines& lines,
                        const std::string& key, std::optional<double> value,
                        const std::string& shown, const std::optional<Rate>& measured = {}) {
  if (!value) return;
  const auto& source = story.machine.source;
  numbers.add(
      {.id = "machine:" + key,
       .value = *value,
       .shown = shown,
       .kind = !source && measured ? "measured" : kind_of(story.machine.place, story.published),
       .formula = !source && measured              ? "register loop"
                  : key.starts_with("peak_flops.") ? "dense, as the datasheet has it"
                                                   : "as the datasheet has it",
       .inputs = {},
       .source = !source && measured
                     ? measured->origin
                     : with_place(source ? source->title + ", " + source->locator : "",
                                  story.machine.place.at(key), lines)});
}

void add_machine(Numbers& numbers, const Story& story, KeyLines& lines) {
  const System& m = story.machine;
  for (const auto& [dtype, peak] : m.peak_flops) {
    add_machine_figure(numbers, story, lines, "peak_flops." + dtype, peak, format_flops(peak),
                       story.rates.register_peak(dtype));
  }
  for (const auto& [key, value] : {std::pair("memory_bytes_per_s", m.memory_bytes_per_s),
                                   std::pair("nvlink_bytes_per_s", m.nvlink_bytes_per_s),
                                   std::pair("nic_bytes_per_s", m.nic_bytes_per_s)}) {
    add_machine_figure(numbers, story, lines, key, value, format_bandwidth(value.value_or(0)));
  }
}

// The figure that a claim's ceiling is, a record's line or a published one.
void add_ceilings(Numbers& numbers, const Verdict& verdict, KeyLines& lines) {
  for (const Ceiling& c : verdict.ceilings) {
    const bool bus = c.bus_bytes_per_s > 0;
    numbers.add({.id = fmt::format("{}:ceiling.{}.{}", verdict.id, c.dtype,
                                   bus ? "bus_bytes_per_s" : "flops_per_s"),
                 .value = bus ? c.bus_bytes_per_s : c.flops_per_s,
                 .shown = bus ? format_bandwidth(c.bus_bytes_per_s) : format_flops(c.flops_per_s),
                 .kind = c.figure.empty() ? "measured" : "published",
                 .formula = c.how,
                 .inputs = {},
                 .source = with_place(c.origin, c.place, lines)});
  }
}

// The claim's own figures by their lines, or where it has none by those of the run that it is built
// on; what follows from them by the line where they begin.
void add_verdict(Numbers& numbers, const Verdict& verdict, KeyLines& lines) {
  add_ceilings(numbers, verdict, lines);
  const std::string source = verdict.source
                                 ? fmt::format("{}, {} ({})", verdict.source->title,
                                               verdict.source->locator, verdict.source->url)
                                 : "";
  const auto first_there = [&](const std::vector<std::string>& keys) {
    for (const std::string& key : keys) {
      for (const KeyPlace& file : {verdict.place, verdict.run_below}) {
        if (lines.line(file.at(key)) != 0) return file.at(key);
      }
    }
    return verdict.place;
  };
  const KeyPlace figures = first_there({"published", "kernel", "cost", "stages", "run", "source"});
  const KeyPlace hours = first_there({"published.gpu_hours", "published", "stages", "source"});
  const KeyPlace dollars = first_there({"cost", "published.cost_usd", "published", "source"});
  const KeyPlace sums = first_there({"sums", "published", "kernel", "stages", "source"});
  add_leaves(numbers, verdict.id, to_json(verdict), [&](const std::string& path) -> LeafSource {
    const std::string hours_id = verdict.id + ":cost.gpu_hours";
    if (path.starts_with("cost.rental.")) {
      return {"derived", lines.shown(verdict.cost->listings), "", {hours_id}};
    }
    if (path.starts_with("cost.ownership.") || path.starts_with("cost.energy."))
      return {"derived", lines.shown(verdict.cost->ownership), "", {hours_id}};
    if (path == "gpu_hours") return {"published", with_place(source, hours, lines), "", {}};
    if (path == "cost_usd") return {"published", with_place(source, dollars, lines), "", {}};
    if (path.starts_with("arithmetic."))
      return {"derived", with_place(source, sums, lines), "", {}};
    if (path.starts_with("predicted.")) {
      return {"derived",
              with_place("", figures, lines),
              "the engine's prediction of this run by the rates that others published",
              {}};
    }
    return {"derived", with_place(source, figures, lines), "", {}};
  });
}

}  // namespace

Numbers numbers_of(const Story& story) {
  Numbers numbers;
  KeyLines lines;
  add_measured(numbers, story);
  add_published_rates(numbers, story.points, lines);
  add_machine(numbers, story, lines);
  if (story.prediction) add_prediction(numbers, *story.prediction, story.published, lines);
  for (const Verdict& verdict : story.verdicts) add_verdict(numbers, verdict, lines);
  if (story.validation) {
    for (const Json& row : to_json(*story.validation)) {
      const std::string id = row.at("run_id").get<std::string>();
      const KeyPlace printed{(story.published / "runs" / (id + ".json")).string(), "published"};
      add_leaves(numbers, "validate/" + id, row, [&](const std::string& path) -> LeafSource {
        return {path == "published_step_time_s" ? "published" : "derived",
                lines.shown(printed),
                "",
                {}};
      });
    }
  }
  return numbers;
}

}  // namespace trainmeter
