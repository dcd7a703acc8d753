// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Our own all-reduce: cutting up, adding, and the whole of it between threads as ranks. Built a
// second time with the thread sanitizer.
#include "kernels/allreduce_choice.hpp"
#include "kernels/allreduce_plan.hpp"
#include "kernels/allreduce_shm.hpp"
#include "kernels/allreduce_sum.hpp"

#include "shm_threads.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::HasSubstr;

TEST(AllReducePlan, PiecesCoverEachElementOnceInWholeUnits) {
  for (const std::int64_t count : {0, 1, 7, 8, 9, 63, 64, 1000, 1001}) {
    for (int parts = 1; parts <= 9; ++parts) {
      std::int64_t next = 0;
      for (int index = 0; index < parts; ++index) {
        const Piece piece = piece_of(count, parts, index, 8);
        EXPECT_EQ(piece.first, next);
        EXPECT_GE(piece.count, 0);
        next += piece.count;
        if (next < count) {
          EXPECT_EQ(piece.count % 8, 0);
        }
        EXPECT_LE(piece.count, (count / 8 / parts + 1) * 8)
            << "no part is much larger than another";
      }
      EXPECT_EQ(next, count);
    }
  }
}

TEST(AllReducePlan, EveryPayloadHasARowWhoseBlocksFitTheRing) {
  for (const int ranks : {1, 2, 3, 4, 8, 64, 1000}) {
    for (std::int64_t bytes = 1; bytes < std::int64_t{1} << 50; bytes *= 3) {
      const AllReducePlan plan = plan_all_reduce(ranks, bytes);
      EXPECT_GE(plan.block_bytes, 64);
      EXPECT_LE(plan.block_bytes, kMostBlockBytes);
      EXPECT_EQ(plan.block_bytes % 64, 0);
    }
  }
}

TEST(AllReducePlan, NoRowIsHiddenByTheOnesBefore) {
  for (const SwitchPoint& row : switch_points()) {
    EXPECT_EQ(plan_all_reduce(row.most_ranks, row.most_bytes), row.plan);
    const std::vector<AllReducePlan> all = chosen_plans(row.most_ranks, row.most_bytes);
    EXPECT_EQ(all.front(), row.plan);
    ASSERT_EQ(all.size(), row.other ? 2U : 1U);
    if (row.other) {
      EXPECT_EQ(all.back(), *row.other);
    }
  }
}

float float_of(DType type, std::uint16_t bits) {
  return type == DType::bf16 ? float_from_bf16(bits) : float_from_fp16(bits);
}

std::uint16_t bits_of(DType type, float value) {
  return type == DType::bf16 ? bf16_from_float(value) : fp16_from_float(value);
}

// Each of the 65,536 values beside some others, so that all kinds of rounding come up: ties,
// subnormals, overflow, infinity, NaN.
TEST(AllReduceSum, SixteenBitTypesRoundAsTheConversionsDo) {
  std::vector<std::uint16_t> a(65536);
  std::vector<std::uint16_t> b(a.size());
  std::vector<std::uint16_t> out(a.size());
  for (const DType type : {DType::bf16, DType::fp16}) {
    for (const unsigned factor : {0U, 1U, 3U, 257U, 30011U, 40503U}) {
      for (std::size_t i = 0; i < a.size(); ++i) {
        a[i] = static_cast<std::uint16_t>(i);
        b[i] = static_cast<std::uint16_t>(i * factor + 17);
      }
      const std::vector<const void*> in = {a.data(), b.data()};
      sum_arrays(type, out.data(), in, 65536);
      for (std::size_t i = 0; i < a.size(); ++i) {
        const float sum = float_of(type, a[i]) + float_of(type, b[i]);
        if (std::isnan(sum)) {
          ASSERT_TRUE(std::isnan(float_of(type, out[i]))) << a[i] << " + " << b[i];
        } else {
          ASSERT_EQ(out[i], bits_of(type, sum)) << a[i] << " + " << b[i];
        }
      }
    }
  }
}

TEST(AllReduceSum, ThreeSixteenBitNumbersAreRoundedOnce) {
  // 256 + 1 is a tie in bf16 and would go down to 256; 256 + 1 + 1 = 258 is a bf16 number.
  const std::uint16_t large = bf16_from_float(256);
  const std::uint16_t one = bf16_from_float(1);
  std::uint16_t out = 0;
  const std::vector<const void*> in = {&large, &one, &one};
  sum_arrays(DType::bf16, &out, in, 1);
  EXPECT_EQ(float_from_bf16(out), 258);
}

TEST(AllReduceSum, PastTheCachesItIsTheSameNumbers) {
  constexpr std::int64_t kCount = 5003;
  struct alignas(64) Array {
    float x[kCount + 16];
  };
  const auto a = std::make_unique<Array>();
  const auto b = std::make_unique<Array>();
  const auto usual = std::make_unique<Array>();
  const auto streamed = std::make_unique<Array>();
  for (std::int64_t i = 0; i < kCount; ++i) {
    a->x[i] = static_cast<float>(i);
    b->x[i] = static_cast<float>(i) / 7;
  }
  for (const int shift : {0, 3}) {  // 3: not whole lines
    const std::vector<const void*> in = {a->x, b->x, a->x};
    sum_arrays(DType::fp32, usual->x, in, kCount);
    sum_arrays(DType::fp32, streamed->x + shift, in, kCount, {.past_caches = true});
    EXPECT_EQ(std::memcmp(usual->x, streamed->x + shift, kCount * 4), 0);
  }
}

void maybe_sleep(std::minstd_rand& random) {
  if (random() % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
}

// Small whole numbers: their sums are exact in every type.
double value_of(int rank, std::int64_t index, int round) {
  return static_cast<double>((rank * 7 + index * 3 + round) % 11 - 5);
}

template <class T>
void reduce_and_check(ShmGroup& group, std::int64_t count, const AllReducePlan& plan, int round,
                      bool in_place) {
  std::vector<T> send(static_cast<std::size_t>(count));
  std::vector<T> receive(static_cast<std::size_t>(count), T(-99));
  for (std::int64_t i = 0; i < count; ++i)
    send[i] = static_cast<T>(value_of(group.rank(), i, round));
  T* const result = in_place ? send.data() : receive.data();
  group.all_reduce(send.data(), result, count, sizeof(T) == 8 ? DType::fp64 : DType::fp32, plan);
  for (std::int64_t i = 0; i < count; ++i) {
    double sum = 0;
    for (int rank = 0; rank < group.ranks(); ++rank) sum += value_of(rank, i, round);
    if (static_cast<double>(result[i]) != sum) {
      throw std::runtime_error("element " + std::to_string(i) + " of " + std::to_string(count));
    }
  }
}

TEST(ShmGroup, AddsUpInEveryOrderOfCalls) {
  for (const int ranks : {1, 2, 3, 5}) {
    const auto thrown = as_threads(ranks, 60, [](ShmGroup& group) {
      std::minstd_rand same(5);  // decisions that all ranks take alike
      std::minstd_rand own(static_cast<unsigned>(group.rank()) + 1);
      for (int round = 0; round < 150; ++round) {
        const AllReducePlan plan = {.algorithm = same() % 2 == 0 ? AllReduceAlgorithm::one_shot
                                                                 : AllReduceAlgorithm::two_shot,
                                    .block_bytes = 64 << same() % 4,
                                    .ahead = same() % 2 == 0,
                                    .streaming = same() % 2 == 0};
        const auto count = static_cast<std::int64_t>(same() % 700);
        const bool in_place = same() % 2 == 0;
        maybe_sleep(own);
        if (same() % 2 == 0) {
          reduce_and_check<float>(group, count, plan, round, in_place);
        } else {
          reduce_and_check<double>(group, count, plan, round, in_place);
        }
        if (same() % 5 == 0) group.barrier();
        if (same() % 5 != 0) continue;
        const std::vector<double> all = group.gather(group.rank() + 0.5);
        for (std::size_t rank = 0; rank < all.size(); ++rank) {
          if (all[rank] != static_cast<double>(rank) + 0.5) throw std::runtime_error("gather");
        }
      }
    });
    EXPECT_THAT(thrown, ::testing::Each("")) << ranks;
  }
}

TEST(ShmGroup, ThePlannedBlocksAreRightToo) {
  for (const int ranks : {2, 4}) {
    const auto thrown = as_threads(ranks, 60, [](ShmGroup& group) {
      for (const std::int64_t count : {1, 1000, 40'000, 300'000, 1'500'001}) {
        for (const AllReducePlan& plan : chosen_plans(group.ranks(), 4 * count))
          reduce_and_check<float>(group, count, plan, 0, false);
      }
    });
    EXPECT_THAT(thrown, ::testing::Each("")) << ranks;
  }
}

TEST(ShmGroup, AllRanksAgreeOnTheFastestPlan) {
  // Blocks of one line wait 1024 times, and no machine makes up for that.
  const std::vector<AllReducePlan> plans = {
      {.block_bytes = 64}, {.block_bytes = 64 << 10}, {.block_bytes = 128}};
  std::vector<AllReducePlan> chosen(2);
  const auto thrown = as_threads(2, 60, [&](ShmGroup& group) {
    const AllReducePlan plan = fastest_plan(group, plans, 64 << 10, DType::fp32, false);
    chosen[static_cast<std::size_t>(group.rank())] = plan;
    reduce_and_check<float>(group, 5000, plan, 0, false);  // and go on in step
  });
  EXPECT_THAT(thrown, ::testing::Each(""));
  EXPECT_THAT(chosen, ::testing::Each(plans[1]));
}

TEST(ShmGroup, APlanThatIsNoFasterIsNotTaken) {
  const AllReducePlan first = {.algorithm = AllReduceAlgorithm::two_shot, .block_bytes = 4096};
  AllReducePlan far = first;
  far.block_bytes = 64;
  const auto thrown = as_threads(2, 60, [&](ShmGroup& group) {
    const std::vector<AllReducePlan> plans = {first, far};
    if (fastest_plan(group, plans, 64 << 10, DType::bf16, true) != first)
      throw std::runtime_error("far");
    if (fastest_plan(group, {&far, 1}, 64 << 10, DType::bf16, true) != far)
      throw std::runtime_error("the only one");
  });
  EXPECT_THAT(thrown, ::testing::Each(""));
}

TEST(ShmGroup, ARankThatDoesNotComeIsNamedByAllOthers) {
  const auto thrown = as_threads(3, 0.2, [](ShmGroup& group) {
    group.barrier();
    if (group.rank() == 1) return;
    reduce_and_check<float>(group, 1000, plan_all_reduce(3, 4000), 0, false);
  });
  EXPECT_EQ(thrown[1], "");
  for (const std::size_t rank : {0U, 2U}) {
    EXPECT_THAT(thrown[rank], HasSubstr("rank 1 (process "));
    EXPECT_THAT(thrown[rank], HasSubstr("did not come within"));
  }
}

TEST(ShmGroup, ARankThatGivesUpEndsTheOthersAtOnce) {
  const auto thrown = as_threads(3, 60, [](ShmGroup& group) {
    if (group.rank() == 2) {
      group.give_up();
    } else {
      group.barrier();
    }
  });
  EXPECT_EQ(thrown[2], "");
  EXPECT_THAT(thrown[0], HasSubstr("rank 2 (process "));
  EXPECT_THAT(thrown[1], HasSubstr("gave up"));
}

TEST(ShmGroup, RefusesBlocksThatDoNotFit) {
  ShmGroup group(zeros_for(1), 0, 1, 1);
  float x = 1;
  for (const std::int64_t block : {std::int64_t{0}, std::int64_t{96}, 2 * kMostBlockBytes}) {
    EXPECT_THROW(group.all_reduce(&x, &x, 1, DType::fp32, {.block_bytes = block}),
                 std::invalid_argument);
  }
}

}  // namespace
}  // namespace trainmeter
