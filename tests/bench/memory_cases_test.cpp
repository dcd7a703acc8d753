// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What memory_bench measures, by default and with --models, --kernels and --dtype.
#include "bench/case_lists.hpp"
#include "record/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Target small_machine() {
  Target target;
  target.device.last_level_cache_bytes = 1 << 20;
  target.memory_available_bytes = std::int64_t{1} << 34;
  return target;
}

CaseList cases(std::vector<std::string> words, const Target& target = small_machine()) {
  ::setenv("TRAINMETER_DATA", TRAINMETER_SOURCE_DIR "/results/published", 1);
  words.insert(words.begin(), "memory_bench");
  return memory_cases(read_options(Program::memory, words), target);
}

std::vector<std::string> names(const CaseList& list) {
  std::vector<std::string> out;
  for (const Case& one : list.cases) out.push_back(one.name);
  return out;
}

std::string mistake(const std::vector<std::string>& words) {
  try {
    (void)cases(words);
  } catch (const BadInput& error) {
    return error.what();
  }
  return "accepted";
}

TEST(MemoryCases, AreStreamsAloneByDefault) {
  for (const Case& one : cases({}).cases) {
    EXPECT_THAT(one.name, HasSubstr("/fp64/openmp"));
    EXPECT_THAT(one.name, HasSubstr("/bytes:67108864"));
  }
  EXPECT_THAT(names(cases({"--kernels=copy", "--bytes=4096", "--dtype=fp32,fp64"})),
              ElementsAre("copy/fp32/openmp/bytes:4096", "copy/fp32/openmp_nt/bytes:4096",
                          "copy/fp64/openmp/bytes:4096", "copy/fp64/openmp_nt/bytes:4096"));
}

TEST(MemoryCases, OfAModelHaveItsShapes) {
  const CaseList list =
      cases({"--models=deepseek-v3", "--tokens=64",
             "--kernels=rmsnorm,swiglu,rope,cast_fp8,cast_fp8_transpose,cast_fp8_block,"
             "recast_fp8,permute,residual_add,"
             "cross_entropy,adamw,rmsnorm_backward,swiglu_backward,rope_backward,"
             "permute_backward,unpermute,unpermute_backward,topk_sigmoid,topk_sigmoid_backward"});
  EXPECT_THAT(names(list),
              ElementsAre("rmsnorm/bf16/openmp/rows:64/cols:7168",
                          "rmsnorm/bf16/openmp/rows:64/cols:1536",  // of latent attention
                          "rmsnorm/bf16/openmp/rows:64/cols:512",
                          "swiglu/bf16/openmp/rows:64/cols:18432",  // the first three layers
                          "swiglu/bf16/openmp/rows:512/cols:2048",  // 8 experts of a token
                          "rope/bf16/openmp/rows:64/heads:129/head_dim:64",
                          "cast_fp8/bf16/openmp/rows:64/cols:7168",
                          "cast_fp8_transpose/bf16/openmp/rows:64/cols:7168",
                          "cast_fp8_block/bf16/openmp/rows:4096/cols:7168",  // an expert's, both
                          "recast_fp8/fp8/openmp/rows:64/cols:7168",
                          "permute/bf16/openmp/rows:64/cols:7168/experts:256/top_k:8",
                          "residual_add/bf16/openmp/rows:64/cols:7168",
                          "cross_entropy/bf16/openmp/rows:64/cols:129280",
                          "adamw/bf16/openmp/weights:16777216",  // capped
                          "rmsnorm_backward/bf16/openmp/rows:64/cols:7168",
                          "rmsnorm_backward/bf16/openmp/rows:64/cols:1536",
                          "rmsnorm_backward/bf16/openmp/rows:64/cols:512",
                          "swiglu_backward/bf16/openmp/rows:64/cols:18432",
                          "swiglu_backward/bf16/openmp/rows:512/cols:2048",
                          "rope_backward/bf16/openmp/rows:64/heads:129/head_dim:64",
                          "permute_backward/bf16/openmp/rows:64/cols:7168/experts:256/top_k:8",
                          "unpermute/bf16/openmp/rows:64/cols:7168/experts:256/top_k:8",
                          "unpermute_backward/bf16/openmp/rows:64/cols:7168/experts:256/top_k:8",
                          "topk_sigmoid/bf16/openmp/rows:64/experts:256/top_k:8/groups:8/"
                          "group_limit:4",
                          "topk_sigmoid_backward/bf16/openmp/rows:64/experts:256/top_k:8"));
  EXPECT_THAT(list.left_out, IsEmpty());
  EXPECT_DOUBLE_EQ(list.cases[0].bytes, (2.0 * 64 * 7168 + 7168) * 2);
  EXPECT_EQ(list.cases[0].shape,
            (std::map<std::string, std::int64_t>{{"rows", 64}, {"cols", 7168}}));
}

TEST(MemoryCases, ComeOnceAndInEachType) {
  const CaseList list = cases({"--models=gpt2-124m,gpt2-124m", "--tokens=8", "--dtype=bf16,fp32",
                               "--kernels=residual_add,recast_fp8"});
  EXPECT_THAT(names(list), ElementsAre("recast_fp8/fp8/openmp/rows:8/cols:768",  // in its own type
                                       "residual_add/bf16/openmp/rows:8/cols:768",
                                       "residual_add/fp32/openmp/rows:8/cols:768"));
}

TEST(MemoryCases, OfAModelsRouterAreOfItsKind) {
  const CaseList list = cases({"--models=qwen3-30b-a3b,deepseek-v2,deepseek-v3", "--tokens=8",
                               "--kernels=topk_softmax,topk_softmax_backward,topk_sigmoid"});
  EXPECT_THAT(
      names(list),
      ElementsAre("topk_softmax/bf16/openmp/rows:8/experts:128/top_k:8",
                  "topk_softmax_backward/bf16/openmp/rows:8/experts:128/top_k:8",
                  "topk_softmax/bf16/openmp/rows:8/experts:160/top_k:6",
                  "topk_softmax_backward/bf16/openmp/rows:8/experts:160/top_k:6",
                  "topk_sigmoid/bf16/openmp/rows:8/experts:256/top_k:8/groups:8/group_limit:4"));
  EXPECT_THAT(list.left_out, ElementsAre("topk_sigmoid: qwen3-30b-a3b has none",
                                         "topk_sigmoid: deepseek-v2 has none",
                                         "topk_softmax: deepseek-v3 has none",
                                         "topk_softmax_backward: deepseek-v3 has none"));
}

TEST(MemoryCases, SayWhatAModelHasNone) {
  const CaseList list = cases(
      {"--models=gpt2-124m", "--kernels=swiglu,permute,rmsnorm,layernorm,gelu,gelu_backward"});
  EXPECT_THAT(names(list), ElementsAre("layernorm/bf16/openmp/rows:1024/cols:768",
                                       "gelu/bf16/openmp/rows:1024/cols:3072",
                                       "gelu_backward/bf16/openmp/rows:1024/cols:3072"));
  EXPECT_THAT(list.left_out,
              ElementsAre("rmsnorm: gpt2-124m has none", "swiglu: gpt2-124m has none",
                          "permute: gpt2-124m has none"));
  EXPECT_THAT(cases({"--models=gpt2-124m"}).left_out, IsEmpty());
}

TEST(MemoryCases, LeaveOutWhatDoesNotFit) {
  Target target = small_machine();
  target.memory_available_bytes = 1 << 20;
  const CaseList list =
      cases({"--models=gpt2-124m", "--tokens=64", "--kernels=layernorm,cross_entropy"}, target);
  EXPECT_THAT(names(list), ElementsAre("layernorm/bf16/openmp/rows:64/cols:768"));
  EXPECT_THAT(list.left_out, ElementsAre(HasSubstr("needs")));
}

// Where time ends after a few of them, those have said the most.
TEST(PeerTransfers, OfTheFirstGpuComeFirstThenNeighbours) {
  const auto said = [](int gpus) {
    std::vector<std::string> out;
    for (const TransferProblem& one : peer_transfers(1 << 20, gpus)) {
      out.push_back(std::to_string(one.from) + (one.both_ways ? "<>" : ">") +
                    std::to_string(one.to));
    }
    return out;
  };
  EXPECT_THAT(said(1), IsEmpty());
  EXPECT_THAT(said(2), ElementsAre("0>1", "0<>1", "1>0"));
  EXPECT_THAT(said(4),
              ElementsAre("0>1", "0<>1", "0>3", "0<>3", "0>2", "0<>2", "1>2", "1<>2", "2>3", "2<>3",
                          "3>0", "1>0", "1>3", "1<>3", "2>0", "2>1", "3>1", "3>2"));
  EXPECT_EQ(said(8).size(), 56U + 28U);
}

TEST(MemoryCases, EveryMistakeNamesTheFlag) {
  EXPECT_THAT(mistake({"--kernels=batchnorm"}),
              HasSubstr("--kernels: 'batchnorm': expected one of copy"));
  EXPECT_THAT(mistake({"--kernels=rope"}),
              HasSubstr("--kernels: 'rope': expected together with --models"));
  EXPECT_THAT(mistake({"--models=gpt2-124m", "--kernels=copy"}),
              HasSubstr("--models: expected a kernel"));
  EXPECT_THAT(mistake({"--dtype=bf16"}), HasSubstr("--dtype: 'bf16': expected fp64 or fp32"));
  EXPECT_THAT(mistake({"--models=gpt2-124m", "--dtype=fp64", "--kernels=rmsnorm"}),
              HasSubstr("--dtype: 'fp64': expected fp32 or bf16"));
  EXPECT_THAT(mistake({"--models=no-such-model"}), HasSubstr("no-such-model"));
}

}  // namespace
}  // namespace trainmeter
