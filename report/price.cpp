// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Prices and their sources, in words.
#include "report/price.hpp"

#include "record/names.hpp"

#include <fmt/format.h>

namespace trainmeter {
namespace {

// A published system's locator says of each figure where it stands: "...; price: AWS on demand,
// March 2025, in ...".
std::string source_of(const System& system) {
  if (!system.price_how.empty()) return system.price_how;
  if (!system.source) return "as given for " + system.id;
  constexpr std::string_view kMark = "price: ";
  const std::string& text = system.source->locator;
  const auto at = text.find(kMark);
  if (at == std::string::npos) return system.source->title;
  const auto start = at + kMark.size();
  return text.substr(start, text.find(';', start) - start);
}

}  // namespace

std::optional<UsedInput> Price::input() const {
  if (!usd_per_gpu_hour) return std::nullopt;
  UsedInput out;
  out.what = kPriceInput;
  out.value = *usd_per_gpu_hour;
  out.how = how;
  out.kind = kind;
  out.place = place;
  out.origins = origins;
  return out;
}

Price price_of(const Run& run, const System& system, const PredictOptions& options) {
  if (options.price_usd_per_gpu_hour) {
    return {.usd_per_gpu_hour = options.price_usd_per_gpu_hour,
            .how = "as asked for",
            .kind = "given",
            .origins = {"the command line, --price"}};
  }
  if (run.price_usd_per_gpu_hour) {
    return {.usd_per_gpu_hour = run.price_usd_per_gpu_hour,
            .how = run.source ? "the run's own: " + run.source->title : "the run's own",
            .kind = "",
            .place = run.place.at("price_usd_per_gpu_hour")};
  }
  if (system.price_usd_per_gpu_hour) {
    return {.usd_per_gpu_hour = system.price_usd_per_gpu_hour,
            .how = source_of(system),
            .kind = system.price_how.empty() ? "" : "derived",
            .place = system.price_place};
  }
  return {};
}

std::string prices_apart(const Run& run, const System& other) {
  if (!run.system || run.system->id == other.id) return "";
  const Price own = price_of(run, *run.system, {});
  const Price then = price_of(carried_to(run, other), other, {});
  if (!own.usd_per_gpu_hour || !then.usd_per_gpu_hour || own.how == then.how) return "";
  return fmt::format(
      "prices of different sources: {} of {} ({}), {} of {} ({}); costs on the two differ by that "
      "too (--price sets one, --price listings takes the range of published rents)",
      format_usd(*then.usd_per_gpu_hour), other.id, then.how, format_usd(*own.usd_per_gpu_hour),
      run.system->id, own.how);
}

}  // namespace trainmeter
