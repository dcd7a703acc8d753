// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What GEMMs and traffic beside them cost each other, from rows of overlap_bench: which count, at
// which share of the SMs, and what they do to a prediction.
#include "report/slowdowns.hpp"

#include "record/overlap.hpp"

#include "fixtures.hpp"
#include "overlap_fixture.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

// A GEMM on two cores beside traffic on one of them.
std::vector<Measurement> overlap(const std::string& dtype, const std::string& traffic,
                                 double slower, double co_slower = 1) {
  Measurement alone = gemm_at(1e12, 64, 64, 64, dtype, "a");
  alone.name = "gemm/" + dtype + "/a/m:64/n:64/k:64/" + traffic + "/co_sms:1";
  alone.sms = 2;
  return overlap_of(alone, traffic, slower, co_slower);
}

Slowdowns of(const std::vector<std::vector<Measurement>>& cases) {
  return measured_slowdowns({record_of(joined(cases))});
}

}  // namespace

// Twice the time: half of the compute is lost per second of traffic.
TEST(Slowdowns, AnAllReducesIsWhatItCosts) {
  const auto lost = of({overlap("bf16", "allreduce", 2, 1.5)}).of("bf16", 0.5);
  ASSERT_TRUE(lost);
  EXPECT_NEAR(lost->value, 0.5, 1e-9);
  ASSERT_TRUE(lost->collective_takes);
  EXPECT_NEAR(*lost->collective_takes, 1.5, 1e-9);
  EXPECT_THAT(lost->how, HasSubstr("beside allreduce, of 1 GEMM in bf16"));
  EXPECT_EQ(lost->origins.size(), 4U);  // GEMM and collective, alone and together
}

// Half of the SMs cost half of it, which is an extrapolation and so less sure.
TEST(Slowdowns, AnotherShareIsInProportion) {
  const Slowdowns known = of({overlap("bf16", "allreduce", 2)});
  const auto same = known.of("bf16", 0.5);
  const auto half = known.of("bf16", 0.25);
  ASSERT_TRUE(same && half);
  EXPECT_NEAR(half->value, 0.25, 1e-9);
  EXPECT_LT(same->sigma, half->sigma);
  EXPECT_THAT(half->how, HasSubstr("with 50 % of the SMs or cores, x 0.50 for 25 %"));
  EXPECT_FALSE(known.of("bf16", 0));  // nobody knows how many a collective holds
}

// A mover's traffic is no collective's: it counts where there is none, and then between what it
// costs to lose the SMs alone and what its bytes cost beside.
TEST(Slowdowns, ARealCollectiveComesBeforeAMover) {
  const auto mover = of({overlap("bf16", "memory_mover", 2)}).of("bf16", 0.5);
  ASSERT_TRUE(mover);
  EXPECT_FALSE(mover->collective_takes);
  EXPECT_LT(mover->value, 0.5);
  EXPECT_GT(mover->sigma, 0.5);
  const auto both =
      of({overlap("bf16", "memory_mover", 2), overlap("bf16", "allreduce", 1.25)}).of("bf16", 0.5);
  ASSERT_TRUE(both);
  EXPECT_NEAR(both->value, 0.2, 1e-9);
  EXPECT_TRUE(of({overlap("bf16", "poller", 2)}).empty());
  EXPECT_TRUE(of({overlap("bf16", "cache_mover", 2)}).empty());
}

TEST(Slowdowns, AreOfTheGemmsType) {
  const Slowdowns known = of({overlap("bf16", "allreduce", 2), overlap("fp8", "allreduce", 4)});
  EXPECT_NEAR(known.of("fp16", 0.5)->value, 0.5, 1e-9);  // one datapath with bf16
  EXPECT_NEAR(known.of("fp8", 0.5)->value, 0.75, 1e-9);
  EXPECT_FALSE(known.of("fp32", 0.5));
}

// Only the factor that was measured moves; draws keep their places in its new range.
TEST(Slowdowns, StandForWhatWasBelieved) {
  const Belief before = read_calibration(published_data() / "calibration.json").all;
  const auto f = static_cast<std::size_t>(Factor::node_interference);
  const std::vector<MeasuredFactor> measured = {
      {Factor::node_interference, {.value = 0.5, .sigma = 0.1, .how = "", .origins = {}}}};
  const Belief after = with_measured(before, measured);
  EXPECT_NEAR(after.medians()[f], 0.5, 1e-12);
  EXPECT_NEAR(std::sqrt(after.log_covariance[f * (kFactors + 1)]), 0.1, 1e-12);
  FactorValues draw = before.log_mean;
  draw[f] += std::sqrt(before.log_covariance[f * (kFactors + 1)]);  // one standard deviation
  const FactorValues moved = with_measured(draw, before, measured);
  EXPECT_NEAR(moved[f], std::log(0.5) + 0.1, 1e-12);
  draw[f] += 100;  // no second of communication costs more than itself
  EXPECT_EQ(with_measured(draw, before, measured)[f], 0);
  draw[f] -= 100;
  for (std::size_t other = 0; other < kFactors; ++other) {
    if (other == f) continue;
    EXPECT_EQ(after.log_mean[other], before.log_mean[other]);
    EXPECT_EQ(moved[other], draw[other]);
  }
}
