// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The pipeline's schedules against cases worked out by hand, closed forms, published counts, and
// against what must hold for any pipeline.
#include "workload/schedule.hpp"

#include "record/error.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace trainmeter;

namespace {

const ChunkTimes kUnit{.forward_s = 1, .backward_input_s = 1, .weight_s = 1};

// Stages all alike; an overlapped slot takes as long as its halves one after the other.
PipelineProblem even(const std::string& schedule, std::int64_t ranks, std::int64_t microbatches,
                     ChunkTimes times = kUnit, std::int64_t vpp = 2) {
  PipelineProblem p{.schedule = schedule, .ranks = ranks, .microbatches = microbatches};
  if (schedule == "interleaved") p.chunks_per_rank = vpp;
  p.chunks.assign(static_cast<std::size_t>(ranks * p.chunks_per_rank), times);
  if (schedule == "dualpipe") {
    p.chunks_per_rank = 2;
    p.overlapped_s.assign(p.chunks.size(),
                          times.forward_s + times.backward_input_s + times.weight_s);
  }
  return p;
}

double critical_s(const PipelineProblem& p, const PipelineResult& r) {
  double sum = r.critical_sends * p.send_s;
  for (const CriticalWork& work : r.critical) {
    sum += work.count * slot_s(p, work.slot, work.forward_chunk, work.backward_chunk);
  }
  return sum;
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::int64_t whole(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(engine_);
  }
  // Now and then 0, and now and then many times the usual.
  double time() {
    const std::int64_t kind = whole(0, 9);
    if (kind == 0) return 0;
    return std::uniform_real_distribution<double>(0.1, kind == 1 ? 30 : 2)(engine_);
  }

  PipelineProblem pipeline() {
    static const std::vector<std::string> kSchedules = {"1f1b", "interleaved", "zb", "dualpipe"};
    const std::string& schedule = kSchedules[static_cast<std::size_t>(whole(0, 3))];
    const bool dualpipe = schedule == "dualpipe";
    const std::int64_t ranks = dualpipe ? 2 * whole(1, 4) : whole(1, 7);
    const std::int64_t microbatches = dualpipe ? 2 * whole(ranks, 2 * ranks + 3) : whole(1, 30);
    PipelineProblem p = even(schedule, ranks, microbatches, kUnit, whole(1, 4));
    for (ChunkTimes& chunk : p.chunks) chunk = {time(), time(), time()};
    for (double& seconds : p.overlapped_s) seconds = time();
    p.send_s = whole(0, 1) == 0 ? 0 : time() / 4;
    return p;
  }

 private:
  std::mt19937_64 engine_;
};

void for_many(std::uint64_t seed,
              const std::function<void(Random&, const PipelineProblem&)>& test) {
  Random random(seed);
  for (int i = 0; i < 2000; ++i) {
    const PipelineProblem p = random.pipeline();
    SCOPED_TRACE(testing::Message() << "case " << i << ": " << p.schedule << ", " << p.ranks
                                    << " ranks, " << p.microbatches << " micro-batches, "
                                    << p.chunks_per_rank << " chunks per rank");
    test(random, p);
    if (testing::Test::HasFailure()) return;
  }
}

std::int64_t rank_of(const PipelineProblem& p, std::int64_t chunk, std::int64_t microbatch) {
  const bool upwards = p.schedule == "dualpipe" && microbatch >= p.microbatches / 2;
  return upwards ? p.ranks - 1 - chunk : chunk % p.ranks;
}

// The same pipeline's total by brute force: starts are put off until nothing starts too early.
double relaxed_total_s(const PipelineProblem& p, const PipelineOrder& orders) {
  using Key = std::pair<std::int64_t, std::int64_t>;  // chunk, micro-batch
  std::map<Key, double> forward_end, backward_end;
  const auto last = static_cast<std::int64_t>(p.chunks.size()) - 1;
  const auto sent = [&](const std::map<Key, double>& ends, Key key) {
    return ends.contains(key) ? ends.at(key) + (p.ranks > 1 ? p.send_s : 0) : 0.0;
  };
  double total = 0;
  for (bool changed = true; changed;) {
    changed = false;
    total = 0;
    for (const RankOrder& order : orders) {
      double now = 0;
      for (const Task& t : order) {
        const Key f{t.forward_chunk, t.forward_microbatch};
        const Key b{t.backward_chunk, t.backward_microbatch};
        const bool backward = t.backward_chunk >= 0 && t.slot != Slot::weight;
        if (f.first > 0) now = std::max(now, sent(forward_end, {f.first - 1, f.second}));
        if (backward && b.first < last) {
          now = std::max(now, sent(backward_end, {b.first + 1, b.second}));
        }
        if (backward) now = std::max(now, forward_end[b]);
        now += slot_s(p, t.slot, t.forward_chunk, t.backward_chunk);
        if (f.first >= 0 && std::exchange(forward_end[f], now) != now) changed = true;
        if (backward && std::exchange(backward_end[b], now) != now) changed = true;
      }
      total = std::max(total, now);
    }
  }
  return total;
}

}  // namespace

// Rank 0: F0 0-1, F1 1-2, B0 4-6, B1 7-9; rank 1: F0 1-2, B0 2-4, F1 4-5, B1 5-7.
TEST(Schedule, OneForwardOneBackwardByHand) {
  PipelineProblem p = even("1f1b", 2, 2);
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
  PipelineProblem p = even("interleaved", 1, 3);
  p.send_s = 100;  // to whom?
  EXPECT_DOUBLE_EQ(simulate(p).total_s, 18);
  EXPECT_DOUBLE_EQ(simulate(even("1f1b", 1, 3)).total_s, 9);
  EXPECT_DOUBLE_EQ(simulate(even("zb", 1, 3)).total_s, 9);
}

// Chunks 0 and 2 on rank 0, 1 and 3 on rank 1; "2.1" is chunk 2, micro-batch 1. Rank 0: F0.0 0-1,
// F0.1 1-2, F2.0 2-3, F2.1 3-4, B2.0 6-8, B2.1 9-11, B0.0 11-13, B0.1 13-15; rank 1: F1.0 1-2,
// F1.1 2-3, F3.0 3-4, B3.0 4-6, F3.1 6-7, B3.1 7-9, B1.0 9-11, B1.1 11-13.
TEST(Schedule, InterleavedByHand) {
  const PipelineProblem p = even("interleaved", 2, 2);
  EXPECT_DOUBLE_EQ(simulate(p).total_s, 15);
  const RankOrder last = slot_orders(p)[0][1];
  std::vector<std::int32_t> chunks;
  for (const Task& t : last) chunks.push_back(std::max(t.forward_chunk, t.backward_chunk));
  EXPECT_EQ(chunks, (std::vector<std::int32_t>{1, 1, 3, 3, 3, 3, 1, 1}));
}

// Rank 0: F0 0-1, F1 1-2, B0 3-4, W0 4-5, B1 5-6, W1 6-7; rank 1: F0 1-2, B0 2-3, F1 3-4, B1 4-5,
// W0 5-6, W1 6-7.
TEST(Schedule, ZeroBubbleByHand) {
  EXPECT_DOUBLE_EQ(simulate(even("zb", 2, 2)).total_s, 7);
  EXPECT_DOUBLE_EQ(simulate(even("zb", 2, 4)).total_s, 13);
}

// Both ranks: F near 0-1, F far 1-2, F near 2-3, B far 3-5, F&B 5-8, B far 8-10, b near 10-11, W.
// A send delays F far, F&B and the last b.
TEST(Schedule, DualPipeByHand) {
  PipelineProblem p = even("dualpipe", 2, 4);
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
  PipelineProblem p = even("dualpipe", 16, 120,
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
      const PipelineProblem p = even("1f1b", ranks, microbatches,
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
            even("interleaved", ranks, groups * ranks,
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
  for (const PipelineOrder order_of_all = slot_orders(even("interleaved", 4, 8)).front();
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
        const PipelineProblem p = even("interleaved", ranks, microbatches, kUnit, vpp);
        const double bubble_s = simulate(p).mean_bubble_s();
        if (microbatches >= ranks) {
          EXPECT_NEAR(bubble_s, even_bubble_s(p), 1e-9);
        } else {
          EXPECT_GE(bubble_s, even_bubble_s(p));
        }
      }
    }
  }
  const PipelineProblem one = even("interleaved", 4, 10, kUnit, 1);
  EXPECT_DOUBLE_EQ(simulate(one).total_s, simulate(even("1f1b", 4, 10)).total_s);
}

TEST(Schedule, EvenZeroBubbleIsAThirdOfOneForwardOneBackward) {
  for (const std::int64_t ranks : {2, 4, 8, 16}) {
    const PipelineProblem p = even("zb", ranks, 2 * ranks);
    EXPECT_NEAR(simulate(p).mean_bubble_s(), static_cast<double>(ranks - 1), 1e-9);
    EXPECT_NEAR(even_bubble_s(p), static_cast<double>(ranks - 1), 1e-9);
    EXPECT_NEAR(simulate(even("1f1b", ranks, 2 * ranks)).mean_bubble_s(),
                3 * static_cast<double>(ranks - 1), 1e-9);
  }
  const PipelineProblem heavy_input =
      even("zb", 8, 32, {.forward_s = 1, .backward_input_s = 1.2, .weight_s = 0.8});
  EXPECT_NEAR(simulate(heavy_input).mean_bubble_s(), even_bubble_s(heavy_input), 1e-9);
}

TEST(Schedule, EvenDualPipeIsNearItsClosedForm) {
  for (const std::int64_t ranks : {2, 4, 8, 16}) {
    const PipelineProblem unit = even("dualpipe", ranks, 4 * ranks);
    EXPECT_NEAR(simulate(unit).mean_bubble_s(), static_cast<double>(ranks) - 2, 1e-9);
    EXPECT_NEAR(even_bubble_s(unit), static_cast<double>(ranks) - 2, 1e-9);
    PipelineProblem p = even("dualpipe", ranks, 4 * ranks,
                             {.forward_s = 1, .backward_input_s = 1.2, .weight_s = 0.8});
    p.overlapped_s.assign(p.chunks.size(), 2.4);
    EXPECT_NEAR(simulate(p).mean_bubble_s(), even_bubble_s(p), 0.2 * even_bubble_s(p) + 1e-9);
  }
}

// At no time more micro-batches whose activations a rank still holds than 1F1B's rank 0 holds.
TEST(Schedule, ZeroBubbleHoldsNoMoreThanOneForwardOneBackward) {
  for (std::int64_t ranks = 1; ranks <= 8; ++ranks) {
    for (const PipelineOrder& orders : slot_orders(even("zb", ranks, 20))) {
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

TEST(ScheduleProperty, EveryPassIsDoneOnceWhereItsWeightsAre) {
  for_many(1, [](Random&, const PipelineProblem& p) {
    for (const PipelineOrder& orders : slot_orders(p)) {
      ASSERT_EQ(orders.size(), static_cast<std::size_t>(p.ranks));
      std::set<std::pair<std::int64_t, std::int64_t>> forwards, backwards, weights;
      for (std::int64_t r = 0; r < p.ranks; ++r) {
        for (const Task& t : orders[static_cast<std::size_t>(r)]) {
          if (t.forward_chunk >= 0) {
            EXPECT_EQ(rank_of(p, t.forward_chunk, t.forward_microbatch), r);
            EXPECT_TRUE(forwards.emplace(t.forward_chunk, t.forward_microbatch).second);
          }
          if (t.backward_chunk < 0) continue;
          const std::pair<std::int64_t, std::int64_t> pass{t.backward_chunk, t.backward_microbatch};
          EXPECT_EQ(rank_of(p, pass.first, pass.second), r);
          EXPECT_TRUE(forwards.contains(pass));
          if (t.slot == Slot::weight) {
            EXPECT_TRUE(backwards.contains(pass));
          } else {
            EXPECT_TRUE(backwards.insert(pass).second);
          }
          if (t.slot != Slot::backward_input) {
            EXPECT_TRUE(weights.insert(pass).second);
          }
          if (t.slot == Slot::overlapped) {
            EXPECT_EQ(t.backward_chunk, p.ranks - 1 - t.forward_chunk);
          }
        }
      }
      const std::size_t passes = p.chunks.size() * static_cast<std::size_t>(p.microbatches);
      EXPECT_EQ(forwards.size(), passes);
      EXPECT_EQ(backwards.size(), passes);
      EXPECT_EQ(weights.size(), passes);
    }
  });
}

TEST(ScheduleProperty, TotalIsThatOfBruteForce) {
  for_many(2, [](Random&, const PipelineProblem& p) {
    double least = std::numeric_limits<double>::infinity();
    for (const PipelineOrder& orders : slot_orders(p)) {
      least = std::min(least, relaxed_total_s(p, orders));
    }
    EXPECT_DOUBLE_EQ(simulate(p).total_s, least);
  });
}

TEST(ScheduleProperty, WorkIsConservedAndTheCriticalPathAddsUp) {
  for_many(3, [](Random&, const PipelineProblem& p) {
    const PipelineResult r = simulate(p);
    ASSERT_EQ(r.busy_s.size(), static_cast<std::size_t>(p.ranks));
    ASSERT_EQ(r.slots.size(), static_cast<std::size_t>(p.ranks));
    EXPECT_GE(r.total_s, *std::ranges::max_element(r.busy_s) * (1 - 1e-12));
    EXPECT_GE(r.mean_bubble_s(), -1e-9 * r.total_s);
    EXPECT_NEAR(critical_s(p, r), r.total_s, 1e-9 * r.total_s);
    if (p.ranks == 1) {
      EXPECT_EQ(r.critical_sends, 0);
    }

    // The same slots in whichever order was taken.
    const PipelineOrder order = slot_orders(p).front();
    std::vector<double> work(order.size());
    for (std::size_t rank = 0; rank < work.size(); ++rank) {
      for (const Task& t : order[rank]) {
        work[rank] += slot_s(p, t.slot, t.forward_chunk, t.backward_chunk);
      }
      EXPECT_NEAR(r.busy_s[rank], work[rank], 1e-9 * work[rank]);
      std::int64_t done = 0;  // of forwards and backwards
      for (const Slot slot : {Slot::forward, Slot::backward, Slot::backward_input}) {
        done += r.slots_of(static_cast<std::int64_t>(rank), slot);
      }
      done += 2 * r.slots_of(static_cast<std::int64_t>(rank), Slot::overlapped);
      EXPECT_EQ(done, 2 * p.microbatches * (p.schedule == "dualpipe" ? 1 : p.chunks_per_rank));
    }
    if (p.schedule == "dualpipe") return;
    double sum = 0, expected = 0;
    for (const double busy : r.busy_s) sum += busy;
    for (const ChunkTimes& c : p.chunks) {
      expected +=
          static_cast<double>(p.microbatches) * (c.forward_s + c.backward_input_s + c.weight_s);
    }
    EXPECT_NEAR(sum, expected, 1e-9 * expected);
  });
}

// No tolerance: sums and maxima of doubles are monotone too.
TEST(ScheduleProperty, NothingSlowerMakesTheStepShorter) {
  for_many(4, [](Random& random, const PipelineProblem& p) {
    const double before = simulate(p).total_s;
    const auto stage =
        static_cast<std::size_t>(random.whole(0, static_cast<std::int64_t>(p.chunks.size()) - 1));
    const double more = 0.01 + random.time();
    PipelineProblem slower = p;
    slower.chunks[stage].forward_s += more;
    EXPECT_GE(simulate(slower).total_s, before);
    slower = p;
    slower.chunks[stage].backward_input_s += more;
    EXPECT_GE(simulate(slower).total_s, before);
    slower = p;
    slower.chunks[stage].weight_s += more;
    EXPECT_GE(simulate(slower).total_s, before);
    slower = p;
    slower.send_s += more;
    EXPECT_GE(simulate(slower).total_s, before);
    if (p.schedule != "dualpipe") return;
    slower = p;
    slower.overlapped_s[stage] += more;
    EXPECT_GE(simulate(slower).total_s, before);
  });
}

TEST(ScheduleProperty, ZeroBubbleIsNeverSlowerThanOneForwardOneBackward) {
  for_many(5, [](Random&, const PipelineProblem& drawn) {
    if (drawn.schedule != "zb") return;
    PipelineProblem p = drawn;
    const double zero_bubble = simulate(p).total_s;
    p.schedule = "1f1b";
    EXPECT_LE(zero_bubble, simulate(p).total_s * (1 + 1e-12));
  });
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
  const P plain = even("1f1b", 4, 8);
  refused(plain, [](P& p) { p.schedule = "gpipe"; });
  refused(plain, [](P& p) { p.ranks = 0; });
  refused(plain, [](P& p) { p.ranks = -4; });
  refused(plain, [](P& p) { p.ranks = 5; });
  refused(plain, [](P& p) { p.microbatches = 0; });
  refused(plain, [](P& p) { p.microbatches = std::numeric_limits<std::int64_t>::max(); });
  refused(plain, [](P& p) { p.chunks_per_rank = 2; });
  refused(plain, [](P& p) { p.chunks.clear(); });
  refused(plain, [](P& p) { p.chunks.emplace_back(); });
  refused(plain, [](P& p) { p.overlapped_s = {1, 1, 1, 1}; });

  const P interleaved = even("interleaved", 4, 8);
  refused(interleaved, [](P& p) { p.chunks_per_rank = 0; });
  refused(interleaved, [](P& p) { p.chunks_per_rank = std::int64_t{1} << 62; });
  refused(interleaved, [](P& p) { p.chunks.pop_back(); });

  const P dualpipe = even("dualpipe", 4, 8);
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
  const PipelineProblem good = even("dualpipe", 2, 4);
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
