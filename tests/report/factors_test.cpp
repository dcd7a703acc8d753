// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The factors' file and the calibration's: what they hold, what is refused, and draws from them.
#include "report/factors.hpp"

#include "report/normal.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace trainmeter;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

namespace {

std::filesystem::path published(const char* name) {
  return published_library().root() / name;
}

json factors_json() {
  return json::parse(slurp(published("factors.json")));
}

std::string factors_refusal(const json& value) {
  const auto file = write_text(value.dump(), "factors.json");
  return refusal([&] { (void)read_factors(file); });
}

json calibration_json() {
  return json::parse(slurp(published("calibration.json")));
}

std::string calibration_refusal(const json& value) {
  const auto file = write_text(value.dump(), "calibration.json");
  return refusal([&] { (void)read_calibration(file); });
}

// Made up: a mean and a covariance that aren't diagonal, different for each `seed`.
Belief belief(double seed) {
  Belief out;
  out.log_covariance.assign(kFactors * kFactors, 0);
  for (std::size_t i = 0; i < kFactors; ++i) {
    out.log_mean[i] = std::sin(seed + static_cast<double>(i));
    for (std::size_t j = 0; j < kFactors; ++j) {
      out.log_covariance[i * kFactors + j] =
          (i == j ? 0.04 : 0) +
          0.01 * std::cos(static_cast<double>(i)) * std::cos(static_cast<double>(j));
    }
  }
  out.form_sigma = 0.1 + seed / 100;
  return out;
}

void expect_alike(const Belief& a, const Belief& b, double tolerance) {
  for (std::size_t i = 0; i < kFactors; ++i) {
    EXPECT_NEAR(a.log_mean[i], b.log_mean[i], tolerance);
    for (std::size_t j = 0; j < kFactors; ++j) {
      EXPECT_NEAR(a.log_covariance[i * kFactors + j], b.log_covariance[i * kFactors + j],
                  tolerance);
    }
  }
  EXPECT_NEAR(a.form_sigma, b.form_sigma, tolerance);
}

}  // namespace

TEST(Factors, ThePublishedFileIsRead) {
  const json file = factors_json();
  const FactorTable table = read_factors(published("factors.json"));
  ASSERT_EQ(file.size(), kFactors);
  const FactorValues medians = table.medians();
  for (std::size_t i = 0; i < kFactors; ++i) {
    const auto factor = static_cast<Factor>(i);
    const json& one = file.at(std::string(to_string(factor)));
    EXPECT_EQ(at(medians, factor), one.at("median"));
    EXPECT_EQ(table.priors[i].low, one.at("low"));
    EXPECT_EQ(table.priors[i].high, one.at("high"));
    EXPECT_FALSE(table.priors[i].why.empty());
  }
}

TEST(Factors, NinetyPercentLieBetweenLowAndHigh) {
  // 1.645 standard deviations to either side.
  EXPECT_NEAR(
      (FactorPrior{.median = 1, .low = std::exp(-1.645), .high = std::exp(1.645), .why = ""})
          .log_sigma(),
      1, 1e-3);
}

TEST(Factors, ARefusalNamesFileAndKey) {
  json missing = factors_json();
  missing.erase("jitter");
  EXPECT_THAT(factors_refusal(missing),
              AllOf(HasSubstr("factors.json: jitter"), HasSubstr("missing")));
  json unknown = factors_json();
  unknown["in_place_hoper"] = unknown["in_place_hopper"];
  EXPECT_THAT(
      factors_refusal(unknown),
      AllOf(HasSubstr("factors.json"), HasSubstr("in_place_hoper"), HasSubstr("in_place_hopper")));
  for (const auto& [key, value] :
       std::initializer_list<std::pair<const char*, json>>{{"low", 0.92},
                                                           {"low", 0},
                                                           {"low", "0.7"},
                                                           {"high", 0.92},
                                                           {"high", -1},
                                                           {"median", 0.5},
                                                           {"why", 3}}) {
    json wrong = factors_json();
    wrong["in_place_hopper"][key] = value;
    const std::string named = key == std::string("median") ? "low" : key;
    EXPECT_THAT(factors_refusal(wrong), HasSubstr("factors.json: in_place_hopper." + named));
  }
  json extra = factors_json();
  extra["jitter"]["mean"] = 1;
  EXPECT_THAT(factors_refusal(extra), HasSubstr("jitter.mean"));
  EXPECT_THAT(refusal([] { (void)read_factors("/no/such/factors.json"); }),
              HasSubstr("/no/such/factors.json"));
  EXPECT_THAT(factors_refusal(json::array()), HasSubstr("factors.json"));
}

TEST(Factors, ThePriorIsWhatTheTableSays) {
  const FactorTable table = read_factors(published("factors.json"));
  const Belief prior = prior_belief(table);
  for (std::size_t i = 0; i < kFactors; ++i) {
    EXPECT_NEAR(std::exp(prior.log_mean[i]), table.priors[i].median, 1e-12);
    for (std::size_t j = 0; j < kFactors; ++j) {
      EXPECT_NEAR(prior.log_covariance[i * kFactors + j],
                  i == j ? std::pow(table.priors[i].log_sigma(), 2) : 0, 1e-15);
    }
  }
  EXPECT_GT(prior.form_sigma, 0);
}

TEST(Calibration, AFamilyGetsTheBeliefThatItHadNoPartIn) {
  const Calibration calibration{.all = belief(1), .without = {{"a", belief(2)}, {"b", belief(3)}}};
  EXPECT_EQ(calibration.for_family("a").form_sigma, belief(2).form_sigma);
  EXPECT_EQ(calibration.for_family("b").form_sigma, belief(3).form_sigma);
  EXPECT_EQ(calibration.for_family("c").form_sigma, belief(1).form_sigma);
  EXPECT_EQ(calibration.for_family("").form_sigma, belief(1).form_sigma);
}

// One table alone told of a factor: without it the belief is another, and wide.
TEST(Calibration, AFactorLearntFromOneFamilySaysSo) {
  constexpr auto kAt = static_cast<std::size_t>(Factor::experts_host_s);
  Belief all = belief(1);
  Belief without = all;
  all.log_mean[kAt] = std::log(0.013);
  all.log_covariance[kAt * (kFactors + 1)] = 0.05 * 0.05;
  without.log_mean[kAt] = std::log(0.004);
  without.log_covariance[kAt * (kFactors + 1)] = 0.75 * 0.75;
  const Calibration calibration{.all = all, .without = {{"a", all}, {"b", without}}};
  const auto one = calibration.learnt_from_one(Factor::experts_host_s);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->name, "b");
  EXPECT_NEAR(one->middle, 0.004, 1e-9);
  EXPECT_NEAR(one->high / one->low, std::exp(kSigmasOf90Percent * 0.75), 1e-6);
  EXPECT_FALSE(calibration.learnt_from_one(Factor::jitter));
}

TEST(Calibration, ComesBackFromItsFile) {
  const Calibration written{.all = belief(1),
                            .without = {{"a \"quoted\"", belief(2)}, {"b", belief(3)}}};
  const auto file = write_text(to_json_text(written), "round.json");
  const Calibration read = read_calibration(file);
  expect_alike(read.all, written.all, 1e-6);
  ASSERT_EQ(read.without.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read.without[i].first, written.without[i].first);
    expect_alike(read.without[i].second, written.without[i].second, 1e-6);
  }
  EXPECT_EQ(to_json_text(read), slurp(file));  // nothing more is lost
}

TEST(Calibration, ARefusalNamesFileAndKey) {
  json missing = calibration_json();
  missing.erase("all");
  EXPECT_THAT(calibration_refusal(missing), HasSubstr("calibration.json: all"));
  json short_mean = calibration_json();
  short_mean["all"]["log_mean"].erase(0);
  EXPECT_THAT(calibration_refusal(short_mean),
              AllOf(HasSubstr("calibration.json: all.log_mean"),
                    HasSubstr(fmt::format("{} numbers", kFactors))));
  json short_covariance = calibration_json();
  short_covariance["without"][0]["log_covariance"].erase(0);
  EXPECT_THAT(calibration_refusal(short_covariance), HasSubstr("without[0].log_covariance"));
  json unknown = calibration_json();
  unknown["without"][0]["famly"] = "x";
  EXPECT_THAT(calibration_refusal(unknown), HasSubstr("famly"));
  // Numbers of other factors, or in another order, would be taken for these.
  json other_order = calibration_json();
  std::swap(other_order["factors"][0], other_order["factors"][1]);
  EXPECT_THAT(calibration_refusal(other_order), HasSubstr("calibration.json: factors"));
}

TEST(Normal, DrawsHaveTheMeanAndCovarianceAskedFor) {
  const Belief wanted = belief(1);
  const NormalSampler sampler(wanted.log_mean, wanted.log_covariance);
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  constexpr int kDraws = 40000;
  FactorValues sum{};
  std::vector<double> products(kFactors * kFactors, 0);
  for (int d = 0; d < kDraws; ++d) {
    FactorValues standard{};
    for (double& z : standard) z = normal(random);
    const FactorValues x = sampler(standard);
    for (std::size_t i = 0; i < kFactors; ++i) {
      sum[i] += x[i];
      for (std::size_t j = 0; j < kFactors; ++j) {
        products[i * kFactors + j] += (x[i] - wanted.log_mean[i]) * (x[j] - wanted.log_mean[j]);
      }
    }
  }
  for (std::size_t i = 0; i < kFactors; ++i) {
    EXPECT_NEAR(sum[i] / kDraws, wanted.log_mean[i], 5e-3);  // 5 standard errors of 0.22
    for (std::size_t j = 0; j < kFactors; ++j) {
      EXPECT_NEAR(products[i * kFactors + j] / kDraws, wanted.log_covariance[i * kFactors + j],
                  2e-3);
    }
  }
}

// Else a covariance that was rounded when it was written would give other draws.
TEST(Normal, TheLastDigitsOfACovarianceMakeNoOtherDraws) {
  const Belief wanted = belief(1);
  std::vector<double> rounded = wanted.log_covariance;
  for (double& c : rounded) c = std::stod(fmt::format("{:.6g}", c));
  FactorValues standard{};
  for (std::size_t i = 0; i < kFactors; ++i) standard[i] = i % 2 == 0 ? 1 : -1;
  const FactorValues exact = NormalSampler(wanted.log_mean, wanted.log_covariance)(standard);
  const FactorValues near = NormalSampler(wanted.log_mean, rounded)(standard);
  for (std::size_t i = 0; i < kFactors; ++i) EXPECT_NEAR(exact[i], near[i], 1e-4) << i;
}

TEST(Normal, WithoutCovarianceThereIsNothingToDraw) {
  const Belief wanted = belief(1);
  const NormalSampler sampler(wanted.log_mean, std::vector<double>(kFactors * kFactors, 0));
  FactorValues standard{};
  standard.fill(1);
  EXPECT_EQ(sampler(standard), wanted.log_mean);
}
