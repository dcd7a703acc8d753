// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What must hold for any pipeline, over random ones.
#include "schedule_problems.hpp"
#include <gtest/gtest.h>

#include <algorithm>
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
    const auto schedule = static_cast<Schedule>(whole(0, 3));
    const bool dualpipe = schedule == Schedule::dualpipe;
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
    SCOPED_TRACE(testing::Message() << "case " << i << ": " << to_string(p.schedule) << ", "
                                    << p.ranks << " ranks, " << p.microbatches << " micro-batches, "
                                    << p.chunks_per_rank << " chunks per rank");
    test(random, p);
    if (testing::Test::HasFailure()) return;
  }
}

std::int64_t rank_of(const PipelineProblem& p, std::int64_t chunk, std::int64_t microbatch) {
  const bool upwards = p.schedule == Schedule::dualpipe && microbatch >= p.microbatches / 2;
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
      EXPECT_EQ(done,
                2 * p.microbatches * (p.schedule == Schedule::dualpipe ? 1 : p.chunks_per_rank));
    }
    if (p.schedule == Schedule::dualpipe) return;
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
    if (p.schedule != Schedule::dualpipe) return;
    slower = p;
    slower.overlapped_s[stage] += more;
    EXPECT_GE(simulate(slower).total_s, before);
  });
}

TEST(ScheduleProperty, ZeroBubbleIsNeverSlowerThanOneForwardOneBackward) {
  for_many(5, [](Random&, const PipelineProblem& drawn) {
    if (drawn.schedule != Schedule::zb) return;
    PipelineProblem p = drawn;
    const double zero_bubble = simulate(p).total_s;
    p.schedule = Schedule::one_f_one_b;
    EXPECT_LE(zero_bubble, simulate(p).total_s * (1 + 1e-12));
  });
}
