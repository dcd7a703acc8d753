// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What GPU-hours cost: rented at published prices, owned, or the electricity alone.
#pragma once

#include "report/predict.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// Rental prices that were published for one GPU (results/published/prices/<system>.json).
struct Listing {
  std::string vendor, date;
  double usd_per_gpu_hour = 0;
};

struct PriceRange {
  Estimate usd_per_gpu_hour;  // quantiles of the listings
  std::string how;            // "49 listings for h100, 2023-06-20 to 2025-03-17"
};

// The listings for a system; where it has fewer than five, those of the GPU that its file names as
// like it, too, which is said. Nothing where there is no file. BadInput as for every file.
std::optional<PriceRange> listed_prices(const Library& library, const System& system);

// Product of two independent estimates: medians multiply, and the distances to either side add in
// quadrature on the log scale (exact for log-normals).
Estimate product(const Estimate& a, const Estimate& b);

// One number of results/published/ownership.json, with where it stands.
struct Fact {
  double value = 0;
  Source source;
};

// Source: the method of Cottier et al., The rising costs of training frontier AI models (arXiv
// 2405.21015): linear depreciation, and energy as chip power x server share x PUE.
struct Ownership {
  std::vector<std::string> systems;  // that such servers hold
  Fact usd_per_gpu;         // a server's price for each of its GPUs, without cluster network
  Fact years, utilisation;  // over which it is written off; share of that time it is in use
  Fact server_power_ratio;  // of a server's greatest power to that of its GPUs
  Fact pue, usd_per_kwh;
  Fact beyond_final_run;  // R&D compute over that of final runs
};
Ownership read_ownership(const Library& library);

// Electricity of one GPU-hour: power_w x server_power_ratio x pue / 1000, in kWh.
double kwh_per_gpu_hour(double power_w, const Ownership& ownership);

// usd_per_gpu / (years x 8766 h x utilisation) + kwh x usd_per_kwh: of one hour in use.
double owned_usd_per_gpu_hour(double power_w, const Ownership& ownership);

struct CostOptions {
  std::optional<double> price_usd_per_gpu_hour;  // instead of the listings
  double beyond_final_run = 1;    // times this for what a final run leaves out; 1: nothing added
  std::optional<double> power_w;  // measured; else the system's limit
  std::string power_how = "measured";
};

struct Cost {
  double gpu_hours = 0;
  std::optional<Estimate> rental_usd;
  std::string rental_how;
  std::optional<double> ownership_usd, energy_usd, energy_kwh;
  std::string ownership_how, energy_how;
  KeyPlace listings, ownership;      // the files of them
  std::vector<std::string> missing;  // what can't be said, and why
  double beyond_final_run = 1;       // already in the figures above
};

// `hours` as a range: one number three times where it was printed. Parts that nothing is published
// for are absent, and `missing` says so.
Cost cost_of(const Estimate& hours, const System& system, const Library& library,
             const CostOptions& options);

nlohmann::ordered_json to_json(const Cost& cost);
std::vector<std::string> lines_of(const Cost& cost);  // for people

}  // namespace trainmeter
