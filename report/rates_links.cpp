// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The rates of links: a collective's sweep over payloads, and its nearest payload.
#include "record/formulas.hpp"
#include "report/rates.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace trainmeter {

std::optional<RateBook::Sweep> RateBook::sweep(std::string_view collective, bool published) const {
  // One program's: a fit over several would be nobody's. That of the most payloads, and of those
  // the one that is fastest at its largest.
  using Way = std::tuple<std::int64_t, std::string, std::string>;  // ranks, backend, dtype
  std::map<Way, std::vector<const RatePoint*>> by_way;
  for (const RatePoint& p : points_) {
    if (p.operation == collective && p.ranks > 1 && p.bytes > 0 && p.published == published)
      by_way[{p.ranks, p.backend, p.dtype}].push_back(&p);
  }
  if (by_way.empty()) return std::nullopt;
  const auto& [way, points] = *std::ranges::max_element(by_way, {}, [](const auto& entry) {
    std::set<std::int64_t> sizes;
    for (const RatePoint* p : entry.second) sizes.insert(p->bytes);
    const RatePoint* const largest = *std::ranges::max_element(
        entry.second, {}, [](const RatePoint* p) { return std::pair(p->bytes, p->value); });
    return std::pair(sizes.size(), largest->value);
  });
  const std::int64_t ranks = std::get<0>(way);
  std::set<std::int64_t> payloads;
  for (const RatePoint* p : points) payloads.insert(p->bytes);
  if (payloads.size() < 3) return std::nullopt;
  // Of (a + b x - t) / t, with x the wire bytes and t the time.
  double ss = 0, sx = 0, xx = 0, s1 = 0, x1 = 0;
  for (const RatePoint* p : points) {
    const double wire = static_cast<double>(p->bytes) * bus_factor(collective, ranks);
    const double t = wire / p->value;
    ss += 1 / (t * t);
    sx += wire / (t * t);
    xx += wire * wire / (t * t);
    s1 += 1 / t;
    x1 += wire / t;
  }
  const double determinant = ss * xx - sx * sx;
  double start = determinant > 0 ? (s1 * xx - x1 * sx) / determinant : 0;
  double per_byte = determinant > 0 ? (ss * x1 - sx * s1) / determinant : 0;
  if (!(start > 0)) {
    start = 0;
    per_byte = x1 / xx;
  }
  if (!(per_byte > 0)) return std::nullopt;
  return Sweep{.start_s = start,
               .bus_bytes_per_s = 1 / per_byte,
               .ranks = ranks,
               .one_node = std::ranges::all_of(points, &RatePoint::one_node),
               .points = points};
}

std::optional<Rate> RateBook::bus(std::string_view collective, double bytes) const {
  const RatePoint* best = nullptr;
  double best_distance = std::numeric_limits<double>::infinity();
  for (const RatePoint& point : points_) {
    if (point.operation != collective || point.ranks < 2) continue;
    const double d =
        point.bytes > 0 ? std::abs(std::log(static_cast<double>(point.bytes) / bytes)) : 1e3;
    if (d < best_distance) {
      best = &point;
      best_distance = d;
    }
  }
  if (best == nullptr) return std::nullopt;
  return rate_at(*best, best_distance < 0.7 ? 0 : kLeastShapeError, "nearest payload");
}

}  // namespace trainmeter
