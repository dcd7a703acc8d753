// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// An fp8 GEMM's casts are found at its operands' sizes, and cost what they took.
#include "report/with_casts.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

using namespace trainmeter;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

Measurement fp8_gemm(std::int64_t m, std::int64_t n, std::int64_t k, double seconds,
                     const std::string& backend = "hopper") {
  Measurement out = gemm_at(gemm_flops(m, n, k) / seconds, m, n, k, "fp8", backend);
  out.scaling = "block128";
  return out;
}

Measurement cast(const std::string& kernel, std::int64_t rows, std::int64_t cols, double seconds) {
  return measured(kernel, "bf16", "cuda", {{"rows", rows}, {"cols", cols}}, 1e6, seconds);
}

}  // namespace

TEST(WithCasts, AddsTheTimeOfAGemmsOwnCasts) {
  const auto rows = with_casts_json(
      {record_of({fp8_gemm(64, 128, 256, 4e-3), fp8_gemm(64, 128, 256, 2e-3, "cublaslt"),
                  fp8_gemm(64, 128, 512, 2e-3),  // nobody cast 64 x 512
                  cast("cast_fp8_transpose", 64, 256, 9e-3), cast("cast_fp8", 64, 256, 5e-4),
                  cast("cast_fp8_block", 128, 256, 15e-4), cast("cast_fp8_block", 128, 512, 1)})});
  ASSERT_EQ(rows.size(), 1U);  // the faster of the two
  EXPECT_THAT(rows[0].at("gemm").get<std::string>(), HasSubstr("/cublaslt/"));
  EXPECT_THAT(rows[0].at("casts").get<std::vector<std::string>>(),
              ElementsAre("cast_fp8 64 x 256", "cast_fp8_block 128 x 256"));
  EXPECT_NEAR(rows[0].at("casts_s").get<double>(), 2e-3, 1e-9);
  EXPECT_NEAR(rows[0].at("rate_with").get<double>() * 2, rows[0].at("rate").get<double>(), 1);
}

TEST(WithCasts, OfAWeightGradientBothOperandsAreCastAlongTokens) {
  Measurement gradient = fp8_gemm(128, 256, 64, 1e-3);
  gradient.shape["accumulate"] = 1;
  Measurement groups = fp8_gemm(64, 128, 256, 1e-3);
  groups.operation = "grouped_gemm";
  groups.shape["groups"] = 4;
  const std::vector<Measurement> casts = {cast("cast_fp8_transpose", 64, 128, 1e-3),
                                          cast("recast_fp8", 64, 256, 2e-3)};
  const auto rows = with_casts_json(
      {record_of({gradient, casts[0], casts[1], groups, cast("cast_fp8_block", 128, 256, 1e-3),
                  cast("cast_fp8", 64, 256, 3e-3)})});
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_NEAR(rows[0].at("casts_s").get<double>(), 3e-3, 1e-9);
  EXPECT_NEAR(rows[1].at("casts_s").get<double>(), 3e-3 + 4 * 1e-3, 1e-9);  // four experts' weights
  EXPECT_TRUE(with_casts_json({record_of({gradient, casts[0]})}).empty());
}

TEST(WithCasts, OnlyRowsAsInTrainingCount) {
  const Measurement gemm = fp8_gemm(64, 128, 256, 1e-3);
  Measurement beside = cast("cast_fp8", 64, 256, 1e-3);
  beside.beside = "layer";
  EXPECT_TRUE(with_casts({record_of({gemm, beside})}).empty());
  Measurement part = cast("cast_fp8", 64, 256, 1e-3);
  part.sms = 1;
  EXPECT_TRUE(with_casts({record_of({gemm, part})}).empty());
  Measurement whole = gemm;
  whole.scaling = "tensor";
  EXPECT_TRUE(with_casts({record_of({whole, cast("cast_fp8", 64, 256, 1e-3)})}).empty());
  EXPECT_FALSE(with_casts({record_of({gemm, cast("cast_fp8", 64, 256, 1e-3)})}).empty());
}
