// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What `compare` promises, on fleets whose truth is known. Prints the table of docs/comparing.md.
#include "report/compare.hpp"

#include "fleet.hpp"
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

using namespace trainmeter;

namespace {

// Counts of cases.
struct Score {
  double unchanged = 0, called_different = 0, cannot_tell = 0, invented = 0;
  double slowed = 0, found = 0, narrow = 0, narrow_found = 0, narrow_regressions = 0;
  double covered = 0, half_width = 0;

  double false_calls() const { return called_different / unchanged; }
  double undecided() const { return cannot_tell / unchanged; }
  double power() const { return narrow_found / narrow; }
  double all() const { return unchanged + slowed; }
};

constexpr double kNarrow = 0.015;

void count(Score& score, const ComparedCase& c, double truth) {
  const double half_width = std::log(c.ratio_high / c.ratio_low) / 2;
  score.half_width += half_width;
  score.covered += c.ratio_low <= truth && truth <= c.ratio_high;
  if (truth == 1) {
    score.unchanged += 1;
    score.called_different += c.verdict == "slower" || c.verdict == "faster";
    score.cannot_tell += c.verdict == "cannot_tell";
    score.invented += c.regression;
    return;
  }
  score.slowed += 1;
  score.found += c.verdict == "slower";
  if (!(half_width <= kNarrow)) return;
  score.narrow += 1;
  score.narrow_found += c.verdict == "slower";
  score.narrow_regressions += c.regression;
}

Score simulate(const Fleet& fleet, const CompareOptions& options) {
  constexpr int kCases = 4000;
  FleetSampler sampler(fleet, 20261125);
  Score score;
  for (int done = 0; done < kCases; done += fleet.cases) {
    const auto [before, after] = sampler.draw();
    const Comparison comparison = compare({before}, {after}, options);
    for (std::size_t c = 0; c < comparison.cases.size(); ++c) {
      const bool slowed = c < static_cast<std::size_t>(fleet.slowed);
      count(score, comparison.cases[c], slowed ? 1 - fleet.slowdown : 1);
    }
  }
  return score;
}

std::string percent(double part, double of) {
  return of > 0 ? fmt::format("{:.1f} %", 100 * part / of) : "-";
}

void print_header() {
  std::cout << fmt::format("{:44} {:>6} {:>5} {:>6} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}\n", "",
                           "starts", "cases", "+-", "covered", "false", "can't", "found",
                           "narrow:", "exit 1");
}

void print(const char* what, const Fleet& f, const Score& s) {
  std::cout << fmt::format(
      "{:44} {:>6} {:>5} {:>6} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}\n", what,
      fmt::format("{}+{}", f.old_starts, f.new_starts), f.cases, percent(s.half_width, s.all()),
      percent(s.covered, s.all()), percent(s.called_different, s.unchanged),
      percent(s.cannot_tell, s.unchanged), percent(s.found, s.slowed),
      percent(s.narrow_found, s.narrow), percent(s.narrow_regressions, s.narrow));
}

// Log-uniform between 0.3 % and 10 %, in no order.
std::vector<double> from_little_to_much() {
  constexpr int kSpreads = 40, kStride = 17;
  std::vector<double> out;
  for (int i = 0; i < kSpreads; ++i)
    out.push_back(0.003 * std::pow(0.1 / 0.003, (i * kStride % kSpreads + 0.5) / kSpreads));
  return out;
}

struct Scenario {
  const char* what;
  Fleet fleet;
  bool decides = false;  // noise of 1 % and five starts a side: most unchanged cases are `same`
  CompareOptions options = {};
};

}  // namespace

TEST(CompareSimulation, FewFalseCallsAndTheSlowdownsFound) {
  const std::vector<Scenario> scenarios = {
      {"1 % between starts", {}, true},
      {"the same", {.old_starts = 10, .new_starts = 10}, true},
      {"the same", {.old_starts = 20, .new_starts = 5}, true},
      {"nothing slowed", {.slowed = 0}, true},
      {"three of four slowed", {.slowed = 30}, true},
      {"two cases, one slowed", {.cases = 2, .alike = true, .slowed = 1}},
      {"the same",
       {.cases = 2, .old_starts = 6, .new_starts = 6, .alike = true, .slowed = 1},
       true},
      {"all cases of a start move together", {.old_starts = 6, .new_starts = 6, .common = 1}, true},
      {"half of it together, heavy tails", {.common = 0.5, .heavy_tails = true}, true},
      {"successive samples correlate by 0.9",
       {.old_starts = 6, .new_starts = 6, .correlation = 0.9}},
      {"2 % between starts", {.old_starts = 10, .new_starts = 10, .between = 0.02}},
      {"three starts", {.old_starts = 3, .new_starts = 3}},
      {"one new start", {.old_starts = 10, .new_starts = 1}},
      {"one new start, heavy tails", {.old_starts = 10, .new_starts = 1, .heavy_tails = true}},
      {"0.3 to 10 % between starts", {.spreads = from_little_to_much()}},
      {"the same", {.old_starts = 10, .new_starts = 1, .spreads = from_little_to_much()}},
      {"the same", {.old_starts = 20, .new_starts = 1, .spreads = from_little_to_much()}},
      {"the same", {.old_starts = 3, .new_starts = 3, .spreads = from_little_to_much()}},
      {"one case in five 6 %, others 0.5 %",
       {.old_starts = 10, .new_starts = 1, .spreads = {0.005, 0.005, 0.06, 0.005, 0.005}}},
      {"the same",
       {.old_starts = 20, .new_starts = 1, .spreads = {0.005, 0.005, 0.06, 0.005, 0.005}}},
      {"one start each, --spread 1", {.old_starts = 1, .new_starts = 1}, false, {.spread = 0.01}}};
  print_header();
  for (const auto& [what, fleet, decides, options] : scenarios) {
    const Score score = simulate(fleet, options);
    print(what, fleet, score);
    EXPECT_LT(score.false_calls(), 0.05) << what;
    EXPECT_LT(score.invented / score.unchanged, 0.005) << what;
    if (score.narrow > 0) {
      EXPECT_GT(score.power(), 0.95) << what;
    }
    if (decides) {
      EXPECT_LT(score.undecided(), 0.20) << what;
    }
  }
}
