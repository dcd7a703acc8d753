// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The verdict on every published claim, and what it rests on.
#include "report/claims.hpp"

#include "report/claim_work.hpp"

#include "claim_texts.hpp"
#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

using namespace trainmeter;
using nlohmann::json;
using testing::HasSubstr;

namespace {

Verdict judged(const std::string& id) {
  const Library library = published_library();
  return judge(library.claim(id), library);
}

Record on_h200(const std::vector<Measurement>& measurements) {
  Record record = record_of(measurements);
  put_on(h200(), record);
  return record;
}

struct Expected {
  const char *verdict, *rule, *reason;
};

// Of every committed claim.
const std::map<std::string, Expected> kExpected = {
    {"bloom-hours", {"contradictory", "sums_disagree", "1,089,670 GPU-hours, not 1,082,990"}},
    {"deepgemm-1550",
     {"exceeds_measured", "above_measured",
      "1.50 PFLOP/s, a figure of the claimant's own: 3.3 % above it"}},
    {"deepseek-r1", {"consistent", "within_measured", "at most 533 TFLOP/s"}},
    {"deepseek-r1-zero", {"consistent", "within_measured", "at most 533 TFLOP/s"}},
    {"deepseek-v3", {"consistent", "within_measured", "386 TFLOP/s"}},
    {"deepseek-v3-per-trillion", {"consistent", "within_measured", "386 TFLOP/s"}},
    {"deepseek-v3-step", {"consistent", "within_measured", "385 TFLOP/s"}},
    {"flash-attention-3", {"consistent", "within_measured", "740 TFLOP/s"}},
    {"fraction-of-us-rivals", {"untestable", "work_not_printed", "GPU-hours"}},
    {"gb200-v3", {"consistent", "within_measured", "1.03 PFLOP/s"}},
    {"gpt-2-90-minutes", {"consistent", "within_measured", "185 TFLOP/s"}},
    {"gpt-3-mfu", {"untestable", "work_not_printed", "the GPU"}},
    {"h800-allreduce-215", {"untestable", "no_measurement", "nobody else published"}},
    {"llama-1-65b", {"consistent", "within_measured", "151 TFLOP/s"}},
    {"llama-2-70b", {"consistent", "within_measured", "138 TFLOP/s"}},
    {"llama-2-7b", {"consistent", "within_measured", "129 TFLOP/s"}},
    {"llama-2-all", {"untestable", "work_not_printed", "the tokens trained on"}},
    {"llama-3-405b-step", {"consistent", "within_measured", "400 TFLOP/s"}},
    {"llama-3.1-405b", {"consistent", "within_measured", "327 TFLOP/s"}},
    {"llama-3.1-70b", {"consistent", "within_measured", "248 TFLOP/s"}},
    {"llama-4-maverick", {"untestable", "work_not_printed", "the model's architecture"}},
    {"llama-4-scout", {"untestable", "work_not_printed", "the model's architecture"}},
    {"made-2nd-for-6nd", {"contradictory", "work_disagrees", "a forward pass alone"}},
    {"made-hours", {"contradictory", "sums_disagree", "720,000 GPU-hours, not 1,250,000"}},
    {"made-mfu-above-100", {"exceeds_measured", "above_measured", "an MFU of 114 %"}},
    {"made-sparse-peak", {"contradictory", "wrong_denominator", "2:4 sparsity"}},
    {"made-stages", {"contradictory", "sums_disagree", "1,330,000 GPU-hours, not 1,510,000"}},
    {"made-tenth-of-v3", {"exceeds_measured", "above_measured", "185.2 % above it"}},
    {"megatron-177b", {"consistent", "within_measured", "433 TFLOP/s"}},
    {"megatron-462b", {"consistent", "within_measured", "460 TFLOP/s"}},
    {"mlperf-gpt-3-256", {"consistent", "within_measured", "864 TFLOP/s"}},
    {"mlperf-gpt-3-512", {"consistent", "within_measured", "839 TFLOP/s"}},
    {"mpt-70b", {"consistent", "within_measured", "408 TFLOP/s"}},
    {"mpt-7b", {"consistent", "within_measured", "417 TFLOP/s"}},
    {"nccl-h100-480", {"consistent", "within_measured", "480 GB/s"}},
    {"olmo-3-32b", {"consistent", "within_measured", "362 TFLOP/s"}},
    {"opt-175b", {"untestable", "no_measurement", "fp16 GEMM"}},
    {"over-100-million", {"untestable", "work_not_printed", "GPU-hours"}},
    {"r1-press", {"contradictory", "sums_disagree", "$81,920, not $294,000"}},
    {"z-image", {"untestable", "work_not_printed", "its arithmetic agrees"}},
};

}  // namespace

TEST(Claims, EveryCommittedClaimHasItsVerdict) {
  const std::vector<std::string> ids = published_library().ids("claims");
  EXPECT_EQ(ids.size(), kExpected.size());
  for (const std::string& id : ids) {
    ASSERT_TRUE(kExpected.contains(id)) << id;
    const Expected& expected = kExpected.at(id);
    const Verdict v = judged(id);
    EXPECT_EQ(v.verdict, expected.verdict) << id << ": " << v.reason;
    EXPECT_EQ(v.rule, expected.rule) << id;
    EXPECT_THAT(v.reason, HasSubstr(expected.reason)) << id;
    EXPECT_FALSE(v.would_change.empty()) << id;
  }
}

TEST(Claims, CommittedOnesSayWhoAndWhatTheyCount) {
  const Library library = published_library();
  for (const std::string& id : library.ids("claims")) {
    const Claim claim = library.claim(id);
    EXPECT_FALSE(claim.sentence.empty()) << id;
    EXPECT_EQ(claim.constructed, id.starts_with("made-")) << id;
    // What is made up may not be put into anybody's mouth.
    EXPECT_EQ(claim.who.empty(), claim.constructed) << id;
    EXPECT_EQ(claim.counts.empty(), claim.constructed) << id;
    EXPECT_EQ(claim.leaves_out.empty(), claim.constructed) << id;
  }
}

TEST(Claims, DeepSeekV3ByHand) {
  const Verdict v = judged("deepseek-v3");
  EXPECT_EQ(v.gpu_hours, 2'788'000);
  EXPECT_EQ(v.cost_usd, 5'576'000);
  for (const Arithmetic& a : v.arithmetic) EXPECT_TRUE(a.agrees) << a.what;
  ASSERT_FALSE(v.implied.empty());
  // 14.8 T tokens x 249.81 GFLOP / (2.664 M h x 3600 s): worked out by hand.
  EXPECT_NEAR(v.implied[0].flops_per_s_per_gpu / 385.5e12, 1, 2e-3);
  ASSERT_EQ(v.implied[0].conventions.size(), 3U);
  EXPECT_NEAR(v.implied[0].conventions[1].mfu, 385.5 / 989, 1e-3);
  ASSERT_FALSE(v.ceilings.empty());
  EXPECT_EQ(v.ceilings[0].dtype, "fp8");
  // Attention and head: (30.7 + 5.56) of 249.8 GFLOP.
  EXPECT_NEAR(v.implied[0].bf16_share, 0.145, 5e-4);
}

// 1.05e23 FLOP by hand: 6.29e10 tokens each at 32 K and at 128 K.
TEST(Claims, AStageOfStagesIsTestedAndPredicted) {
  const Verdict v = judged("deepseek-v3");
  ASSERT_EQ(v.implied.size(), 2U);
  EXPECT_EQ(v.implied[1].stage, "deepseek-v3-context");
  EXPECT_NEAR(v.implied[1].flops_per_s_per_gpu / 245e12, 1, 3e-3);
  EXPECT_GT(v.implied[1].bf16_share, v.implied[0].bf16_share);  // longer sequences: more attention
  EXPECT_THAT(v.reason, HasSubstr("tested so: 2 of 3 stages, 2,783,000 of 2,788,000 GPU-hours"));
  ASSERT_EQ(v.predicted.size(), 2U);
  EXPECT_EQ(v.predicted[1].run, "deepseek-v3-context");
  EXPECT_THAT(v.not_predicted, ElementsAre(HasSubstr("deepseek-v3-posttraining")));
}

TEST(Claims, ThePressPairsOneStagesHoursWithThreeStagesCost) {
  const Verdict v = judged("r1-press");
  EXPECT_EQ(v.plainly,
            "It pairs the 80 hours of one stage alone (DeepSeek-R1, RL) with the $294,000 of all 3 "
            "stages together. By its own source that stage cost $82,000.");
  EXPECT_TRUE(v.fails());
  // The source's own figures belong together.
  EXPECT_EQ(
      judged_text(R"("about": "deepseek-r1", "published": {"wall_hours": 80, "cost_usd": 82000})")
          .plainly,
      "");
}

TEST(Claims, HoursTimesPriceAloneIsUntestable) {
  const Verdict v = judged_text(R"("system": "h800", "gpus": 8,
    "price_usd_per_gpu_hour": 2, "published": {"gpu_hours": 1000, "cost_usd": 2000})");
  EXPECT_EQ(v.verdict, "untestable");
  ASSERT_EQ(v.arithmetic.size(), 1U);
  EXPECT_TRUE(v.arithmetic[0].agrees);
  EXPECT_THAT(v.reason, HasSubstr("the model's architecture"));
}

TEST(Claims, AUsersRecordIsTheCeiling) {
  Claim claim = claim_of(R"("model": "gpt2-124m", "system": "h100", "precision": "bf16",
    "published": {"tflops_per_gpu": 900})");
  EXPECT_EQ(judge(claim, published_library()).verdict, "exceeds_measured");
  const auto with_measured = [&](const std::vector<Measurement>& measurements) {
    return judge(claim, published_library(), {.rates = {on_h200(measurements)}, .cost = {}});
  };
  EXPECT_EQ(with_measured({gemm_at(9.1e14, 8192, 8192, 8192)}).verdict, "consistent");
  // Less than others published, or nothing, is no ceiling.
  EXPECT_EQ(with_measured({gemm_at(1e14, 8192, 8192, 8192)}).reason,
            judge(claim, published_library()).reason);
  EXPECT_EQ(with_measured({}).verdict, "exceeds_measured");
}

TEST(Claims, ASlowNodeRefutesNobody) {
  Measurement slow = gemm_at(258e12, 4096, 4096, 7168, "fp8");
  slow.scaling = "block128";
  const Library library = published_library();
  const Verdict v =
      judge(library.claim("deepseek-v3"), library, {.rates = {on_h200({slow})}, .cost = {}});
  EXPECT_EQ(v.verdict, "consistent");
  EXPECT_DOUBLE_EQ(v.ceilings.at(0).flops_per_s, 1500e12);
}

TEST(Claims, AnEstimateFromAnotherChipIsNoCeiling) {
  Record a100 = record_of({gemm_at(300e12, 8192, 8192, 8192)});  // 96 % of its peak
  put_on({.kind = "gpu",
          .name = "NVIDIA A100-SXM4-80GB",
          .count = 1,
          .sms = 108,
          .memory_bytes = 80'000'000'000,
          .last_level_cache_bytes = 0,
          .details = {}},
         a100);
  const Claim claim = claim_of(R"("model": "gpt2-124m", "system": "h100", "precision": "bf16",
    "published": {"tflops_per_gpu": 900})");
  EXPECT_EQ(judge(claim, published_library(), {.rates = {a100}, .cost = {}}).verdict,
            "exceeds_measured");
}

TEST(Claims, EnergyTakesSettledPowerAndNamesItsDevice) {
  const auto energy_how = [](const std::vector<double>& readings) {
    Measurement m = gemm_at(7e14, 8192, 8192, 8192);
    m.power_w = readings;
    const Library library = published_library();
    return judge(library.claim("deepseek-v3"), library, {.rates = {on_h200({m})}, .cost = {}})
        .cost->energy_how;
  };
  EXPECT_THAT(energy_how({300, 400, 500, 600, 680, 690, 690, 690, 690}),
              HasSubstr("690 W (measured on h200)"));
  EXPECT_THAT(energy_how({300, 350, 400, 450, 500, 550, 600, 650, 690}),
              HasSubstr("700 W (the GPU's limit)"));
}

TEST(Claims, RefutedFiguresAreNoCeilings) {
  const Library library = published_library();
  std::set<std::string> tagged, found;
  for (const std::string& id : library.ids("micro")) {
    for (const MicroFigure& figure : library.micro(id).figures) {
      if (figure.refuted) tagged.insert(figure.id);
    }
  }
  for (const std::string& id : library.ids("claims")) {
    const Claim claim = library.claim(id);
    const Verdict v = judge(claim, library);
    if (claim.kernel && v.fails()) found.insert(claim.kernel->figure);
    for (const Ceiling& c : v.ceilings) EXPECT_FALSE(tagged.contains(c.figure)) << id;
  }
  EXPECT_EQ(tagged, found);
  RateBook book;
  book.add_published(library, library.system("h800"));
  for (const auto* points : {&book.points(), &book.later()}) {
    for (const RatePoint& p : *points) EXPECT_FALSE(tagged.contains(p.name)) << p.name;
  }
}

TEST(Claims, AFigureOfTheClaimantsOwnIsNamed) {
  const Verdict own = judged("deepseek-v3");
  EXPECT_TRUE(own.ceilings.at(0).own);
  EXPECT_EQ(own.ceilings.at(0).figure, "deepgemm-pr81-256x128-4096x7168x16384");
  EXPECT_THAT(own.reason, HasSubstr("1.50 PFLOP/s, a figure of the claimant's own"));
  EXPECT_FALSE(own.ceilings.at(1).own);  // bf16, of others
  EXPECT_THAT(judged("made-tenth-of-v3").reason, testing::Not(HasSubstr("claimant")));
  EXPECT_FALSE(judged("gb200-v3").ceilings.at(0).own);  // Microsoft's, of NVIDIA's GPU
  const auto by = [](const char* who, const char* url) {
    return published_by(who, {.title = "", .locator = "", .url = url, .read_on = ""});
  };
  EXPECT_TRUE(by("NVIDIA", "https://developer.nvidia.com/blog/a/b"));
  EXPECT_TRUE(by("DeepSeek-AI", "https://github.com/deepseek-ai/DeepGEMM"));
  EXPECT_TRUE(by("Meta", "https://meta.com"));
  EXPECT_FALSE(by("NVIDIA", "https://github.com/NVIDIA/nccl/issues/1455"));
  EXPECT_FALSE(by("NVIDIA", "https://blogs.example.org/x/nvidia-gb200"));
  EXPECT_FALSE(by("", "https://github.com/deepseek-ai/DeepGEMM"));
}

// Nobody published a bf16 GEMM of an H800; an H100 has the same SMs at the same peak.
TEST(Claims, AKernelIsHeldAgainstTheSameChipWhereItsGpuHasNoFigure) {
  const auto judged_on = [](const std::string& system, const std::string& kernel) {
    return judged_text("\"system\": \"" + system + "\", \"kernel\": {" + kernel + "}");
  };
  const std::string gemm = R"("operation": "gemm", "dtype": "bf16", "flops_per_s": )";
  for (const char* system : {"h800", "h200"}) {
    const Verdict above = judged_on(system, gemm + "5e15");
    EXPECT_EQ(above.rule, "above_measured") << system;
    EXPECT_THAT(above.ceilings.at(0).how,
                HasSubstr("transferred from h100: same SMs, same bf16 peak"));
    EXPECT_EQ(judged_on(system, gemm + "7e14").rule, "within_measured") << system;
  }
  EXPECT_EQ(judged_on("h200", R"("operation": "attention_forward", "dtype": "bf16",
                                "flops_per_s": 9e14)")
                .rule,
            "above_measured");
  // But not at the same links.
  EXPECT_EQ(judged_on("h800", R"("operation": "allreduce", "dtype": "fp32", "ranks": 8,
                                "figure": "nccl-1374-h800", "bus_bytes_per_s": 480e9)")
                .rule,
            "no_measurement");
}

TEST(Claims, AKernelsClaimIsHeldAgainstAUsersRecord) {
  const Claim claim = claim_of(R"("system": "h100",
    "kernel": {"operation": "gemm", "dtype": "bf16", "flops_per_s": 9e14})");
  EXPECT_EQ(judge(claim, published_library()).verdict, "exceeds_measured");
  const auto with_measured = [&](double flops_per_s) {
    Measurement m = gemm_at(flops_per_s, 8192, 8192, 8192);
    m.dtype = "bf16";
    Record record = record_of({m});
    put_on({.kind = "gpu",
            .name = "NVIDIA H100 80GB HBM3",
            .sms = 132,
            .memory_bytes = 85'000'000'000},
           record);
    return judge(claim, published_library(), {.rates = {record}, .cost = {}});
  };
  EXPECT_EQ(with_measured(9.2e14).verdict, "consistent");
  EXPECT_THAT(with_measured(9.2e14).ceilings.at(0).how, HasSubstr("measured on this GPU"));
  EXPECT_EQ(with_measured(8.5e14).verdict, "exceeds_measured");
}

TEST(Claims, AnotherCurrencyIsConvertedWithItsRounding) {
  const auto at = [](const std::string& amount) {
    return judged_text(R"("gpus": 8, "price_usd_per_gpu_hour": 2,
      "cost": {"currency": "CNY", "usd_per_unit": 0.14, "amount": )" +
                       amount + R"(}, "published": {"gpu_hours": 1001})");
  };
  // 1,001 h x $2 = $2,002; 14,300 CNY +- 50 are $2,002 +- 7.
  EXPECT_EQ(at("14300").verdict, "untestable");
  EXPECT_NEAR(*at("14300").cost_usd, 2002, 1e-9);
  EXPECT_EQ(at("14400").verdict, "contradictory");
}

TEST(Claims, FilesOfTheDataAreNamedByTheirPlaceInIt) {
  const Verdict v3 = judged("deepseek-v3");
  ASSERT_FALSE(v3.not_predicted.empty());
  EXPECT_THAT(v3.not_predicted.front(),
              testing::StartsWith("deepseek-v3-posttraining (5,000 GPU-hours): seq_len: missing"));
  for (const std::string& id : published_library().ids("claims")) {
    for (const std::string& reason : judged(id).not_predicted)
      EXPECT_THAT(reason, testing::Not(HasSubstr(TRAINMETER_SOURCE_DIR)));
  }
}

TEST(Claims, JsonHasTheKeysThatOthersReadFor) {
  const auto value = to_json(judged("deepseek-r1"));
  for (const char* key :
       {"id",         "title",      "sentence", "who",     "said_on",      "constructed",
        "verdict",    "rule",       "reason",   "plainly", "would_change", "counts",
        "leaves_out", "arithmetic", "implied",  "ceiling", "predicted",    "not_predicted",
        "gpu_hours",  "cost_usd",   "cost",     "source"}) {
    EXPECT_TRUE(value.contains(key)) << key;
  }
}
