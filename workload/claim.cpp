// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strict reading of claims: their own keys first, the rest as a run.
#include "workload/claim.hpp"

#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/text_limits.hpp"
#include "workload/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace trainmeter {
namespace {

constexpr double kMaxPrinted = 1e30;    // FLOPs of a run, tokens, ...
constexpr double kMaxUsdPerUnit = 1e6;  // of a currency

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
  sum.exact = at_most_if_there(object, "exact", kMaxPrinted, "a factor of units").value_or(1);
  sum.unit = object.one_of("unit", units());
  sum.printed = at_most(object, "printed",
                        sum.unit == "GPU-hours" ? kMaxGpuHours
                        : sum.unit == "USD"     ? kMaxUsd
                                                : kMaxPrinted,
                        "a number above 0");
  object.finish();
  return sum;
}

// Of micro figures, those of FLOPs and of traffic between GPUs.
const std::vector<std::string>& claimed_operations() {
  static const std::vector<std::string> kAll = [] {
    std::vector<std::string> out;
    for (const std::string& one : micro_operations()) {
      if (rate_key_of(one) != "bytes_per_s") out.push_back(one);
    }
    return out;
  }();
  return kAll;
}

// Where the id is mistyped, the claim's own figure would be its ceiling.
void require_figure(StrictObject& object, const KernelClaim& kernel, const Library& library) {
  std::vector<std::string> known;
  for (const std::string& id : library.ids("micro")) {
    for (const MicroFigure& figure : library.micro(id).figures) {
      if (figure.operation == kernel.operation && figure.dtype == kernel.dtype &&
          figure.ranks == kernel.ranks)
        known.push_back(figure.id);
    }
  }
  if (std::ranges::find(known, kernel.figure) != known.end()) return;
  const std::string near = nearest(kernel.figure, known);
  object.refuse("figure", fmt::format("the id of a published micro figure of this operation, dtype "
                                      "and ranks{}",
                                      near.empty() ? "" : fmt::format(" (nearest: '{}')", near)));
}

KernelClaim read_kernel(StrictObject object, const Library& library) {
  KernelClaim kernel{.operation = object.one_of("operation", claimed_operations()),
                     .dtype = object.one_of("dtype", dtype_names())};
  kernel.ranks = object.has("ranks") ? bounded(object, "ranks", 1, kMaxRunSize) : 1;
  const bool bus = rate_key_of(kernel.operation) == "bus_bytes_per_s";
  if (const char* other = bus ? "flops_per_s" : "bus_bytes_per_s"; object.has(other)) {
    object.refuse(
        other, fmt::format("{}, the rate of {}", rate_key_of(kernel.operation), kernel.operation));
  }
  if (bus) {
    kernel.bus_bytes_per_s = within(object, "bus_bytes_per_s", kLinkBytesPerS);
  } else {
    kernel.flops_per_s = within(object, "flops_per_s", kFlopsPerS);
  }
  if (object.has("figure")) {
    kernel.figure = filled(object, "figure");
    require_figure(object, kernel, library);
  }
  object.finish();
  return kernel;
}

// {amount, currency, usd_per_unit} into dollars, with what the last printed digits are worth.
void read_cost(StrictObject& whole, Claim& claim, nlohmann::json& run) {
  StrictObject object = whole.object("cost");
  if (whole.has("published") && whole.object("published").has("cost_usd")) {
    throw BadInput(
        fmt::format("{}: cost: expected either this or published.cost_usd", object.where()));
  }
  const double amount = at_most(object, "amount", kMaxUsd, "an amount");
  const std::string currency = filled(object, "currency");
  if (currency != "USD" && !object.has("usd_per_unit")) {
    throw BadInput(fmt::format("{}: {}: missing; a cost in {} needs its rate in USD",
                               object.where(), object.path_of("usd_per_unit"), currency));
  }
  const double rate =
      currency == "USD" ? 1 : at_most(object, "usd_per_unit", kMaxUsdPerUnit, "USD");
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

// The files that a run names lie in its own folder; `folder` is that one, as the claim names it.
void name_from_the_claim(nlohmann::json& run, const std::filesystem::path& folder) {
  const auto from_there = [&](nlohmann::json& name) {
    if (!name.is_string() || !names_a_file(name.get<std::string>())) return;
    name = (folder / name.get<std::string>()).string();
  };
  for (const char* key : {"model", "system"}) {
    if (run.contains(key)) from_there(run[key]);
  }
  if (!run.contains("stages")) return;
  for (nlohmann::json& stage : run["stages"]) {
    from_there(stage);
    if (stage.is_object()) name_from_the_claim(stage, folder);
  }
}

// The keys of the run that the claim names, under the claim's own.
nlohmann::json with_run_below(nlohmann::json own, StrictObject& object, Claim& claim,
                              const Library& library) {
  if (!object.has("run")) return own;
  const std::string name = object.text("run");
  const std::string from_here = named(object, "run", name);
  const auto file =
      referred(object.where() + ": run", [&] { return library.file("runs", from_here); });
  (void)library.run(file.string());  // whose mistakes are its own
  claim.run_below = {file.string(), ""};
  nlohmann::json run = read_json_file(file);
  name_from_the_claim(run, (names_a_file(name) ? std::filesystem::path(name) : file).parent_path());
  refuse_nulls(own, object.where(), "");
  run.merge_patch(own);
  return run;
}

// A verdict is on a kernel or on training: the figures of the other would stay untested.
void require_kernel_alone(const StrictObject& claim, const nlohmann::json& whole) {
  for (const char* key : {"published", "tokens", "stages", "rl"}) {
    if (!whole.contains(key)) continue;
    throw BadInput(
        fmt::format("{}: {}: expected none of a training run's figures beside `kernel`: make it a "
                    "claim of its own",
                    claim.where(), key));
  }
}

}  // namespace

Claim read_claim(const nlohmann::json& json, const std::string& where, const Library& from) {
  const Library library = from.for_names_in_files();
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
  if (object.has("kernel")) claim.kernel = read_kernel(object.object("kernel"), library);

  nlohmann::json own = json;
  if (object.has("cost")) read_cost(object, claim, own);
  constexpr std::array kOwnKeys = {"schema",      "sentence", "who",        "said_on",
                                   "constructed", "counts",   "leaves_out", "about",
                                   "sums",        "kernel",   "cost",       "run"};
  for (const char* key : kOwnKeys) own.erase(key);
  const nlohmann::json whole = with_run_below(own, object, claim, library);
  if (claim.kernel) require_kernel_alone(object, whole);
  StrictObject run(whole, where);
  for (const char* key : kOwnKeys) (void)run.has(key);  // a mistyped one is told what it is near
  claim.run = read_run(run, library);
  return claim;
}

}  // namespace trainmeter
