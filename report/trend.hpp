// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Whether a part of a node became slower or faster from some date on (docs/accepting.md).
#pragma once

#include "report/accept.hpp"

#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace trainmeter {

struct Drift {
  std::string node, part, group;
  std::string since;  // the date of the first record after the change
  double change = 0;  // of the rate's median, relative; below 0: slower
  double p = 1;       // of so large a change without any
};

struct Trend {
  std::vector<Drift> drifts;     // beyond chance and the tolerance, by node and part
  std::size_t series = 0;        // that were judged
  std::size_t too_short = 0;     // whose dates are too few for any change to be beyond chance
  std::size_t dates_needed = 0;  // to judge all of them
  [[nodiscard]] bool slower() const;
  [[nodiscard]] bool judged_all() const;  // and there was something to judge
};

// A record is one date: when its first program started.
class History {
 public:
  explicit History(AcceptRules rules) : rules_(std::move(rules)) {}
  void add(const Record& record);
  [[nodiscard]] Trend judge() const;

 private:
  struct Point {
    std::string date;
    std::map<std::string, double> log_rates;  // by case
  };
  using Series = std::map<std::tuple<std::string, std::string, std::string>, std::vector<Point>>;

  AcceptRules rules_;
  Series series_;  // node, part, group: in the order added
};

// p of a series that falls into two halves, the least of so many dates.
double least_p(std::size_t dates);
// The fewest dates at which so many series can show a change: least_p x series < false_alarms.
std::size_t dates_needed(std::size_t series, double false_alarms);

// Whether and where the level of a series changes. Where: at the split whose two sides differ the
// clearest by Mann and Whitney's U, |U| / sqrt(t (n - t)). p, of no change, is Pettitt's
// approximation 2 exp(-6 K^2 / (n^3 + n^2)), at most 1, with K = |U| of that split: no more than
// the largest, which is his K. Source: Pettitt (1979), A non-parametric approach to the
// change-point problem, Applied Statistics 28. It holds for independent dates; where successive
// ones correlate by r > 0, the variance of U is larger by (1 + r) / (1 - r), and K^2 is divided by
// that. Source of why: Serinaldi and Kilsby (2016), The importance of prewhitening in change point
// analysis under persistence, Stoch. Environ. Res. Risk Assess. 30.
struct ChangePoint {
  std::size_t first_after = 1;
  double p = 1;
};
ChangePoint change_point(const std::vector<double>& series);  // of at least two

Document to_document(const Trend& trend);
nlohmann::ordered_json to_json(const Trend& trend);

}  // namespace trainmeter
