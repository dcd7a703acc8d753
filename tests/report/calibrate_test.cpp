// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The fit of the factors to the published rows: the committed calibration is the code's and the
// data's own, a family's rows have no part in its own belief, and where nothing was published the
// prior stays.
#include "report/calibrate.hpp"

#include "report/validate.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

FactorTable published_factors() {
  return read_factors(published_library().root() / "factors.json");
}

// A few rows of several families, so that a fit takes a moment only.
Rows some_rows() {
  static const Rows kAll = published_rows(published_library());
  const std::set<std::string> families = {"fms-fsdp h100 bf16", "megatron a100 selective",
                                          "deepseek h800 fp8", "llm-foundry h100 fp8",
                                          "llama 3 h100 bf16"};
  Rows out;
  for (const ScoredRun& row : kAll.scored) {
    if (families.contains(row.run.family)) out.scored.push_back(row);
  }
  return out;
}

}  // namespace

TEST(Calibrate, TheCommittedFileIsWhatTheCodeMakesOfTheData) {
  const Library library = published_library();
  const Calibration committed = read_calibration(library.root() / "calibration.json");
  const Calibration fitted = fit_again(library);
  const char* const again =
      "regenerate it: build/bin/trainmeter validate --calibrate results/published/calibration.json";
  const auto compare = [&](const Belief& file, const Belief& code, const std::string& name) {
    for (std::size_t f = 0; f < kFactors; ++f) {
      EXPECT_NEAR(std::exp(file.log_mean[f] - code.log_mean[f]), 1, 1e-3)
          << name << ", " << to_string(static_cast<Factor>(f)) << "; " << again;
      const double variance = code.log_covariance[f * (kFactors + 1)];
      EXPECT_NEAR(file.log_covariance[f * (kFactors + 1)] / variance, 1, 0.03)
          << name << ", " << to_string(static_cast<Factor>(f)) << "; " << again;
    }
    EXPECT_NEAR(file.form_sigma, code.form_sigma, 2e-3) << name << "; " << again;
  };
  compare(committed.all, fitted.all, "all");
  ASSERT_EQ(committed.without.size(), fitted.without.size()) << again;
  for (std::size_t i = 0; i < fitted.without.size(); ++i) {
    ASSERT_EQ(committed.without[i].first, fitted.without[i].first) << again;
    compare(committed.without[i].second, fitted.without[i].second, fitted.without[i].first);
  }
}

// Whole Gauss-Newton steps once jumped from one side of a kink to the other for ever: what was
// committed was one side, with 0.4 left to gain.
TEST(Calibrate, TheCommittedFitHasArrived) {
  const Library library = published_library();
  const Belief committed = read_calibration(library.root() / "calibration.json").all;
  const FactorTable factors = published_factors();
  const Rows rows = published_rows(library);
  constexpr double kAbout = 0.02;  // a step's least gain, and the median shifts of the round before
  for (const double by : {0.01, 0.05}) {
    EXPECT_LT(left_to_gain(rows, factors, committed, by), kAbout) << by;
  }
  const std::string family = "deepseek h800 fp8";  // and one that a run is predicted with
  Rows others = rows;
  std::erase_if(others.scored, [&](const ScoredRun& row) { return row.run.family == family; });
  ASSERT_LT(others.scored.size(), rows.scored.size());
  const Belief without = read_calibration(library.root() / "calibration.json").for_family(family);
  EXPECT_LT(left_to_gain(others, factors, without, 0.05), kAbout);
  Belief elsewhere = committed;
  elsewhere.log_mean[static_cast<std::size_t>(Factor::network_links)] -= 0.1;
  EXPECT_GT(left_to_gain(rows, factors, elsewhere, 0.05), kAbout);
}

TEST(Calibrate, AFamilysOwnRowsHaveNoPartInItsBelief) {
  const FactorTable factors = published_factors();
  Rows rows = some_rows();
  const Calibration before = calibrate(rows, factors);
  const std::string family = "megatron a100 selective";
  std::size_t changed = 0;
  for (ScoredRun& row : rows.scored) {
    if (row.run.family != family) continue;
    row.published_s *= 1.3;
    ++changed;
  }
  ASSERT_GT(changed, 1U);
  const Calibration after = calibrate(rows, factors);
  ASSERT_EQ(before.without.size(), 5U);
  ASSERT_EQ(after.without.size(), 5U);
  EXPECT_EQ(before.for_family(family).log_mean, after.for_family(family).log_mean);
  EXPECT_EQ(before.for_family(family).log_covariance, after.for_family(family).log_covariance);
  EXPECT_EQ(before.for_family(family).form_sigma, after.for_family(family).form_sigma);
  // Everybody else's moves.
  EXPECT_NE(before.all.log_mean, after.all.log_mean);
  for (const auto& [other, belief] : before.without) {
    if (other != family) {
      EXPECT_NE(belief.log_mean, after.for_family(other).log_mean) << other;
    }
  }
}

TEST(Calibrate, SlowerPublishedStepsMeanSlowerFactors) {
  const FactorTable factors = published_factors();
  Rows rows = some_rows();
  const Calibration before = calibrate(rows, factors);
  for (ScoredRun& row : rows.scored) row.published_s *= 1.1;
  const Calibration after = calibrate(rows, factors);
  EXPECT_LT(at(after.all.log_mean, Factor::in_place_hopper),
            at(before.all.log_mean, Factor::in_place_hopper));
  EXPECT_LT(at(after.all.log_mean, Factor::in_place_ampere),
            at(before.all.log_mean, Factor::in_place_ampere));
  double error_before = 0, error_after = 0;
  for (const ScoredRun& row : rows.scored) {
    error_before += log_error(row, before.all);
    error_after += log_error(row, after.all);
  }
  EXPECT_GT(error_after, error_before);  // the fit goes most of the way
  EXPECT_LT(error_after - error_before, static_cast<double>(rows.scored.size()) * std::log(1.1));
}

TEST(Calibrate, WhereNoRowSpeaksThePriorStays) {
  const FactorTable factors = published_factors();
  const Belief prior = prior_belief(factors);
  const Calibration none = calibrate({}, factors);
  EXPECT_TRUE(none.without.empty());
  for (std::size_t f = 0; f < kFactors; ++f) {
    EXPECT_NEAR(none.all.log_mean[f], prior.log_mean[f], 1e-9);
  }
  const Calibration some = calibrate(some_rows(), factors);
  const auto in_place_other = static_cast<std::size_t>(Factor::in_place_other);
  EXPECT_NEAR(some.all.log_mean[in_place_other], prior.log_mean[in_place_other], 1e-9);
  const Belief committed = read_calibration(published_library().root() / "calibration.json").all;
  EXPECT_NEAR(committed.log_mean[in_place_other], prior.log_mean[in_place_other], 1e-5);
  // What rows speak of is known better than before.
  for (const Factor f : {Factor::in_place_hopper, Factor::in_place_ampere}) {
    const std::size_t i = static_cast<std::size_t>(f) * (kFactors + 1);
    EXPECT_LT(some.all.log_covariance[i], prior.log_covariance[i]) << to_string(f);
  }
}

TEST(Calibrate, EveryPublishedRunIsScoredOrHasAReason) {
  const Library library = published_library();
  const Rows rows = published_rows(library);
  std::set<std::string> ids;
  for (const ScoredRun& row : rows.scored) {
    EXPECT_TRUE(ids.insert(row.run.id).second) << row.run.id;
    EXPECT_TRUE(std::isfinite(row.published_s) && row.published_s > 0) << row.run.id;
    EXPECT_TRUE(std::isfinite(row.null_s) && row.null_s > 0) << row.run.id;
    EXPECT_FALSE(row.run.family.empty()) << row.run.id;
    double weights = 0;
    for (const Candidate& c : weighed(row.ways, published_factors().medians())) weights += c.weight;
    EXPECT_NEAR(weights, 1, 1e-9) << row.run.id;
  }
  for (const UnscoredRun& row : rows.unscored) {
    EXPECT_TRUE(ids.insert(row.id).second) << row.id;
    EXPECT_FALSE(row.reason.empty()) << row.id;
    EXPECT_EQ(row.reason.find('\n'), std::string::npos) << row.id;
  }
  EXPECT_EQ(ids.size(), library.ids("runs").size());
}
