// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Takes the ratios out of the book, and adds them up.
#include "report/step_in_place.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace trainmeter {

StepInPlace::StepInPlace(const RateBook& book, std::function<void(std::string)> assume)
    : book_(book), assume_(std::move(assume)) {}

InPlace StepInPlace::gemm(const GemmFactors& factors, const std::string& dtype,
                          std::string_view layout, const GemmWork& work, double alone_s) {
  if (factors.in_place) return {};
  const InPlaceRatios& ratios = book_.in_place();
  const GemmSize size = {work.m, work.n, work.k, work.groups};
  const InPlace* known = ratios.of(dtype, layout, size);
  if (known == nullptr) known = ratios.of(factors.dtype, layout, size);
  InPlace taken = *known;
  if (!known->in_turn) {
    taken.ratio = 1;
    taken.sigma = std::hypot(known->sigma, std::log(known->ratio));
    assume_(fmt::format(
        "{} GEMMs as fast in the step as alone: those in a layer weren't timed alone in turn with "
        "it, so what differs may be the clock",
        dtype));
  }
  use(fmt::format("{} GEMMs {}", dtype, to_string(pass_of(layout))), *known, taken, alone_s);
  return taken;
}

InPlace StepInPlace::other(const StepOperation& operation, double alone_s) {
  const InPlace* known = book_.in_place().other(operation.dtype, operation.operation);
  if (known == nullptr) return {};
  use(operation.dtype + " operations", *known, *known, alone_s);
  return *known;
}

void StepInPlace::use(const std::string& what, const InPlace& known, const InPlace& taken,
                      double alone_s) {
  auto kind = std::ranges::find(kinds_, what, &Kind::what);
  if (kind == kinds_.end()) kind = kinds_.insert(kinds_.end(), Kind{.what = what});
  const double in_place_s = alone_s / taken.ratio;
  kind->alone_s += alone_s;
  kind->in_place_s += in_place_s;
  kind->sigma += in_place_s * taken.sigma;
  kind->as_alone = kind->as_alone || !known.in_turn;
  if (std::ranges::find(kind->of, &known) == kind->of.end()) kind->of.push_back(&known);
}

std::vector<MeasuredInPlace> StepInPlace::used() const {
  std::vector<MeasuredInPlace> out;
  for (const Kind& kind : kinds_) {
    MeasuredInPlace one{.what = kind.what, .in_place = {}, .as_alone = kind.as_alone};
    one.in_place.ratio = kind.alone_s / kind.in_place_s;
    one.in_place.sigma = kind.sigma / kind.in_place_s;
    std::set<std::string> origins;
    for (const InPlace* of : kind.of) {
      if (of->origins.empty()) one.in_place.pairs += of->pairs;
      for (std::size_t i = 0; i < of->origins.size(); ++i) {
        if (!origins.insert(of->origins[i]).second) continue;
        one.in_place.origins.push_back(of->origins[i]);
        if (i % 2 == 0) ++one.in_place.pairs;  // in place, and then alone
      }
    }
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace trainmeter
