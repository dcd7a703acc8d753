// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The pipeline's schedules against cases worked out by hand, closed forms and published counts.
#include "record/error.hpp"

#include "schedule_problems.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <string>
#include <vector>

using namespace trainmeter;

// Rank 0: F0 0-1, F1 1-2, B0 4-6, B1 7-9; rank 1: F0 1-2, B0 2-4, F1 4-5, B1 5-7.
TEST(Schedule, OneForwardOneBackwardByHand) {
  PipelineProblem p = even(Schedule::one_f_one_b, 2, 2);
  EXPECT_DOUBLE_EQ(simulate(p).total_s, 9);

  p.send_s = 0.5;  // F0 reaches rank 1 at 1.5, B1 rank 0 at 8; the rest of the sends is waited for
  PipelineResult r = simulate(p);
  EXPECT_DOUBLE_EQ(r.total_s, 10);
  EXPECT_EQ(r.critical_sends, 2);

  p.send_s = 0;
  p.chunks[1] = {.forward_s = 2, .backward_input_s = 2, .weight_s = 1};
  r = simulate(p);
  EXPECT_DOUBLE_EQ(r.total_s, 13);
  EXPECT_DOUBLE_EQ(r.busy_s[0], 6);
  EXPECT_DOUBLE_EQ(r.busy_s[1], 10);
  EXPECT_DOUBLE_EQ(r.mean_bubble_s(), 5);
  ASSERT_EQ(r.critical.size(), 4u);  // one F and B of stage 0, two of each of stage 1
  for (const CriticalWork& work : r.critical) {
    EXPECT_EQ(work.count, std::max(work.forward_chunk, work.backward_chunk) == 0 ? 1 : 2);
  }
}

TEST(Schedule, OneRankJustWorks) {
  PipelineProblem p = even(Schedule::interleaved, 1, 3);
  p.send_s = 100;  // to whom?
  EXPECT_DOUBLE_EQ(simulate(p).total_s, 18);
  EXPECT_DOUBLE_EQ(simulate(even(Schedule::one_f_one_b, 1, 3)).total_s, 9);
  EXPECT_DOUBLE_EQ(simulate(even(Schedule::zb, 1, 3)).total_s, 9);
}

// Chunks 0 and 2 on rank 0, 1 and 3 on rank 1; "2.1" is chunk 2, micro-batch 1. Rank 0: F0.0 0-1,
// F0.1 1-2, F2.0 2-3, F2.1 3-4, B2.0 6-8, B2.1 9-11, B0.0 11-13, B0.1 13-15; rank 1: F1.0 1-2,
// F1.1 2-3, F3.0 3-4, B3.0 4-6, F3.1 6-7, B3.1 7-9, B1.0 9-11, B1.1 11-13.
TEST(Schedule, InterleavedByHand) {
  const PipelineProblem p = even(Schedule::interleaved, 2, 2);
  EXPECT_DOUBLE_EQ(simulate(p).total_s, 15);
  const RankOrder last = slot_orders(p)[0][1];
  std::vector<std::int32_t> chunks;
  for (const Task& t : last) chunks.push_back(std::max(t.forward_chunk, t.backward_chunk));
  EXPECT_EQ(chunks, (std::vector<std::int32_t>{1, 1, 3, 3, 3, 3, 1, 1}));
}

// Rank 0: F0 0-1, F1 1-2, B0 3-4, W0 4-5, B1 5-6, W1 6-7; rank 1: F0 1-2, B0 2-3, F1 3-4, B1 4-5,
// W0 5-6, W1 6-7.
TEST(Schedule, ZeroBubbleByHand) {
  EXPECT_DOUBLE_EQ(simulate(even(Schedule::zb, 2, 2)).total_s, 7);
  EXPECT_DOUBLE_EQ(simulate(even(Schedule::zb, 2, 4)).total_s, 13);
}

// Both ranks: F near 0-1, F far 1-2, F near 2-3, B far 3-5, F&B 5-8, B far 8-10, b near 10-11, W.
// A send delays F far, F&B and the last b.
TEST(Schedule, DualPipeByHand) {
  PipelineProblem p = even(Schedule::dualpipe, 2, 4);
  EXPECT_DOUBLE_EQ(simulate(p).total_s, 12);
  EXPECT_DOUBLE_EQ(simulate(p).mean_bubble_s(), 0);
  p.send_s = 0.25;
  EXPECT_DOUBLE_EQ(simulate(p).total_s, 12.75);
  EXPECT_EQ(simulate(p).critical_sends, 3);
  p.send_s = 0;
  p.overlapped_s = {2.5, 2.5};
  EXPECT_DOUBLE_EQ(simulate(p).total_s, 11.5);
}

// DeepSeek-V3's pipeline: 16 ranks and 120 micro-batches.
TEST(Schedule, DualPipeCountsOfDeepSeekV3) {
  PipelineProblem p = even(Schedule::dualpipe, 16, 120,
                           {.forward_s = 0.0576, .backward_input_s = 0.0841, .weight_s = 0.0417});
  p.overlapped_s.assign(16, 0.139);
  const PipelineResult r = simulate(p);
  const auto expect = [&](std::int64_t rank, std::array<std::int64_t, kSlotKinds> counts) {
    EXPECT_EQ(r.slots[static_cast<std::size_t>(rank)], counts) << "rank " << rank;
    EXPECT_EQ(r.slots[static_cast<std::size_t>(15 - rank)], counts) << "rank " << 15 - rank;
  };
  expect(0, {23, 8, 15, 15, 97});  // forward backward backward_input weight overlapped
  expect(6, {17, 8, 9, 9, 103});
  expect(7, {17, 9, 8, 8, 103});
  EXPECT_EQ(r.slots_of(0, Slot::overlapped), 97);
  EXPECT_NEAR(r.mean_bubble_s(), 0.80, 0.005);
}

TEST(Schedule, EvenOneForwardOneBackwardIsItsClosedForm) {
  for (const std::int64_t ranks : {1, 2, 3, 8, 16}) {
    for (const std::int64_t microbatches : {1, 2, 7, 16, 100}) {
      const PipelineProblem p = even(Schedule::one_f_one_b, ranks, microbatches,
                                     {.forward_s = 0.7, .backward_input_s = 0.9, .weight_s = 0.6});
      const PipelineResult r = simulate(p);
      EXPECT_NEAR(r.total_s, static_cast<double>(microbatches + ranks - 1) * 2.2, 1e-9);
      EXPECT_NEAR(r.mean_bubble_s(), even_bubble_s(p), 1e-9);
    }
  }
}

TEST(Schedule, EvenInterleavedIsItsClosedForm) {
  for (const std::int64_t ranks : {2, 3, 8}) {
    for (const std::int64_t vpp : {2, 3, 5}) {
      for (const std::int64_t groups : {1, 2, 5}) {
        const PipelineProblem p =
            even(Schedule::interleaved, ranks, groups * ranks,
                 {.forward_s = 0.7, .backward_input_s = 0.9, .weight_s = 0.6}, vpp);
        const double rank_s = 2.2 * static_cast<double>(vpp);
        const double bubble_s = static_cast<double>(ranks - 1) * rank_s / static_cast<double>(vpp);
        EXPECT_NEAR(simulate(p).mean_bubble_s(), bubble_s, 1e-9);
        EXPECT_NEAR(even_bubble_s(p), bubble_s, 1e-9);
      }
    }
  }
}

// Megatron-Core's 2 x (ranks - 1 - rank) + (vpp - 1) x ranks, and the forward of the first pair.
// With nothing to send, fewer would do; with sends they wouldn't.
TEST(Schedule, InterleavedWarmsUpAsMegatronDoes) {
  std::vector<std::int64_t> forwards;
  for (const PipelineOrder order_of_all = slot_orders(even(Schedule::interleaved, 4, 8)).front();
       const RankOrder& order : order_of_all) {
    const auto first_backward =
        std::ranges::find_if(order, [](const Task& t) { return t.slot != Slot::forward; });
    forwards.push_back(first_backward - order.begin());
  }
  EXPECT_EQ(forwards, (std::vector<std::int64_t>{11, 9, 7, 5}));
}

// Groups of more micro-batches than ranks fill the pipeline as well as groups of just as many do.
TEST(Schedule, InterleavedTakesAnyNumberOfMicrobatches) {
  for (std::int64_t ranks = 1; ranks <= 9; ++ranks) {
    for (std::int64_t vpp = 1; vpp <= 5; ++vpp) {
      for (std::int64_t microbatches = 1; microbatches <= 40; ++microbatches) {
        const PipelineProblem p = even(Schedule::interleaved, ranks, microbatches, kUnit, vpp);
        const double bubble_s = simulate(p).mean_bubble_s();
        if (microbatches >= ranks) {
          EXPECT_NEAR(bubble_s, even_bubble_s(p), 1e-9);
        } else {
          EXPECT_GE(bubble_s, even_bubble_s(p));
        }
      }
    }
  }
  const PipelineProblem one = even(Schedule::interleaved, 4, 10, kUnit, 1);
  EXPECT_DOUBLE_EQ(simulate(one).total_s, simulate(even(Schedule::one_f_one_b, 4, 10)).total_s);
}

TEST(Schedule, EvenZeroBubbleIsAThirdOfOneForwardOneBackward) {
  for (const std::int64_t ranks : {2, 4, 8, 16}) {
    const PipelineProblem p = even(Schedule::zb, ranks, 2 * ranks);
    EXPECT_NEAR(simulate(p).mean_bubble_s(), static_cast<double>(ranks - 1), 1e-9);
    EXPECT_NEAR(even_bubble_s(p), static_cast<double>(ranks - 1), 1e-9);
    EXPECT_NEAR(simulate(even(Schedule::one_f_one_b, ranks, 2 * ranks)).mean_bubble_s(),
                3 * static_cast<double>(ranks - 1), 1e-9);
  }
  const PipelineProblem heavy_input =
      even(Schedule::zb, 8, 32, {.forward_s = 1, .backward_input_s = 1.2, .weight_s = 0.8});
  EXPECT_NEAR(simulate(heavy_input).mean_bubble_s(), even_bubble_s(heavy_input), 1e-9);
}

TEST(Schedule, EvenDualPipeIsNearItsClosedForm) {
  for (const std::int64_t ranks : {2, 4, 8, 16}) {
    const PipelineProblem unit = even(Schedule::dualpipe, ranks, 4 * ranks);
    EXPECT_NEAR(simulate(unit).mean_bubble_s(), static_cast<double>(ranks) - 2, 1e-9);
    EXPECT_NEAR(even_bubble_s(unit), static_cast<double>(ranks) - 2, 1e-9);
    PipelineProblem p = even(Schedule::dualpipe, ranks, 4 * ranks,
                             {.forward_s = 1, .backward_input_s = 1.2, .weight_s = 0.8});
    p.overlapped_s.assign(p.chunks.size(), 2.4);
    EXPECT_NEAR(simulate(p).mean_bubble_s(), even_bubble_s(p), 0.2 * even_bubble_s(p) + 1e-9);
  }
}

// At no time more micro-batches whose activations a rank still holds than 1F1B's rank 0 holds.
TEST(Schedule, ZeroBubbleHoldsNoMoreThanOneForwardOneBackward) {
  for (std::int64_t ranks = 1; ranks <= 8; ++ranks) {
    for (const PipelineOrder& orders : slot_orders(even(Schedule::zb, ranks, 20))) {
      for (const RankOrder& order : orders) {
        std::int64_t held = 0, most = 0;
        for (const Task& t : order) {
          held += t.slot == Slot::forward ? 1 : t.slot == Slot::weight ? -1 : 0;
          most = std::max(most, held);
        }
        EXPECT_LE(most, ranks);
      }
    }
  }
}

TEST(Schedule, RefusesWhatDoesNotFit) {
  const auto refused = [](PipelineProblem p, const std::function<void(PipelineProblem&)>& change) {
    EXPECT_NO_THROW(simulate(p));
    change(p);
    EXPECT_THROW(simulate(p), BadInput);
    EXPECT_THROW(slot_orders(p), BadInput);
    EXPECT_THROW(even_bubble_s(p), BadInput);
  };
  using P = PipelineProblem;
  const P plain = even(Schedule::one_f_one_b, 4, 8);
  refused(plain, [](P& p) { p.ranks = 0; });
  refused(plain, [](P& p) { p.ranks = -4; });
  refused(plain, [](P& p) { p.ranks = 5; });
  refused(plain, [](P& p) { p.microbatches = 0; });
  refused(plain, [](P& p) { p.microbatches = std::numeric_limits<std::int64_t>::max(); });
  refused(plain, [](P& p) { p.chunks_per_rank = 2; });
  refused(plain, [](P& p) { p.chunks.clear(); });
  refused(plain, [](P& p) { p.chunks.emplace_back(); });
  refused(plain, [](P& p) { p.overlapped_s = {1, 1, 1, 1}; });

  const P interleaved = even(Schedule::interleaved, 4, 8);
  refused(interleaved, [](P& p) { p.chunks_per_rank = 0; });
  refused(interleaved, [](P& p) { p.chunks_per_rank = std::int64_t{1} << 62; });
  refused(interleaved, [](P& p) { p.chunks.pop_back(); });

  const P dualpipe = even(Schedule::dualpipe, 4, 8);
  refused(dualpipe, [](P& p) { p.microbatches = 9; });
  refused(dualpipe, [](P& p) { p.microbatches = 6; });
  refused(dualpipe, [](P& p) { p.chunks_per_rank = 1; });
  refused(dualpipe, [](P& p) { p.overlapped_s.clear(); });
  refused(dualpipe, [](P& p) { p.chunks.resize(8); });
  refused(dualpipe, [](P& p) {
    p.ranks = 3;
    p.chunks.resize(3);
    p.overlapped_s.resize(3);
  });
}

TEST(Schedule, RefusesTimesThatAreNone) {
  const PipelineProblem good = even(Schedule::dualpipe, 2, 4);
  EXPECT_NO_THROW(simulate(good));
  for (const double bad :
       {-1e-9, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    PipelineProblem p = good;
    p.send_s = bad;
    EXPECT_THROW(simulate(p), BadInput);
    p = good;
    p.overlapped_s[1] = bad;
    EXPECT_THROW(simulate(p), BadInput);
    for (const auto part :
         {&ChunkTimes::forward_s, &ChunkTimes::backward_input_s, &ChunkTimes::weight_s}) {
      p = good;
      p.chunks[1].*part = bad;
      EXPECT_THROW(simulate(p), BadInput);
    }
  }
}
