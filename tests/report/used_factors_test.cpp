// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The factors that a prediction names: what moves its step, and nothing else.
#include "report/used_factors.hpp"

#include "report/predict.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

using namespace trainmeter;

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::Field;
using testing::Gt;
using testing::Lt;
using testing::Not;

namespace {

Prediction predicted(const char* id, const Knowledge& knowledge) {
  const Library library = published_library();
  const trainmeter::Run run = library.run(id);
  RateBook book;
  book.add_published(library, *run.system);
  return predict(run, *run.system, book, knowledge, {.samples = 0});
}

double part(const Prediction& p, const std::string& name) {
  double all = 0;
  double its = 0;
  for (const auto& [key, seconds] : p.breakdown_s) {
    all += seconds;
    if (key == name) its = seconds;
  }
  return its / all;
}

auto named(Factor factor) {
  return Field(&UsedFactor::factor, factor);
}

}  // namespace

TEST(UsedFactors, NameWhatMovesTheStep) {
  const Prediction p = predicted("megatron-h100-16b", load_knowledge(published_library()));
  EXPECT_TRUE(std::ranges::is_sorted(p.factors, std::ranges::greater{}, [](const UsedFactor& f) {
    return std::round(std::abs(f.elasticity) * 1e6);
  }));
  for (const Factor f : {Factor::in_place_hopper, Factor::sustained_clock, Factor::weight_pass,
                         Factor::network_links, Factor::jitter}) {
    EXPECT_THAT(p.factors, Contains(named(f))) << to_string(f);
  }
  for (const Factor f : {Factor::in_place_ampere, Factor::sustained_clock_fp8, Factor::grouped_gemm,
                         Factor::experts_host_s}) {
    EXPECT_THAT(p.factors, Not(Contains(named(f)))) << to_string(f);
  }
  EXPECT_THAT(p.factors, Each(AllOf(Field(&UsedFactor::low, Gt(0)))));
  for (const UsedFactor& f : p.factors) {
    EXPECT_LT(f.low, f.middle) << to_string(f.factor);
    EXPECT_LT(f.middle, f.high) << to_string(f.factor);
    EXPECT_FALSE(f.why.empty());
  }
  // One per cent more of a GEMM's rate takes one per cent of the GEMMs' share off the step.
  const auto in_place = std::ranges::find(p.factors, Factor::in_place_hopper, &UsedFactor::factor);
  EXPECT_NEAR(in_place->elasticity, -part(p, "gemm"), 0.1);
  EXPECT_THAT(p.factors, Contains(AllOf(named(Factor::jitter),
                                        Field(&UsedFactor::elasticity, AllOf(Gt(0), Lt(0.1))))));
}

// Their order is the same whatever a compiler makes of the last digits.
TEST(UsedFactors, ThatMoveAsMuchAreInTheOrderOfTheirNames) {
  std::vector<UsedFactor> factors(3);
  factors[0].factor = Factor::sustained_clock_fp8;
  factors[0].elasticity = -0.3 - 1e-15;
  factors[1].factor = Factor::in_place_hopper_fp8;
  factors[1].elasticity = -0.3;
  factors[2].factor = Factor::jitter;
  factors[2].elasticity = 0.4;
  sort_by_effect(factors);
  EXPECT_THAT(factors,
              testing::ElementsAre(named(Factor::jitter), named(Factor::in_place_hopper_fp8),
                                   named(Factor::sustained_clock_fp8)));
}

TEST(UsedFactors, SayWhatTheyRestOn) {
  Knowledge knowledge = load_knowledge(published_library());
  const Prediction fitted = predicted("megatron-h100-16b", knowledge);
  EXPECT_TRUE(std::ranges::any_of(fitted.factors, &UsedFactor::learnt));
  knowledge.calibration = {.all = prior_belief(knowledge.factors), .without = {}};
  const Prediction assumed = predicted("megatron-h100-16b", knowledge);
  EXPECT_TRUE(std::ranges::none_of(assumed.factors, &UsedFactor::learnt));
  EXPECT_EQ(to_json(assumed.factors.front()).at("basis"), "assumed");
}
