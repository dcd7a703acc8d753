// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Host arithmetic of collectives: who gets what, groups of ranks, the traffic of experts, and that
// the check finds what is wrong.
#include "kernels/collective_layout.hpp"

#include "kernels/collective_check.hpp"
#include "kernels/moe_routing.hpp"
#include "kernels/rank_groups.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace trainmeter {
namespace {

using enum CollectiveKind;

constexpr CollectiveKind kAll[] = {all_reduce, all_gather, reduce_scatter, broadcast,
                                   reduce,     all_to_all, send_recv};

TEST(CollectiveLayout, EveryElementOfTheResultComesFromOnePlaceThatIsSent) {
  for (const int ranks : {1, 2, 3, 8}) {
    for (const CollectiveKind what : kAll) {
      const std::int64_t bytes = even_bytes(what, DType::fp32, 1000, ranks);
      for (int rank = 0; rank < ranks; ++rank) {
        const CollectiveLayout mine = layout_of({DType::fp32, bytes, what, false, {}}, rank, ranks);
        std::int64_t next = 0;
        for (const CollectiveLayout::Part& part : mine.parts) {
          EXPECT_EQ(part.at.first, next);
          next += part.at.count;
          const int from = part.from == CollectiveLayout::kSum ? 0 : part.from;
          const auto theirs = layout_of({DType::fp32, bytes, what, false, {}}, from, ranks);
          EXPECT_LE(part.read + part.at.count, theirs.send) << to_string(what);
        }
        EXPECT_EQ(next, what == reduce && rank != 0 ? 0 : mine.receive) << to_string(what);
        EXPECT_LE(mine.send_at + mine.send, mine.whole);
        EXPECT_LE(mine.receive_at + mine.receive, mine.whole);
      }
    }
  }
}

TEST(CollectiveLayout, SizesAreCutAsNcclTestsDoes) {
  EXPECT_EQ(even_bytes(all_gather, DType::fp32, 1000, 3), 960);  // 20 x 16 for each
  EXPECT_EQ(even_bytes(all_to_all, DType::fp32, 40, 3), 0);
  EXPECT_EQ(even_bytes(all_reduce, DType::fp32, 1000, 3), 1000);
  // alltoallv_perf: to the d-th next rank d / (1 + 2 + 3) of the whole.
  const auto counts = distance_weighted(DType::fp32, 960 * 4, 4);
  EXPECT_EQ(counts, (std::vector<std::int64_t>{0, 160, 320, 480, 480, 0, 160, 320, 320, 480, 0, 160,
                                               160, 320, 480, 0}));
  EXPECT_EQ(busiest(counts, 4, true), 960);
}

TEST(CollectiveLayout, RefusesWhatDoesNotFit) {
  EXPECT_THROW(layout_of({DType::fp32, 0, all_reduce, false, {}}, 0, 2), std::invalid_argument);
  EXPECT_THROW(layout_of({DType::fp32, 6, all_reduce, false, {}}, 0, 2), std::invalid_argument);
  EXPECT_THROW(layout_of({DType::fp32, 16, all_to_all, false, {}}, 0, 3), std::invalid_argument);
  EXPECT_THROW(layout_of({DType::fp32, 16, all_to_all_v, false, {1, 2, 3}}, 0, 2),
               std::invalid_argument);
  EXPECT_THROW(layout_of({DType::fp32, 16, all_to_all_v, false, {1, 2, 3, -1}}, 0, 2),
               std::invalid_argument);
  EXPECT_THROW(layout_of({DType::fp32, 16, all_to_all_v, true, {1, 2, 3, 4}}, 0, 2),
               std::invalid_argument);
}

TEST(CollectiveCheck, FindsEachWrongElement) {
  const RankGroup group{.members = {4, 7}, .me = 1, .groups = 1};
  for (const DType type : {DType::fp64, DType::fp32, DType::bf16, DType::fp16}) {
    const CollectiveLayout layout = layout_of({type, 4800, all_gather, false, {}}, 1, 2);
    const std::int64_t part = layout.receive / 2;
    std::vector<char> result(4800);
    fill_payload(result.data(), type, false, 3, 4, 0, part);
    fill_payload(result.data() + 2400, type, false, 3, 7, 0, part);
    EXPECT_EQ(check_payload(result.data(), type, layout, group, 3).wrong, 0);
    result[0] ^= 1;
    result[4799] ^= 1;
    const PayloadError found = check_payload(result.data(), type, layout, group, 3);
    EXPECT_EQ(found.wrong, 2);
    EXPECT_TRUE(std::isinf(found.worst));
    // The members' order counts.
    const RankGroup other{.members = {7, 4}, .me = 1, .groups = 1};
    EXPECT_GT(check_payload(result.data(), type, layout, other, 3).wrong, part);
  }
}

TEST(CollectiveCheck, ASumIsRightWithinItsBoundAlone) {
  const RankGroup group{.members = {0, 1}, .me = 0, .groups = 1};
  const CollectiveLayout layout = layout_of({DType::fp32, 4000, all_reduce, false, {}}, 0, 2);
  std::vector<float> a(1000);
  std::vector<float> b(1000);
  fill_payload(a.data(), DType::fp32, true, 1, 0, 0, 1000);
  fill_payload(b.data(), DType::fp32, true, 1, 1, 0, 1000);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  EXPECT_LT(check_payload(a.data(), DType::fp32, layout, group, 1).worst, 1);
  a[999] += 1e-3F;
  a[0] = NAN;
  EXPECT_EQ(check_payload(a.data(), DType::fp32, layout, group, 1).wrong, 2);
}

// What NCCL adds in fp8, in steps that each round.
TEST(CollectiveCheck, SumsInFp8HaveTheBoundOfTheirRounding) {
  const RankGroup group{.members = {0, 1}, .me = 0, .groups = 1};
  const CollectiveLayout layout = layout_of({DType::fp8, 4000, all_reduce, false, {}}, 0, 2);
  std::vector<std::uint8_t> a(4000);
  std::vector<std::uint8_t> b(4000);
  fill_payload(a.data(), DType::fp8, true, 1, 0, 0, 4000);
  fill_payload(b.data(), DType::fp8, true, 1, 1, 0, 4000);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = fp8_from_float(float_from_fp8(a[i]) + float_from_fp8(b[i]));
  }
  EXPECT_LT(check_payload(a.data(), DType::fp8, layout, group, 1).worst, 1);
  a[7] ^= 0x80U;  // its sign
  a[8] = 0x7f;    // NaN
  EXPECT_EQ(check_payload(a.data(), DType::fp8, layout, group, 1).wrong, 2);
}

TEST(CollectiveCheck, APayloadIsTheSameFromAnyPlace) {
  constexpr std::int64_t kMany = (1 << 20) + 1000;  // across two seeds
  std::vector<float> all(kMany);
  fill_payload(all.data(), DType::fp32, true, 9, 2, 0, kMany);
  std::vector<float> part(2000);
  fill_payload(part.data(), DType::fp32, true, 9, 2, kMany - 2000, 2000);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), all.end() - 2000));
}

TEST(RankGroups, ByHostRailAndCount) {
  const std::vector<std::string> hosts = {"a", "a", "b", "b"};
  EXPECT_EQ(group_of({}, hosts, 2).members, (std::vector<int>{0, 1, 2, 3}));
  const RankGroup node = group_of({.by = Split::By::node}, hosts, 3);
  EXPECT_EQ(node.members, (std::vector<int>{2, 3}));
  EXPECT_EQ(node.me, 1);
  EXPECT_EQ(node.groups, 2);
  EXPECT_EQ(group_of({.by = Split::By::rail}, hosts, 3).members, (std::vector<int>{1, 3}));
  EXPECT_EQ(group_of({.by = Split::By::count, .size = 2}, hosts, 1).members,
            (std::vector<int>{0, 1}));
  EXPECT_EQ(of_members(node, hosts), (std::vector<std::string>{"b", "b"}));
  EXPECT_THROW(group_of({.by = Split::By::count, .size = 3}, hosts, 0), std::invalid_argument);
  EXPECT_THROW(group_of({.by = Split::By::count, .size = 5}, hosts, 0), std::invalid_argument);
  EXPECT_THROW(group_of({.by = Split::By::node}, {"a", "b", "b"}, 0), std::invalid_argument);
  EXPECT_THROW(group_of({.by = Split::By::node}, {"a", "b"}, 0), std::invalid_argument);
}

TEST(MoeRouting, ATokenGoesToEachOfItsRanksOnce) {
  const Routing even{
      .tokens = 1000, .experts = 64, .top_k = 6, .ranks = 8, .nodes = 4, .group_limit = 4};
  const auto counts = route(even);
  EXPECT_EQ(counts, route(even)) << "the same on every rank";
  for (int from = 0; from < 8; ++from) {
    const auto sent =
        std::accumulate(counts.begin() + 8 * from, counts.begin() + 8 * from + 8, 0LL);
    // 8 (1 - C(56,6) / C(64,6)) = 4.54 ranks a token; standard deviation of the mean 0.03.
    EXPECT_NEAR(static_cast<double>(sent) / 1000, 4.54, 0.15);
  }
}

TEST(MoeRouting, NodesLimitAndSkewUnbalances) {
  Routing r{.tokens = 1000, .experts = 64, .top_k = 6, .ranks = 8, .nodes = 4, .group_limit = 1};
  const auto limited = route(r);
  const auto all = std::accumulate(limited.begin(), limited.end(), 0LL);
  EXPECT_LE(all, 8 * 1000 * 2) << "one node has two ranks";
  r.group_limit = 4;
  const auto even = route(r);
  r.skew = 1.5;
  EXPECT_GT(busiest(route(r), 8, true), busiest(even, 8, true) * 11 / 10);
}

TEST(MoeRouting, KnowsTheFewestRanksWithoutDrawing) {
  const Routing many{.tokens = 1LL << 40, .experts = 64, .top_k = 6, .ranks = 8};
  EXPECT_EQ(fewest_ranks(many), 1);
  Routing narrow{.tokens = 100, .experts = 16, .top_k = 6, .ranks = 8};
  EXPECT_EQ(fewest_ranks(narrow), 3) << "two experts a rank";
  const auto counts = route(narrow);
  EXPECT_GE(std::accumulate(counts.begin(), counts.end(), 0LL), 8 * 100 * 3);
  narrow.ranks = 3;
  EXPECT_THROW((void)fewest_ranks(narrow), std::invalid_argument);
}

TEST(MoeRouting, RefusesWhatDoesNotFit) {
  EXPECT_THROW(route({.tokens = 0, .experts = 8, .top_k = 2}), std::invalid_argument);
  EXPECT_THROW(route({.tokens = 1, .experts = 8, .top_k = 2, .ranks = 3}), std::invalid_argument);
  EXPECT_THROW(route({.tokens = 1, .experts = 8, .top_k = 2, .ranks = 4, .nodes = 3}),
               std::invalid_argument);
  EXPECT_THROW(route({.tokens = 1, .experts = 8, .top_k = 5, .ranks = 4, .nodes = 2}),
               std::invalid_argument);
}

}  // namespace
}  // namespace trainmeter
