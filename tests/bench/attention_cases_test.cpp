// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which cases attention_bench makes, and the work that it counts for them.
#include "bench/case_lists.hpp"
#include "kernels/machine.hpp"
#include "record/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

using namespace trainmeter;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

CaseList cases_for(std::vector<std::string> words, DeviceKind kind = DeviceKind::cpu) {
  words.insert(words.begin(), "attention_bench");
  Target target;
  target.kind = kind;
  target.memory_available_bytes = std::int64_t{1} << 40;
  return attention_cases(read_options(Program::attention, words), target);
}

std::string mistake(const std::vector<std::string>& words) {
  try {
    cases_for(words);
  } catch (const BadInput& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST(AttentionCases, OwnHeadsInAllThreePasses) {
  const CaseList list = cases_for({"--heads=8", "--kv_heads=2", "--head_dim=64", "--seq_len=256",
                                   "--sequences=3", "--dtype=bf16"});
  ASSERT_EQ(list.cases.size(), 3U);
  const Case& forward = list.cases[0];
  EXPECT_EQ(forward.name,
            "attention_forward/bf16/openmp/batch:3/heads:8/kv_heads:2/queries:256/seq_len:256/"
            "head_dim:64/value_dim:64/causal:1");
  EXPECT_DOUBLE_EQ(forward.flops, 2.0 * 3 * 8 * 256 * 128 * (64 + 64));  // half the square
  EXPECT_DOUBLE_EQ(forward.bytes, 3.0 * (8 + 2) * 256 * (64 + 64) * 2 + 4.0 * 3 * 8 * 256);
  EXPECT_DOUBLE_EQ(list.cases[1].flops, 2.5 * forward.flops);
  EXPECT_DOUBLE_EQ(list.cases[1].bytes,
                   2 * 3.0 * (8 + 2) * 256 * (64 + 64) * 2 + 4.0 * 3 * 8 * 256);
  const Case& decode = list.cases[2];
  EXPECT_EQ(decode.operation, "attention_decode");
  EXPECT_DOUBLE_EQ(decode.flops, 2.0 * 3 * 8 * 255.5 * (64 + 64));
  EXPECT_DOUBLE_EQ(decode.bytes, 3.0 * (8 + 2 * 256) * (64 + 64) * 2 + 4.0 * 3 * 8);
}

TEST(AttentionCases, AModelsHeads) {
  const CaseList list = cases_for({"--models=deepseek-v3", "--seq_len=1024", "--pass=backward"});
  ASSERT_EQ(list.cases.size(), 2U);  // bf16 and fp32
  EXPECT_THAT(list.cases[0].name, HasSubstr("batch:2/heads:128/kv_heads:128/queries:1024/"
                                            "seq_len:1024/head_dim:192/value_dim:128"));
  const CaseList llama = cases_for({"--models=llama-3-70b", "--seq_len=4096", "--pass=decode"});
  EXPECT_THAT(llama.cases[0].name,
              HasSubstr("batch:1/heads:64/kv_heads:8/queries:1/seq_len:4096/head_dim:128"));
}

TEST(AttentionCases, NoneIsMadeTwice) {
  std::set<std::string> names;
  for (const Case& c : cases_for({}).cases) EXPECT_TRUE(names.insert(c.name).second) << c.name;
  EXPECT_EQ(names.size(), 4U * 3 * 3 * 2);
}

// In a build with CUDA and a machine with none, each says so.
TEST(AttentionCases, WithoutAGpuNoneIsMadeForOneAndThatIsSaid) {
  if (!gpus().devices.empty()) GTEST_SKIP() << "skipped: this machine has a GPU";
  const CaseList list = cases_for({"--heads=8", "--seq_len=64"}, DeviceKind::gpu);
  EXPECT_THAT(list.cases, IsEmpty());
  ASSERT_FALSE(list.left_out.empty());
  EXPECT_THAT(list.left_out[0], AnyOf(HasSubstr("no CUDA device"), HasSubstr("--device=cpu")));
}

TEST(AttentionCases, MistakesAreNamed) {
  EXPECT_THAT(mistake({"--heads=8", "--kv_heads=3"}), HasSubstr("kv_heads divides heads"));
  EXPECT_THAT(mistake({"--head_dim=64"}), HasSubstr("together with --heads"));
  EXPECT_THAT(mistake({"--heads=8", "--models=gpt2-124m"}), HasSubstr("one of them"));
  EXPECT_THAT(mistake({"--sequences=2", "--tokens=512"}), HasSubstr("one of them"));
  EXPECT_THAT(mistake({"--pass=sideways"}), HasSubstr("--pass: 'sideways'"));
  EXPECT_THAT(mistake({"--seq_len=0"}), HasSubstr("--seq_len"));
}
