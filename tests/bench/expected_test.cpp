// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Where an expected rate comes from, and what it is of, without any GPU.
#include "bench/expected.hpp"

#include "bench/plans.hpp"
#include "record/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::HasSubstr;

Target gpu() {
  Target target;
  target.kind = DeviceKind::gpu;
  target.device.details["compute_capability"] = "9.0";
  return target;
}

DeviceState links(int active) {
  DeviceState state;
  state.nvlink_links = active;
  return state;
}

Case all_reduce() {
  Case one;
  one.operation = "allreduce";
  return one;
}

TEST(Expected, CountsLinksElseTakesTheSystemFile) {
  // An H800 has fewer links than an H100 of the same name in a job's file: NVML's count comes
  // first.
  const ExpectedLinks counted = expected_links(gpu(), links(8), "h100");
  EXPECT_DOUBLE_EQ(counted.rates.inside, 200e9);
  EXPECT_DOUBLE_EQ(counted.rates.between, 50e9);
  EXPECT_EQ(counted.from, "8 NVLinks x 25 GB/s (NVML), 50 GB/s a GPU between hosts (system h100)");
  const ExpectedLinks filed = expected_links(gpu(), {}, "h800");
  EXPECT_DOUBLE_EQ(filed.rates.inside, 200e9);
  EXPECT_THAT(filed.from, HasSubstr("200 GB/s a GPU inside a host (system h800)"));
  EXPECT_THAT(expected_links(gpu(), links(0), "").from,
              HasSubstr("nothing: NVML tells no NVLinks"));
  EXPECT_THAT(expected_links(Target{}, {}, "h800").from, HasSubstr("nothing: CPUs have no link"));
  EXPECT_THROW(expected_links(gpu(), {}, "no-such-system"), BadInput);
}

TEST(Expected, IsNotedWithItsSource) {
  const ExpectedLinks known = expected_links(gpu(), links(18), "");
  Case one = all_reduce();
  note_expected(known, std::vector<std::string>(8, "a"), one);
  EXPECT_EQ(one.notes.at(kExpectedNote), "4.5e+11");
  EXPECT_EQ(one.notes.at(kExpectedFromNote), "18 NVLinks x 25 GB/s (NVML), ring");
  Case nvls = all_reduce();
  nvls.notes["algorithm"] = nccl_algorithm("NVLS");
  note_expected(known, std::vector<std::string>(8, "a"), nvls);
  EXPECT_EQ(nvls.notes.at(kExpectedNote), "7e+11");
  // Between hosts nobody told a rate; virtual ranks have no links.
  Case far = all_reduce();
  note_expected(known, {"a", "b"}, far);
  EXPECT_TRUE(far.notes.empty());
  Case virtual_ranks = all_reduce();
  virtual_ranks.shape["virtual_ranks"] = 8;
  note_expected(known, std::vector<std::string>(8, "a"), virtual_ranks);
  EXPECT_TRUE(virtual_ranks.notes.empty());
}

TEST(Expected, NcclsAlgorithmIsKnownWhereOneIsNamed) {
  EXPECT_EQ(nccl_algorithm("Ring"), "ring, by NCCL_ALGO");
  EXPECT_EQ(nccl_algorithm("Ring,Tree"), "");
  EXPECT_EQ(nccl_algorithm("^NVLS"), "");
  EXPECT_EQ(nccl_algorithm(""), "");
}

// NCCL_ALGO is a matter of NCCL's, and so is what it lets expect: the payload is the same.
TEST(Expected, IsNoReasonNotToPairTwoBackends) {
  Case nccl = all_reduce();
  nccl.backend = "nccl";
  nccl.name = "allreduce/bf16/nccl/bytes:8192";
  nccl.notes = {{"algorithm", "tree"}, {kExpectedNote, "1e11"}, {kExpectedFromNote, "links, tree"}};
  Case peer = nccl;
  peer.backend = "peer";
  peer.name = "allreduce/bf16/peer/bytes:8192";
  peer.notes = {{kExpectedNote, "2e11"}, {kExpectedFromNote, "links, ring"}};
  const Options options = read_options(Program::collective, {"collective_bench", "--versus=peer"});
  EXPECT_EQ(make_plans({nccl, peer}, options, 0).size(), 1U);
  peer.notes["virtual_ranks"] = "another work";
  EXPECT_THROW(make_plans({nccl, peer}, options, 0), Unavailable);
}

}  // namespace
}  // namespace trainmeter
