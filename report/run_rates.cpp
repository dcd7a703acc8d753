// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Finds the system, then fills the book.
#include "report/run_rates.hpp"

#include "record/error.hpp"
#include "report/predict.hpp"
#include "report/price.hpp"
#include "report/rate_lines.hpp"
#include "report/story.hpp"
#include "report/transfer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <optional>
#include <set>
#include <utility>

namespace trainmeter {
namespace {

// A run on the measured machine needs one: the best of several would be nobody's.
void require_one_device(const std::vector<Record>& records) {
  std::set<std::string> names;
  for (const Record& record : records)
    for (const Line& line : record.lines) names.insert(record.header_of(line).device.name);
  if (names.size() > 1) {
    throw BadInput(
        fmt::format("--rates: records of {} devices ({}): expected one's for a run on "
                    "the measured machine",
                    names.size(), fmt::join(names, "; ")));
  }
}

// The run's own, or that which all its stages have.
std::optional<System> own_system(const Run& run) {
  if (run.system) return run.system;
  std::optional<System> out;
  for (const Stage& stage : run.stages) {
    if (!stage.run || !stage.run->system) return std::nullopt;
    if (out && out->id != stage.run->system->id) return std::nullopt;
    out = stage.run->system;
  }
  return out;
}

}  // namespace

RunRates rates_for(const Run& run, const std::vector<Record>& records, const Library& library,
                   const RatesOptions& options) {
  RunRates out;
  System& on = out.system;
  RateBook& book = out.book;
  bool on_measured = options.system == "measured";
  const std::optional<System> own = own_system(run);
  const bool of_a_cpu = !records.empty() && device_kind(records) == "cpu";
  if (options.system.empty() && of_a_cpu && !own) on_measured = true;
  if (options.system.empty() && of_a_cpu && own && own->kind == "gpu") {
    on_measured = true;
    out.notes.push_back(
        fmt::format("the records are a CPU's, whose rates say nothing of {}: the run as "
                    "on that CPU (--system measured)",
                    own->id));
    out.warnings.push_back(out.notes.back());
  }
  if (on_measured) {
    if (records.empty()) throw BadInput("--system measured: needs a record (--rates)");
    const std::vector<Record> of_it = of_kind(records, device_kind(records));
    require_one_device(of_it);
    book.add(of_it);
    on = measured_system(records, book, library, out.notes);
  } else if (!options.system.empty()) {
    on = library.system(options.system);
  } else if (own) {
    on = *own;
  } else {
    throw BadInput(fmt::format("{}: system: missing; name one with --system",
                               run.place.file.empty() ? "run " + run.id : run.place.file));
  }
  if (!on_measured) {
    for (std::string text :
         {differs_from_published(on, library), options.priced ? "" : prices_apart(run, on)}) {
      if (text.empty()) continue;
      out.warnings.push_back(text);
      out.notes.push_back(std::move(text));
    }
  }
  book.describe(on);
  if (records.empty()) {
    book.add_published(library, on);
  } else if (!on_measured) {
    const Run there = carried_to(run, on);
    if (there.context.power_cap_w) on.power_w = there.context.power_cap_w;
    book.describe(on);
    for (std::string& reason : add_projected(book, records, on, library))
      out.notes.push_back(std::move(reason));
  }
  if (const auto apart =
          devices_apart(on_measured ? of_kind(records, device_kind(records)) : records)) {
    out.notes.push_back(apart->shown());
    if (apart->differ()) out.warnings.push_back(out.notes.back());
  }
  book.set_measured_in_steps(of_chip(records, on, library));
  const bool no_factor =
      book.in_place().empty() && book.slowdowns().empty() && book.layers_beside().empty();
  if (options.no_in_place) book.set_in_place(InPlaceRatios::all_one());
  if (!records.empty() && book.points().empty()) {
    if (no_factor)
      throw BadInput(
          fmt::format("--rates: none of these records' rows gives a rate or a factor "
                      "on {} (verified, measured alone, on normal data)",
                      on.id));
    if (!on_measured) {
      out.notes.emplace_back(
          "the records hold ratios of a step alone: the rates are published ones");
      book.add_published(library, on);
    }
  }
  return out;
}

}  // namespace trainmeter
