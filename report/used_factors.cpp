// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Elasticities by a small move of each factor.
#include "report/used_factors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace trainmeter {
namespace {

constexpr double kLeastElasticity = 1e-3;
constexpr double kNarrowed =
    0.8;  // of the prior's sigma: what counts as learnt from published steps

bool on_another_chip(const Bill& bill) {
  return std::ranges::any_of(bill.rates,
                             [](const UsedRate& u) { return u.rate.basis == Basis::projected; });
}

}  // namespace

std::vector<UsedFactor> used_factors(const Bill& bill, const FactorTable& priors,
                                     const Belief& belief,
                                     const std::vector<MeasuredFactor>& measured) {
  FactorValues centre{};
  for (std::size_t f = 0; f < kFactors; ++f) centre[f] = std::exp(belief.log_mean[f]);
  const StepSampler step(bill, centre);
  const double base = std::log(step(centre, {}));
  std::vector<UsedFactor> out;
  for (std::size_t f = 0; f < kFactors; ++f) {
    constexpr double kMove = 1e-3;
    FactorValues moved = centre;
    moved[f] *= std::exp(kMove);
    const double elasticity = (std::log(step(moved, {})) - base) / kMove;
    if (!(std::abs(elasticity) > kLeastElasticity)) continue;
    const double sigma = std::sqrt(belief.log_covariance[f * (kFactors + 1)]);
    const double half = std::exp(kSigmasOf90Percent / 2 * sigma);
    const bool learnt = sigma < kNarrowed * priors.priors[f].log_sigma();
    out.push_back({.factor = static_cast<Factor>(f),
                   .low = centre[f] / half,
                   .middle = centre[f],
                   .high = centre[f] * half,
                   .elasticity = elasticity,
                   .learnt = learnt,
                   .why = priors.priors[f].why,
                   .place = learnt ? belief.place : priors.priors[f].place});
    const auto here = std::ranges::find(measured, static_cast<Factor>(f), &MeasuredFactor::factor);
    if (here == measured.end()) continue;
    UsedFactor& used = out.back();
    used.learnt = false;
    used.high = std::min(used.high, 1.0);  // as draws are (report/slowdowns.cpp)
    used.origins = here->is.origins;
    used.projected = on_another_chip(bill);
    used.why = here->is.how + (used.projected ? "; on another chip: taken as it is" : "");
    used.place = {};
  }
  sort_by_effect(out);
  return out;
}

void sort_by_effect(std::vector<UsedFactor>& factors) {
  constexpr double kAlike = 1e6;  // differences below 1 / this are rounding
  std::ranges::sort(factors, std::ranges::less{}, [](const UsedFactor& u) {
    return std::pair(-std::round(std::abs(u.elasticity) * kAlike), to_string(u.factor));
  });
}

std::vector<InPlaceLink> in_place_links(const Bill& bill, const std::vector<UsedFactor>& used) {
  std::vector<InPlaceLink> out;
  const bool elsewhere = on_another_chip(bill);
  for (const MeasuredInPlace& m : bill.in_place) {
    const InPlace& is = m.in_place;
    const double half = std::exp(kSigmasOf90Percent / 2 * is.sigma);
    InPlaceLink link{.what = m.what,
                     .ratio = is.ratio,
                     .low = is.ratio / half,
                     .high = is.ratio * half,
                     .basis = elsewhere ? "projected" : "measured",
                     .why = fmt::format("time alone / time in a layer, of {} {}{}{}", is.pairs,
                                        m.what.ends_with("operations") ? "operation" : "GEMM",
                                        is.pairs == 1 ? "" : "s",
                                        elsewhere ? ", on another chip: taken as it is" : ""),
                     .origins = is.origins,
                     .factor = {}};
    if (m.as_alone) {
      link.basis = "as alone";
      link.why =
          "what was timed in a layer wasn't timed alone in turn with it: how far the ratio is from "
          "1 is the error";
    }
    if (is.pairs == 0) {
      link.basis = "asked for";
      link.why = "GEMMs as fast in the step as alone (--no_in_place)";
    }
    out.push_back(std::move(link));
  }
  for (const GemmFactors* gemm : {&bill.gemm, &bill.gemm_high}) {
    const auto factor =
        std::ranges::find_if(used, [&](const UsedFactor& f) { return gemm->in_place == f.factor; });
    if (factor == used.end()) continue;
    const std::string what = gemm->dtype + " GEMMs";
    if (std::ranges::find(out, what, &InPlaceLink::what) != out.end()) continue;
    out.push_back({.what = what,
                   .ratio = factor->middle,
                   .low = factor->low,
                   .high = factor->high,
                   .basis = factor->learnt ? "published steps" : "assumed",
                   .why = factor->why,
                   .origins = {},
                   .factor = factor->factor});
  }
  return out;
}

nlohmann::ordered_json to_json(const InPlaceLink& link) {
  nlohmann::ordered_json json = {{"for", link.what}, {"ratio", link.ratio}, {"p05", link.low},
                                 {"p95", link.high}, {"basis", link.basis}, {"why", link.why}};
  if (!link.origins.empty()) json["origins"] = link.origins;
  return json;
}

std::string basis_of(const UsedFactor& used) {
  if (!used.origins.empty()) return used.projected ? "projected" : "measured";
  return used.learnt ? "published steps" : "assumed";
}

nlohmann::ordered_json to_json(const UsedFactor& used) {
  nlohmann::ordered_json json = {{"name", to_string(used.factor)},
                                 {"p05", used.low},
                                 {"p50", used.middle},
                                 {"p95", used.high},
                                 {"elasticity", used.elasticity},
                                 {"basis", basis_of(used)},
                                 {"why", used.why}};
  if (!used.origins.empty()) json["origins"] = used.origins;
  return json;
}

std::vector<std::string> learnt_from_one_family(const std::vector<UsedFactor>& used,
                                                const Calibration& calibration,
                                                const std::string& family) {
  constexpr double kLeast = 0.02;
  std::vector<std::string> out;
  for (const UsedFactor& one : used) {
    if (!one.learnt || !(std::abs(one.elasticity) >= kLeast)) continue;
    const auto alone = calibration.learnt_from_one(one.factor);
    if (!alone || alone->name == family) continue;
    out.push_back(fmt::format(
        "{} {:.3g} was learnt from one table alone ({}): without it {:.3g} ({:.3g} to {:.3g})",
        to_string(one.factor), one.middle, alone->name, alone->middle, alone->low, alone->high));
  }
  return out;
}

}  // namespace trainmeter
