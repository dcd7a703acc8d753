// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strict reading of claims: their own keys first, the rest as a run.
#include "workload/claim.hpp"

#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/text_limits.hpp"
#include "workload/limits.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace trainmeter {
namespace {

constexpr double kMaxPrinted = 1e30;  // FLOPs of a run, tokens, ...

const std::vector<std::string>& units() {
  static const std::vector<std::string> kUnits = {"GPU-hours", "hours",    "days", "seconds", "USD",
                                                  "tokens",    "tokens/s", "FLOP", "TFLOP/s", "%"};
  return kUnits;
}

std::vector<double> factors(StrictObject& object, const std::string& key) {
  if (!object.has(key)) return {};
  std::vector<double> out = object.numbers(key);
  for (const double value : out) {
    if (!(0 < value && value <= kMaxPrinted))
      object.refuse(key, fmt::format("numbers above 0, at most {:g}", kMaxPrinted));
  }
  return out;
}

PrintedSum read_sum(StrictObject object) {
  PrintedSum sum{.title = filled(object, "title"),
                 .multiply = factors(object, "multiply"),
                 .divide = factors(object, "divide"),
                 .add = factors(object, "add")};
  if (sum.multiply.empty() == sum.add.empty() || (!sum.add.empty() && !sum.divide.empty())) {
    object.refuse("multiply", "either `multiply` (with `divide`, if need be) or `add`");
  }
  sum.exact = object.optional(&StrictObject::positive, "exact").value_or(1);
  sum.unit = object.one_of("unit", units());
  sum.printed = at_most(object, "printed",
                        sum.unit == "GPU-hours" ? kMaxGpuHours
                        : sum.unit == "USD"     ? kMaxUsd
                                                : kMaxPrinted,
                        "a number above 0");
  object.finish();
  return sum;
}

KernelClaim read_kernel(StrictObject object) {
  KernelClaim kernel{.operation = filled(object, "operation"), .dtype = filled(object, "dtype")};
  kernel.ranks = object.has("ranks") ? object.count("ranks") : 1;
  if (object.has("flops_per_s")) {
    kernel.flops_per_s = at_most(object, "flops_per_s", kFlopsPerS.most, kFlopsPerS.unit);
  }
  if (object.has("bus_bytes_per_s")) {
    kernel.bus_bytes_per_s =
        at_most(object, "bus_bytes_per_s", kMemoryBytesPerS.most, kMemoryBytesPerS.unit);
  }
  if (kernel.flops_per_s.has_value() == kernel.bus_bytes_per_s.has_value()) {
    object.refuse("flops_per_s", "one of flops_per_s and bus_bytes_per_s");
  }
  if (object.has("figure")) kernel.figure = filled(object, "figure");
  object.finish();
  return kernel;
}

// {amount, currency, usd_per_unit} into dollars, with what the last printed digits are worth.
void read_cost(StrictObject object, Claim& claim, nlohmann::json& run) {
  if (run.contains("published") && run["published"].contains("cost_usd")) {
    throw BadInput(
        fmt::format("{}: cost: expected either this or published.cost_usd", object.where()));
  }
  const double amount = at_most(object, "amount", kMaxUsd, "an amount");
  const std::string currency = filled(object, "currency");
  if (currency != "USD" && !object.has("usd_per_unit")) {
    throw BadInput(fmt::format("{}: {}: missing; a cost in {} needs its rate in USD",
                               object.where(), object.path_of("usd_per_unit"), currency));
  }
  const double rate = currency == "USD" ? 1 : object.positive("usd_per_unit");
  object.finish();
  run["published"]["cost_usd"] = amount * rate;
  claim.cost_unit_usd = printed_unit(amount) * rate;
}

std::string read_date(StrictObject& object) {
  std::string date = filled(object, "said_on");
  if (date.find_first_not_of("0123456789-") != std::string::npos || date.size() < 4) {
    object.refuse("said_on", "a date such as 2025, 2025-09 or 2025-09-17");
  }
  return date;
}

// In a patch null takes a key away; here it is no value, as in every file.
void refuse_nulls(const nlohmann::json& patch, const std::string& where, const std::string& path) {
  for (const auto& [key, value] : patch.items()) {
    const std::string at = (path.empty() ? "" : path + ".") + shortened(key);
    if (value.is_null())
      throw BadInput(fmt::format("{}: {}: expected a value, found null", where, at));
    if (value.is_object()) refuse_nulls(value, where, at);
  }
}

// The keys of the run that the claim names, under the claim's own.
nlohmann::json with_run_below(nlohmann::json own, StrictObject& object, const Library& library) {
  if (!object.has("run")) return own;
  const auto file = library.file("runs", named(object, "run", object.text("run")));
  (void)library.run(file.string());  // whose mistakes are its own
  nlohmann::json run = read_json_file(file);
  refuse_nulls(own, object.where(), "");
  run.merge_patch(own);
  return run;
}

}  // namespace

Claim read_claim(const nlohmann::json& json, const std::string& where, const Library& library) {
  StrictObject object(json, where);
  if (object.has("schema")) {
    if (const std::int64_t schema = object.count("schema"); schema > kClaimSchema) {
      object.refuse("schema", fmt::format("at most {}, which this program reads; schema {} needs a "
                                          "newer trainmeter",
                                          kClaimSchema, schema));
    }
  }
  Claim claim;
  if (!object.has("source")) {
    throw BadInput(where + ": source: missing; a claim needs {title, locator, url, read_on}");
  }
  claim.source = read_source(object.object("source"));
  if (object.has("sentence")) claim.sentence = filled(object, "sentence");
  if (object.has("who")) claim.who = filled(object, "who");
  if (object.has("said_on")) claim.said_on = read_date(object);
  if (object.has("constructed")) claim.constructed = object.boolean("constructed");
  if (object.has("counts")) claim.counts = object.texts("counts");
  if (object.has("leaves_out")) claim.leaves_out = object.texts("leaves_out");
  if (object.has("about")) claim.about = named(object, "about", filled(object, "about"));
  if (object.has("sums")) {
    for (StrictObject& sum : object.objects("sums")) claim.sums.push_back(read_sum(sum));
  }
  if (object.has("kernel")) claim.kernel = read_kernel(object.object("kernel"));

  nlohmann::json own = json;
  if (object.has("cost")) read_cost(object.object("cost"), claim, own);
  constexpr std::array kOwnKeys = {"schema",      "sentence", "who",        "said_on",
                                   "constructed", "counts",   "leaves_out", "about",
                                   "sums",        "kernel",   "cost",       "run"};
  for (const char* key : kOwnKeys) own.erase(key);
  const nlohmann::json whole = with_run_below(own, object, library);
  StrictObject run(whole, where);
  for (const char* key : kOwnKeys) (void)run.has(key);  // a mistyped one is told what it is near
  claim.run = read_run(run, library);
  return claim;
}

}  // namespace trainmeter
