// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// trainmeter claims: the arithmetic and the verdict of published claims.
#include "report/claims.hpp"
#include "report/command.hpp"
#include "report/transfer.hpp"

#include <algorithm>

namespace trainmeter {
namespace {

struct ClaimsCommand : Command {
  std::vector<std::string> which, rates;
  std::string price = kListings;
  double beyond_final_run = 1;
  bool strict = false;
  Output output;

  ClaimsCommand() : Command("claims", "published claims: their arithmetic and their verdict") {}

  void options(CLI::App& app) override {
    app.add_option("ID", which, "ids or files; default: all published");
    add_rates_option(
        app, rates,
        "records of yours: rates to predict with, and ceilings beside the published ones");
    app.add_option("--price", price,
                   "USD per GPU-hour, or 'listings': the range of published rents")
        ->check(dollars_or_listings())
        ->capture_default_str();
    app.add_option("--beyond-final-run", beyond_final_run,
                   "multiply costs by this for what a final run leaves out; 1: nothing added")
        ->check(number_between(1, 1000))
        ->capture_default_str();
    app.add_flag("--strict", strict,
                 "exit 1 where a claim is contradictory or exceeds what anybody measured");
    output.options(app);
  }

  int run() override {
    const Library library(published_data());
    JudgeOptions options{.rates = read_records(rates), .cost = {}};
    if (!options.rates.empty() && device_kind(options.rates) == "cpu") {
      warn({"--rates: a CPU's rates say nothing of GPUs: they are left out"});
      options.rates.clear();
    }
    if (price != kListings) options.cost.price_usd_per_gpu_hour = std::stod(price);
    options.cost.beyond_final_run = beyond_final_run;
    std::vector<Verdict> verdicts;
    for (const std::string& id : which.empty() ? library.ids("claims") : which) {
      verdicts.push_back(judge(library.claim(id), library, options));
    }
    output.write(to_document(verdicts), [&] {
      auto json = nlohmann::ordered_json::array();
      for (const Verdict& verdict : verdicts) json.push_back(to_json(verdict));
      return json;
    });
    return strict && std::ranges::any_of(verdicts, &Verdict::fails) ? kCheckFailed : kFine;
  }
};

}  // namespace

std::unique_ptr<Command> claims_command() {
  return std::make_unique<ClaimsCommand>();
}

}  // namespace trainmeter
