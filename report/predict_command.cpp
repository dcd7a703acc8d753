// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// trainmeter predict: one training run from published or measured rates.
#include "record/error.hpp"
#include "record/names.hpp"
#include "report/command.hpp"
#include "report/cost.hpp"
#include "report/run_rates.hpp"
#include "report/stages.hpp"
#include "report/story.hpp"

#include <fmt/format.h>

#include <limits>

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
    const RunRates from =
        rates_for(which, read_records(rates), library,
                  {.system = system, .no_in_place = no_in_place, .priced = !price.empty()});
    warn(from.warnings);
    which = carried_to(std::move(which), from.system);
    if (!price.empty() && price != kListings) predict.price_usd_per_gpu_hour = std::stod(price);
    Prediction prediction =
        predict_run(which, from.system, from.book, load_knowledge(library), predict);
    if (price == kListings) price_by_listings(prediction, from.system, library);
    for (const std::string& note : from.notes) prediction.assumptions.push_back(note);
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
