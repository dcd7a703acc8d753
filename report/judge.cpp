// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The statistics of a comparison: Welch's t on the logarithms of times, with moderated variances;
// Benjamini and Hochberg over the cases; two one-sided tests for "same".
#include "report/compare.hpp"

#include <boost/math/distributions/students_t.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace trainmeter {
namespace {

using boost::math::students_t;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// All cases' spread counts as known from so many degrees of freedom on: three starts a side of some
// cases give as many.
constexpr double kKnownFreedom = 6;

// A variance between starts, and its degrees of freedom; none: nothing is known.
struct Spread {
  double variance = 0;
  double freedom = 0;
};

Spread own_spread(const ComparedSide& side) {
  if (side.times.count() < 2) return {};
  return {side.times.variance(), static_cast<double>(side.times.count() - 1)};
}

Spread pooled(const Spread& a, const Spread& b) {
  const double freedom = a.freedom + b.freedom;
  if (!(freedom > 0)) return {};
  return {(a.freedom * a.variance + b.freedom * b.variance) / freedom, freedom};
}

// The mean log time of one side.
struct Mean {
  double variance = 0;         // of the mean
  double freedom = kInfinity;  // of that variance
  double limit = kInfinity;    // what the freedom of a difference can't exceed
  std::string spread_from;
};

// A side with few starts is taken to spread like both sides of its case together: its own starts
// say next to nothing, and cases may differ widely.
Mean mean_of(const ComparedSide& side, const ComparedSide& other, const SpreadPrior& prior,
             const CompareOptions& options) {
  const bool few = side.times.count() < kEnoughStarts;
  const Spread own = few ? pooled(own_spread(side), own_spread(other)) : own_spread(side);
  double spread = 0;
  Mean out;
  if (few && options.spread) {
    spread = std::max(own.variance, *options.spread * *options.spread);
    if (spread == own.variance) out.freedom = own.freedom;
    out.spread_from = "given";
  } else if (prior.known >= kKnownFreedom) {
    const double freedom = prior.strength + own.freedom;
    spread = prior.variance;
    if (std::isfinite(freedom))
      spread = (prior.strength * prior.variance + own.freedom * own.variance) / freedom;
    out.freedom = freedom;
    out.limit = prior.known;
    out.spread_from = "all_cases";
  } else if (own.freedom > 0) {
    spread = own.variance;
    out.freedom = own.freedom;
    out.spread_from = "starts";
  } else {
    spread = kAssumedSpread * kAssumedSpread;
    out.spread_from = "assumed";
  }
  if (few) out.limit = std::min(out.limit, out.freedom);  // the other side's mean shares it
  out.variance =
      spread / static_cast<double>(side.times.count()) + (few ? side.variance_within : 0);
  return out;
}

// Source: Welch (1947), The generalization of "Student's" problem, Biometrika 34.
double welch_freedom(double a, double a_freedom, double b, double b_freedom) {
  return (a + b) * (a + b) / (a * a / a_freedom + b * b / b_freedom);
}

double own_freedom(const ComparedCase& c) {
  const Spread before = own_spread(c.old_side), after = own_spread(c.new_side);
  if (!(before.freedom > 0 && after.freedom > 0)) return 0;
  return welch_freedom(before.variance / (before.freedom + 1), before.freedom,
                       after.variance / (after.freedom + 1), after.freedom);
}

std::string weaker(const std::string& a, const std::string& b) {
  for (const char* word : {"assumed", "starts", "given"}) {
    if (a == word || b == word) return word;
  }
  return "all_cases";
}

bool enough_starts(const ComparedCase& c) {
  return c.old_side.times.count() >= kEnoughStarts && c.new_side.times.count() >= kEnoughStarts;
}

bool spread_is_known(const ComparedCase& c) {
  return c.spread_from == "given" || c.spread_from == "all_cases";
}

// Whether the difference is within the tolerance beyond doubt (two one-sided tests). Source:
// Schuirmann (1987), A comparison of the two one-sided tests procedure, J. Pharmacokinet.
// Biopharm. 15.
bool measure(ComparedCase& c, const SpreadPrior& prior, const CompareOptions& options) {
  const Mean before = mean_of(c.old_side, c.new_side, prior, options);
  const Mean after = mean_of(c.new_side, c.old_side, prior, options);
  const double moderated =
      welch_freedom(before.variance, before.freedom, after.variance, after.freedom);
  const students_t t(std::max(own_freedom(c), std::min({moderated, before.limit, after.limit})));
  const double error = std::sqrt(before.variance + after.variance);
  const double difference = c.old_side.times.mean() - c.new_side.times.mean();
  const double alpha = 1 - options.confidence;
  const double half_width = error * quantile(complement(t, alpha / 2));
  c.ratio = std::exp(difference);
  c.ratio_low = std::exp(difference - half_width);
  c.ratio_high = std::exp(difference + half_width);
  c.p = 2 * cdf(complement(t, std::abs(difference) / error));
  c.spread_from = weaker(before.spread_from, after.spread_from);
  const double band = -std::log1p(-options.tolerance);
  return band - std::abs(difference) > error * quantile(complement(t, alpha));
}

// Source: Benjamini and Hochberg (1995), Controlling the false discovery rate, J. R. Stat. Soc. B
// 57(1).
void correct(std::vector<ComparedCase*> tested) {
  std::ranges::sort(tested, [](const auto* a, const auto* b) { return *a->p > *b->p; });
  const auto count = static_cast<double>(tested.size());
  double least = 1;
  for (std::size_t i = 0; i < tested.size(); ++i) {
    least = std::min(least, *tested[i]->p * count / (count - static_cast<double>(i)));
    tested[i]->p = least;
  }
}

}  // namespace

void judge(std::vector<ComparedCase>& cases, const CompareOptions& options) {
  std::vector<StartTimes> sides;
  for (const ComparedCase& c : cases) {
    sides.push_back(c.old_side.times);
    sides.push_back(c.new_side.times);
  }
  const SpreadPrior prior = learn_spread(sides);
  std::vector<ComparedCase*> tested, apart;
  for (ComparedCase& c : cases) {
    const bool alike = measure(c, prior, options);
    const bool enough = enough_starts(c);
    c.verdict = alike && enough ? "same" : "cannot_tell";
    if (!enough && !spread_is_known(c)) {
      c.p.reset();
      continue;
    }
    tested.push_back(&c);
    if (!alike) apart.push_back(&c);
  }
  correct(tested);
  for (ComparedCase* c : apart) {
    if (!(*c->p < 1 - options.confidence)) continue;
    c->verdict = c->ratio < 1 ? "slower" : "faster";
    c->regression = c->ratio_high < 1 - options.tolerance;
  }
}

}  // namespace trainmeter
