// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// trainmeter predict: one training run from published or measured rates.
#include "record/error.hpp"
#include "record/names.hpp"
#include "report/command.hpp"
#include "report/cost.hpp"
#include "report/price.hpp"
#include "report/rate_lines.hpp"
#include "report/stages.hpp"
#include "report/story.hpp"
#include "report/transfer.hpp"

#include <fmt/format.h>

#include <limits>
#include <set>

namespace trainmeter {
namespace {

// Cost at the listings' range instead of one price.
void price_by_listings(Prediction& prediction, const System& on, const Library& library) {
  const auto listed = listed_prices(library, on);
  if (!listed) throw BadInput(fmt::format("--price listings: none are published for {}", on.id));
  const Estimate& price = listed->usd_per_gpu_hour;
  prediction.price_usd_per_gpu_hour = price.p50;
  prediction.price_how = listed->how;
  for (RunEstimates* e : {&prediction.estimates, &prediction.null_model}) {
    if (e->gpu_hours) e->cost_usd = product(*e->gpu_hours, price);
  }
  prediction.assumptions.push_back(fmt::format("rent of {} to {} per GPU-hour: {}",
                                               format_usd(price.p05), format_usd(price.p95),
                                               listed->how));
}

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

struct PredictCommand : Command {
  std::string run_id, system, price;
  std::vector<std::string> rates;
  bool no_in_place = false;
  PredictOptions predict;
  Output output;

  PredictCommand()
      : Command("predict", "one training run: step time, MFU, GPU-hours, cost, with ranges") {}

  void options(CLI::App& app) override {
    app.add_option("--run", run_id, "run file or id")->required();
    add_rates_option(app, rates, "records to take the rates from; default: published ones");
    app.add_option("--system", system,
                   "system id or file, or 'measured': the records' own; default: the run's, but "
                   "'measured' for a CPU's records");
    app.add_option("--price", price,
                   "USD per GPU-hour, or 'listings': the range of published rents")
        ->check(dollars_or_listings());
    app.add_flag("--no_in_place", no_in_place, "GEMMs in the step as fast as alone");
    app.add_option(
           "--samples", predict.samples,
           fmt::format("draws, at least {}; 0: no range, every input at its median", kLeastDraws))
        ->check(draws())
        ->capture_default_str();
    app.add_option("--seed", predict.seed, "of the draws")
        ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()))
        ->capture_default_str();
    output.options(app);
  }

  int run() override {
    const Library library(published_data());
    Run which = library.run(run_id);
    RateBook book;
    std::vector<std::string> notes;
    const std::vector<Record> records = read_records(rates);
    System on;
    bool on_measured = system == "measured";
    if (system.empty() && !records.empty() && device_kind(records) == "cpu" && which.system &&
        which.system->kind == "gpu") {
      on_measured = true;
      notes.push_back(
          fmt::format("the records are a CPU's, whose rates say nothing of {}: the run as "
                      "on that CPU (--system measured)",
                      which.system->id));
      warn(notes);
    }
    if (on_measured) {
      if (records.empty()) throw BadInput("--system measured: needs a record (--rates)");
      const std::vector<Record> of_it = of_kind(records, device_kind(records));
      require_one_device(of_it);
      book.add(of_it);
      on = measured_system(records, book, library, notes);
    } else if (!system.empty()) {
      on = library.system(system);
    } else if (which.system) {
      on = *which.system;
    } else {
      throw BadInput(fmt::format("run {}: system: missing; name one with --system", which.id));
    }
    for (std::string text :
         {differs_from_published(on, library), price.empty() ? prices_apart(which, on) : ""}) {
      if (on_measured || text.empty()) continue;
      warn({text});
      notes.push_back(std::move(text));
    }
    which = carried_to(std::move(which), on);
    book.describe(on);
    if (records.empty()) {
      book.add_published(library, on);
    } else if (!on_measured) {
      if (which.context.power_cap_w) on.power_w = which.context.power_cap_w;
      book.describe(on);
      const std::vector<std::string> reasons = add_projected(book, records, on, library);
      notes.insert(notes.end(), reasons.begin(), reasons.end());
    }
    if (const auto apart =
            devices_apart(on_measured ? of_kind(records, device_kind(records)) : records)) {
      notes.push_back(apart->shown());
      if (apart->differ()) warn({notes.back()});
    }
    const std::vector<Record> own = of_chip(records, on, library);
    book.set_measured_in_steps(own);
    const bool no_factor =
        book.in_place().empty() && book.slowdowns().empty() && book.layers_beside().empty();
    if (no_in_place) book.set_in_place(InPlaceRatios::all_one());
    if (!records.empty() && book.points().empty()) {
      if (no_factor)
        throw BadInput(
            fmt::format("--rates: none of these records' rows gives a rate or a factor "
                        "on {} (verified, measured alone, on normal data)",
                        on.id));
      if (!on_measured) {
        notes.emplace_back("the records hold ratios of a step alone: the rates are published ones");
        book.add_published(library, on);
      }
    }
    if (!price.empty() && price != kListings) predict.price_usd_per_gpu_hour = std::stod(price);
    Prediction prediction = predict_run(which, on, book, load_knowledge(library), predict);
    if (price == kListings) price_by_listings(prediction, on, library);
    for (const std::string& note : notes) prediction.assumptions.push_back(note);
    warn(left_out_traffic(prediction));
    if (const std::string beyond = beyond_memory(prediction); !beyond.empty()) warn({beyond});
    output.write(to_document(prediction, which.title + " on " + devices_of(prediction)),
                 [&] { return to_json(prediction); });
    return kFine;
  }
};

}  // namespace

std::unique_ptr<Command> predict_command() {
  return std::make_unique<PredictCommand>();
}

}  // namespace trainmeter
