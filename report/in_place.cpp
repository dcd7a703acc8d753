// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Pairs GEMMs in a layer with the same alone.
#include "report/in_place.hpp"

#include "record/samples.hpp"
#include "record/statistics.hpp"

#include <cmath>

namespace trainmeter {

std::optional<InPlace> measured_in_place(const std::vector<Record>& records,
                                         const RateBook& alone) {
  struct Pair {
    double in_place_s, alone_s;
  };
  std::vector<Pair> pairs;
  for (const Record& record : records) {
    for (const Line& line : record.lines) {
      const Measurement& m = line.measurement;
      if (!m.usable() || m.operation != "gemm" || m.beside != "layer") continue;
      const auto size = [&](const char* key) {
        const auto found = m.shape.find(key);
        return found == m.shape.end() ? 1 : found->second;
      };
      const auto rate =
          alone.gemm(m.dtype, m.layout, size("m"), size("n"), size("k"), size("groups"));
      if (!rate || rate->shape > 0) continue;  // another shape's rate would be no ratio of in place
      pairs.push_back({median(counted_samples(m).time_s), m.flops / rate->value});
    }
  }
  if (pairs.empty()) return std::nullopt;
  double in_place = 0;
  double by_itself = 0;
  for (const Pair& p : pairs) {
    in_place += p.in_place_s;
    by_itself += p.alone_s;
  }
  const double centre = std::log(by_itself / in_place);
  double spread = 0;
  for (const Pair& p : pairs) {
    const double off = std::log(p.alone_s / p.in_place_s) - centre;
    spread += p.in_place_s / in_place * off * off;
  }
  return InPlace{.ratio = by_itself / in_place,
                 .sigma = std::sqrt(spread / static_cast<double>(pairs.size()))};
}

}  // namespace trainmeter
