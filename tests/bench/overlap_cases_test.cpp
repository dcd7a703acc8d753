// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which cases overlap_bench makes.
#include "bench/case_lists.hpp"
#include "record/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace trainmeter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

CaseList cases_with(std::vector<std::string> words, std::int64_t cores) {
  words.insert(words.begin(), "overlap_bench");
  Target target;
  target.device.sms = cores;
  target.memory_available_bytes = std::int64_t{1} << 40;
  return overlap_cases(read_options(Program::overlap, words), target);
}

TEST(OverlapCases, EachOperationBesideEachCoRunnerOnEachShare) {
  const CaseList list = cases_with({}, 8);
  std::set<std::int64_t> shares;
  std::set<std::string> names, operations;
  for (const Case& one : list.cases) {
    ASSERT_TRUE(one.overlap);
    EXPECT_EQ(one.shape.at("co_sms"), one.overlap->beside.sms);
    EXPECT_TRUE(one.overlap->make_rest);
    shares.insert(one.overlap->beside.sms);
    names.insert(one.name);
    operations.insert(one.operation + " " + one.dtype);
  }
  EXPECT_THAT(shares, ElementsAre(1, 2, 4));
  EXPECT_EQ(names.size(), list.cases.size());
  EXPECT_EQ(list.cases.size(), operations.size() * 3 * 3);
  for (const char* expected : {"gemm fp32", "cast_fp8 bf16", "copy fp64"})
    EXPECT_TRUE(operations.contains(expected)) << expected;
}

TEST(OverlapCases, FlagsChoose) {
  const CaseList list = cases_with({"--co_sms=3,8", "--beside=poller", "--dtype=fp32", "--m=64",
                                    "--n=32", "--k=16", "--rate=1000"},
                                   8);
  ASSERT_EQ(list.cases.size(), 1U);
  EXPECT_THAT(list.cases.front().name,
              HasSubstr("/m:64/n:32/k:16/poller/co_sms:3/co_bytes_per_s:1000"));
  EXPECT_EQ(list.cases.front().overlap->beside.bytes_per_s, 1000);
  ASSERT_EQ(list.left_out.size(), 1U);
  EXPECT_THAT(list.left_out.front(), HasSubstr("--co_sms=8: leaves none of 8 cores"));
  EXPECT_TRUE(cases_with({}, 1).cases.empty());
}

}  // namespace
}  // namespace trainmeter
