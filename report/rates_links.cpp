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

namespace trainmeter {

std::optional<RateBook::Sweep> RateBook::sweep(std::string_view collective, bool published) const {
  std::map<std::int64_t, std::vector<const RatePoint*>> by_ranks;
  for (const RatePoint& p : points_) {
    if (p.operation == collective && p.ranks > 1 && p.bytes > 0 && p.published == published) {
      by_ranks[p.ranks].push_back(&p);
    }
  }
  if (by_ranks.empty()) return std::nullopt;
  const auto& [ranks, points] = *std::ranges::max_element(
      by_ranks, {}, [](const auto& entry) { return entry.second.size(); });
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
