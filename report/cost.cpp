// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Prices and ownership from the published files.
#include "report/cost.hpp"

#include "record/error.hpp"
#include "record/names.hpp"
#include "record/statistics.hpp"
#include "workload/limits.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace trainmeter {
namespace {

constexpr double kHoursPerYear = 8766;  // 365.25 days
constexpr std::size_t kEnoughListings = 5;

struct PriceFile {
  std::string like;  // a GPU whose listings may stand in
  std::vector<Listing> listings;
};

std::optional<PriceFile> read_prices(const Library& library, const std::string& system) {
  const std::vector<std::string> known = library.ids("prices");
  if (std::ranges::find(known, system) == known.end()) return std::nullopt;  // nor is it a path
  const auto file = library.root() / "prices" / (system + ".json");
  const nlohmann::json json = read_json_file(file);
  StrictObject object(json, file.string());
  PriceFile out;
  (void)filled(object, "id");
  (void)filled(object, "title");
  (void)read_source(object.object("source"));
  if (object.has("like")) out.like = filled(object, "like");
  for (StrictObject& listing : object.objects("listings")) {
    out.listings.push_back(
        {filled(listing, "vendor"), filled(listing, "date"), listing.positive("usd_per_gpu_hour")});
    listing.finish();
  }
  object.finish();
  return out;
}

Fact read_fact(StrictObject& parent, const std::string& key) {
  StrictObject object = parent.object(key);
  Fact fact{.value = object.positive("value"), .source = read_source(object.object("source"))};
  object.finish();
  return fact;
}

Estimate scaled(const Estimate& e, double factor) {
  return {e.p05 * factor, e.p50 * factor, e.p95 * factor};
}

}  // namespace

Estimate product(const Estimate& a, const Estimate& b) {
  const double middle = a.p50 * b.p50;
  const auto away = [&](double x, double y) {
    return std::exp(std::hypot(std::log(x / a.p50), std::log(y / b.p50)));
  };
  return {middle / away(a.p05, b.p05), middle, middle * away(a.p95, b.p95)};
}

std::optional<PriceRange> listed_prices(const Library& library, const System& system) {
  std::optional<PriceFile> own = read_prices(library, system.id);
  if (!own) return std::nullopt;
  std::string of = system.id;
  if (own->listings.size() < kEnoughListings && !own->like.empty()) {
    if (const auto like = read_prices(library, own->like)) {
      of += fmt::format(" ({} of its own) and {}", own->listings.size(), own->like);
      own->listings.insert(own->listings.end(), like->listings.begin(), like->listings.end());
    }
  }
  std::vector<double> prices;
  for (const Listing& listing : own->listings) prices.push_back(listing.usd_per_gpu_hour);
  const auto [first, last] = std::ranges::minmax_element(own->listings, {}, &Listing::date);
  return PriceRange{
      {quantile(prices, 0.05), quantile(prices, 0.5), quantile(prices, 0.95)},
      fmt::format("{} listings for {}, {} to {}", prices.size(), of, first->date, last->date)};
}

Ownership read_ownership(const Library& library) {
  const auto file = library.root() / "ownership.json";
  const nlohmann::json json = read_json_file(file);
  StrictObject object(json, file.string());
  Ownership out;
  out.systems = object.texts("systems");
  out.usd_per_gpu = read_fact(object, "usd_per_gpu");
  out.years = read_fact(object, "years");
  out.utilisation = read_fact(object, "utilisation");
  if (!(out.utilisation.value <= 1)) object.refuse("utilisation", "a value of at most 1");
  out.server_power_ratio = read_fact(object, "server_power_ratio");
  out.pue = read_fact(object, "pue");
  if (!(out.pue.value >= 1)) object.refuse("pue", "a value of at least 1");
  out.usd_per_kwh = read_fact(object, "usd_per_kwh");
  out.beyond_final_run = read_fact(object, "beyond_final_run");
  object.finish();
  return out;
}

double kwh_per_gpu_hour(double power_w, const Ownership& ownership) {
  return power_w * ownership.server_power_ratio.value * ownership.pue.value / 1000;
}

double owned_usd_per_gpu_hour(double power_w, const Ownership& ownership) {
  const double hours = ownership.years.value * kHoursPerYear * ownership.utilisation.value;
  return ownership.usd_per_gpu.value / hours +
         kwh_per_gpu_hour(power_w, ownership) * ownership.usd_per_kwh.value;
}

Cost cost_of(const Estimate& hours, const System& system, const Library& library,
             const CostOptions& options) {
  Cost out{.gpu_hours = hours.p50, .beyond_final_run = options.beyond_final_run};
  const double all = options.beyond_final_run;
  if (const auto price = options.price_usd_per_gpu_hour) {
    out.rental_usd = scaled(hours, *price * all);
    out.rental_how = fmt::format("{} per GPU-hour, as asked for", format_usd(*price));
  } else if (const auto listed = listed_prices(library, system)) {
    out.listings = {(library.root() / "prices" / (system.id + ".json")).string(), "listings"};
    out.rental_usd = scaled(product(hours, listed->usd_per_gpu_hour), all);
    out.rental_how =
        fmt::format("{} per GPU-hour, {} to {}: {}", format_usd(listed->usd_per_gpu_hour.p50),
                    format_usd(listed->usd_per_gpu_hour.p05),
                    format_usd(listed->usd_per_gpu_hour.p95), listed->how);
  } else {
    out.missing.push_back(fmt::format("rented: no prices are published for {}", system.id));
  }
  const auto power = options.power_w ? options.power_w : system.power_w;
  const Ownership own = read_ownership(library);
  out.ownership = {(library.root() / "ownership.json").string(), "usd_per_gpu"};
  if (std::ranges::find(own.systems, system.id) == own.systems.end()) {
    out.missing.push_back(
        fmt::format("owned, energy alone: no server of {} is published (ownership.json has {})",
                    system.id, fmt::join(own.systems, ", ")));
    return out;
  }
  if (!power) {
    out.missing.push_back(
        fmt::format("owned, energy alone: the power of {} isn't known", system.id));
    return out;
  }
  const double kwh = kwh_per_gpu_hour(*power, own);
  out.energy_kwh = hours.p50 * kwh * all;
  out.energy_usd = *out.energy_kwh * own.usd_per_kwh.value;
  out.energy_how = fmt::format(
      "{:.0f} W ({}) x {:.3g} for the server x PUE {:g} = {:.3g} kWh a GPU-hour, at {:g} USD",
      *power, options.power_w ? options.power_how : "the GPU's limit", own.server_power_ratio.value,
      own.pue.value, kwh, own.usd_per_kwh.value);
  const double owned = owned_usd_per_gpu_hour(*power, own);
  out.ownership_usd = hours.p50 * owned * all;
  out.ownership_how =
      fmt::format("{} a GPU-hour: {} a GPU over {:g} years, in use {} of the time, and energy",
                  format_usd(owned), format_usd(own.usd_per_gpu.value), own.years.value,
                  format_percent(own.utilisation.value));
  return out;
}

nlohmann::ordered_json to_json(const Cost& cost) {
  using Json = nlohmann::ordered_json;
  Json json = {{"gpu_hours", cost.gpu_hours}, {"beyond_final_run", cost.beyond_final_run}};
  json["rental"] = cost.rental_usd
                       ? Json({{"usd", to_json(*cost.rental_usd)}, {"how", cost.rental_how}})
                       : Json(nullptr);
  json["ownership"] = cost.ownership_usd
                          ? Json({{"usd", *cost.ownership_usd}, {"how", cost.ownership_how}})
                          : Json(nullptr);
  json["energy"] =
      cost.energy_usd
          ? Json({{"usd", *cost.energy_usd}, {"kwh", *cost.energy_kwh}, {"how", cost.energy_how}})
          : Json(nullptr);
  json["missing"] = cost.missing;
  return json;
}

std::vector<std::string> lines_of(const Cost& cost) {
  std::vector<std::string> out;
  if (cost.rental_usd) {
    const Estimate& r = *cost.rental_usd;
    out.push_back(fmt::format("{} GPU-hours rented: {}, {} to {} ({})",
                              format_hours(cost.gpu_hours), format_usd(r.p50), format_usd(r.p05),
                              format_usd(r.p95), cost.rental_how));
  }
  if (cost.ownership_usd) {
    out.push_back(
        fmt::format("owned: {} ({})", format_usd(*cost.ownership_usd), cost.ownership_how));
  }
  if (cost.energy_usd) {
    out.push_back(
        fmt::format("energy alone: {} ({})", format_usd(*cost.energy_usd), cost.energy_how));
  }
  out.insert(out.end(), cost.missing.begin(), cost.missing.end());
  if (cost.beyond_final_run != 1 && (cost.rental_usd || cost.ownership_usd)) {
    out.push_back(fmt::format("all of these times {:g} for what a final run leaves out",
                              cost.beyond_final_run));
  }
  return out;
}

}  // namespace trainmeter
