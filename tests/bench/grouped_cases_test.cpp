// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The grouped GEMMs of models' experts, as gemm_bench --models lists them on a GPU.
#include "bench/case_lists.hpp"
#include "bench/plans.hpp"
#include "record/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Options options_of(std::vector<std::string> words) {
  ::setenv("TRAINMETER_DATA", TRAINMETER_SOURCE_DIR "/results/published", 1);
  words.insert(words.begin(), "gemm_bench");
  return read_options(Program::gemm, words);
}

// DeepSeek-V3 on 64 GPUs: 4 of 256 experts on each; 8 of them for each of 64 x 8192 tokens. Gate
// and up together are 2 x 2048 wide, hidden 7168; 58 layers.
TEST(ExpertGemms, OfDeepSeekV3ByHand) {
  const std::vector<ExpertGemm> found =
      expert_gemms(options_of({"--models=deepseek-v3", "--dtype=fp8"}), 8192);
  ASSERT_THAT(found, SizeIs(6));
  const std::int64_t each = 64 * 8192 * 8 / 256;
  const auto expect = [&](const ExpertGemm& one, std::int64_t m, std::int64_t n, std::int64_t k,
                          const std::string& in_step) {
    EXPECT_EQ(one.problem.all.m, m);
    EXPECT_EQ(one.problem.all.n, n);
    EXPECT_EQ(one.problem.all.k, k);
    EXPECT_EQ(one.notes.in_step, in_step);
    EXPECT_EQ(one.notes.step, "deepseek-v3 tokens:8192 tp:1 ep:64");
    EXPECT_THAT(one.problem.sizes, SizeIs(4));
    EXPECT_THAT(one.problem.sizes, Each(each));
    EXPECT_EQ(one.problem.all.layout, GemmLayout::nt);
    EXPECT_EQ(one.problem.all.scaling, Scaling::block128);
    EXPECT_EQ(one.problem.all.accumulate, k == 4 * each);
  };
  expect(found[0], 4 * each, 4096, 7168, "deepseek-v3 expert_up fprop x 58");
  expect(found[1], 4 * each, 7168, 4096, "deepseek-v3 expert_up dgrad x 58");
  expect(found[2], 4096, 7168, 4 * each, "deepseek-v3 expert_up wgrad x 58");
  expect(found[3], 4 * each, 7168, 2048, "deepseek-v3 expert_down fprop x 58");
  expect(found[4], 4 * each, 2048, 7168, "deepseek-v3 expert_down dgrad x 58");
  expect(found[5], 7168, 2048, 4 * each, "deepseek-v3 expert_down wgrad x 58");
}

TEST(ExpertGemms, LieInBf16AsItsPassesDo) {
  const std::vector<ExpertGemm> found =
      expert_gemms(options_of({"--models=deepseek-v3", "--dtype=bf16"}), 4096);
  ASSERT_THAT(found, SizeIs(6));
  EXPECT_EQ(found[0].problem.all.layout, GemmLayout::nt);
  EXPECT_EQ(found[1].problem.all.layout, GemmLayout::nn);
  EXPECT_EQ(found[2].problem.all.layout, GemmLayout::tn);
  EXPECT_TRUE(found[2].problem.all.accumulate);
  EXPECT_EQ(found[2].problem.all.scaling, Scaling::none);
}

TEST(ExpertGemms, EachStandsOnceAndDenseModelsHaveNone) {
  EXPECT_THAT(expert_gemms(options_of({"--models=llama-3-70b"}), 8192), IsEmpty());
  EXPECT_THAT(expert_gemms(options_of({"--models=deepseek-v3", "--dtype=fp32"}), 8192), IsEmpty());
  Options alike = options_of({"--models=deepseek-v3"});
  alike.models.emplace_back("deepseek-v3");  // two models of one shape
  const auto twice = expert_gemms(alike, 8192);
  EXPECT_THAT(twice, SizeIs(12));  // of fp8 and bf16
  EXPECT_THAT(twice[0].notes.in_step, HasSubstr("; deepseek-v3 expert_up fprop x 58"));
}

// DeepGEMM's table: 6 weights by 4096, 128 and 64 rows, each once however often it was published;
// 4 contiguous groups and 4 masked ones of experts; 2 masked ones of a single expert.
TEST(PublishedGemms, OfDeepGemmByHand) {
  const std::vector<GemmProblem> found = published_gemms(options_of({"--published=deepgemm"}));
  ASSERT_THAT(found, SizeIs(18 + 8 + 2));
  EXPECT_EQ(found[0].groups * found[0].m, 4 * 8192);
  EXPECT_EQ(found.back().m, 64);
  for (const GemmProblem& p : found) {
    EXPECT_EQ(p.dtype, DType::fp8);
    EXPECT_EQ(p.scaling, Scaling::block128);
    EXPECT_EQ(p.layout, GemmLayout::nt);
  }
  EXPECT_THAT(published_gemms(options_of({"--published=deepgemm-pr81"})), SizeIs(5));
  EXPECT_THAT(published_gemms(options_of({"--published=deepgemm-55ab91f-dense-4096"})), SizeIs(6));
  EXPECT_THAT(published_gemms(options_of({"--published=deepgemm", "--dtype=bf16"})), IsEmpty());
  EXPECT_THAT(published_gemms(options_of({})), IsEmpty());
  EXPECT_THROW((void)published_gemms(options_of({"--published=deepgem-x"})), BadInput);
}

// 32 sequences on each of 64 GPUs: 256 rows for 4 experts; on one GPU 256 experts, as many rows.
TEST(ExpertGemms, OfADecodeStepAreAFewRowsEach) {
  const auto gemms = [](std::vector<std::string> words) {
    words.insert(words.begin(), {"--models=deepseek-v3", "--dtype=fp8"});
    return expert_gemms(options_of(words), 8192);
  };
  auto found = gemms({"--decode=32"});
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].problem.all.m, 256);
  EXPECT_EQ(found[0].problem.all.n, 4096);
  EXPECT_EQ(found[0].problem.all.k, 7168);
  EXPECT_THAT(found[0].problem.sizes, SizeIs(4));
  EXPECT_THAT(found[0].problem.sizes, Each(64));
  EXPECT_EQ(found[0].notes.in_step, "deepseek-v3 expert_up decode:32 x 58");
  EXPECT_EQ(found[0].notes.step, "deepseek-v3 decode tp:1 ep:64");
  EXPECT_EQ(tokens_of_experts(found[0].problem.sizes), "64 each");
  found = gemms({"--decode=8,32", "--ep=1"});
  ASSERT_THAT(found, SizeIs(4));
  EXPECT_EQ(tokens_of_experts(found[0].problem.sizes), "1 for 64, none for 192");
  EXPECT_EQ(tokens_of_experts(found[2].problem.sizes), "1 each");
  EXPECT_EQ(gemms({"--decode=1", "--tp=8", "--ep=8"})[0].problem.all.m, 1);
}

Target a_cpu() {
  Target target;
  target.device.last_level_cache_bytes = 1 << 20;
  target.memory_available_bytes = std::int64_t{1} << 40;
  return target;
}

// By "n:.../k:...", of the first backend.
std::map<std::string, Case> cases_of(const std::vector<std::string>& words) {
  std::map<std::string, Case> found;
  for (const Case& one : gemm_cases(options_of(words), a_cpu()).cases) {
    if (one.notes.contains("in_step")) found.emplace(one.name.substr(one.name.find("/m:")), one);
  }
  return found;
}

TEST(GemmCases, OfDecodeStepsAreTheForwardPassByShapeOnce) {
  const auto found =
      cases_of({"--models=llama-3-70b,deepseek-v3", "--decode=1,128", "--ep=1", "--dtype=fp32"});
  const auto in_step = [&](const char* name) { return found.at(name).notes.at("in_step"); };
  EXPECT_EQ(in_step("/m:1/n:57344/k:8192"), "llama-3-70b ffn_up decode:1 x 80");
  EXPECT_EQ(in_step("/m:128/n:24576/k:1536"), "deepseek-v3 q_b decode:128 x 61");
  // 1,024 rows of 128 sequences on 256 experts; 8 rows of one sequence on as many experts.
  EXPECT_EQ(in_step("/m:4/n:4096/k:7168"), "deepseek-v3 expert_up decode:128 x 14848");
  EXPECT_EQ(in_step("/m:1/n:4096/k:7168"),
            "deepseek-v3 shared_up decode:1 x 58; deepseek-v3 expert_up decode:1 x 464");
  EXPECT_EQ(found.at("/m:1/n:57344/k:8192").notes.at("step"), "llama-3-70b decode tp:1");
  for (const auto& [name, one] : found) EXPECT_EQ(one.layout, "nt") << name;
  // A head's latent, 128 of them side by side.
  const std::vector<std::string> v3 = {"--models=deepseek-v3", "--decode=8", "--dtype=fp32"};
  bool heads = false;
  for (const Case& one : gemm_cases(options_of(v3), a_cpu()).cases)
    heads = heads || one.name == "gemm/fp32/openblas/groups:128/m:8/n:512/k:128";
  EXPECT_TRUE(heads);
}

TEST(GemmCases, OfAModelOnSeveralGpusAreTheirShares) {
  const auto found = cases_of({"--models=llama-3-70b", "--tokens=512", "--tp=8", "--dtype=fp32"});
  EXPECT_EQ(found.at("/m:512/n:1280/k:8192").notes.at("in_step"), "llama-3-70b qkv fprop x 80");
  EXPECT_EQ(found.at("/m:512/n:8192/k:3584").notes.at("in_step"),
            "llama-3-70b ffn_down fprop x 80");
  EXPECT_EQ(found.at("/m:512/n:8192/k:3584").notes.at("step"), "llama-3-70b tokens:512 tp:8");
}

TEST(GemmCases, WhereNoLibraryAddsToCWeightGradientsAreWritten) {
  const Options options = options_of({"--models=gpt2-124m", "--tokens=64", "--dtype=bf16"});
  const CaseList list = gemm_cases(options, a_cpu());
  for (const Case& one : list.cases) EXPECT_FALSE(one.shape.contains("accumulate")) << one.name;
  for (const std::string& text : list.left_out) EXPECT_EQ(text.find("adds to none"), text.npos);
}

TEST(GemmCases, LayoutsThatDontDivideAModelAreRefusedByName) {
  const auto refused = [](std::vector<std::string> words) {
    try {
      (void)gemm_cases(options_of(std::move(words)), a_cpu());
    } catch (const BadInput& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refused({"--models=llama-3-70b", "--tp=3"}),
            "--models: llama-3-70b: tp: heads: 3 ways do not divide 64");
  EXPECT_EQ(refused({"--models=deepseek-v3", "--ep=7"}),
            "--models: deepseek-v3: ep: experts: 7 ways do not divide 256");
  EXPECT_EQ(refused({"--models=llama-3-70b", "--ep=8"}),
            "--ep: expected a model with experts in --models");
}

TEST(GemmCases, ReasonsThatAreAlikeAreOneForAllTypes) {
  const auto list = gemm_cases(
      options_of({"--m=64", "--n=64", "--k=64", "--accumulate", "--dtype=fp32,fp64"}), a_cpu());
  EXPECT_THAT(list.cases, IsEmpty());
  EXPECT_THAT(list.left_out,
              Contains("fp32, fp64 by openblas: OpenBLAS: writes C, and adds to none "
                       "here"));
}

TEST(GemmCases, OfAModelNameTheirPlaceInItsStep) {
  const Options options = options_of({"--models=gpt2-124m", "--tokens=64", "--dtype=fp32"});
  bool found = false;
  for (const Case& one : gemm_cases(options, a_cpu()).cases) {
    const auto note = one.notes.find("in_step");
    if (note == one.notes.end()) continue;
    found = found || note->second == "gpt2-124m qkv fprop x 12";
  }
  EXPECT_TRUE(found);
}

TEST(GroupedCases, ArePairedSkewBySkew) {
  std::vector<Case> cases;
  for (const char* backend : {"hopper", "cublaslt"}) {
    for (const char* skew : {"balanced", "zipf"}) {
      cases.emplace_back();
      cases.back().backend = backend;
      cases.back().notes["skew"] = skew;
    }
  }
  const std::vector<Plan> plans = make_plans(cases, options_of({"--versus=cublaslt"}), 0);
  ASSERT_THAT(plans, SizeIs(2));
  for (const Plan& plan : plans) {
    EXPECT_EQ(plan.main.backend, "hopper");
    EXPECT_EQ(plan.main.notes, plan.versus->notes);
  }
}

TEST(GemmCases, OnRequestIsByFilterOrVersus) {
  EXPECT_FALSE(asked_for(options_of({}), "reference"));
  EXPECT_TRUE(asked_for(options_of({"--versus=reference"}), "reference"));
  EXPECT_TRUE(asked_for(options_of({"--benchmark_filter=mma|reference"}), "reference"));
  EXPECT_FALSE(asked_for(options_of({"--benchmark_filter=-reference"}), "reference"));
  EXPECT_FALSE(asked_for(options_of({"--benchmark_filter=hopper"}), "reference"));
}

}  // namespace
}  // namespace trainmeter
