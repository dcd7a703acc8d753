// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The measuring loop under a fake clock: how long it warms up, how much it samples, when it stops.
#include "bench/measure.hpp"

#include "bench/agreement.hpp"
#include "record/error.hpp"
#include "record/median_estimate.hpp"
#include "record/statistics.hpp"

#include "measured.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace trainmeter {
namespace {

Rules rules() {
  return {.warmup_s = 0.1, .max_warmup_s = 1, .min_time_s = 0.2, .min_samples = 10};
}

TEST(Measure, SamplesUntilBothTimeAndCountAreThere) {
  FakeTime time;
  FakeOperation fast(time, [](std::int64_t) { return 1e-3; });
  const Measured measured = measure_one(time, fast, rules());
  ASSERT_EQ(measured.of.size(), 1U);
  EXPECT_NEAR(static_cast<double>(measured.of[0].time_s.size()), 200, 1);  // 0.2 s of 1 ms
  EXPECT_GE(sum(measured.of[0].time_s), 0.2 - 1e-9);
  EXPECT_EQ(measured.of[0].runs_per_sample, 1);
  EXPECT_TRUE(measured.settled);
  EXPECT_FALSE(measured.interrupted);

  FakeOperation slow(time, [](std::int64_t) { return 0.5; });
  EXPECT_EQ(measure_one(time, slow, rules()).of[0].time_s.size(), 10U);  // 5 s: the count decides
}

TEST(Measure, ZeroLeastTimeTakesTheLeastSamples) {
  FakeTime time;
  FakeOperation operation(time, [](std::int64_t) { return 1e-3; });
  Rules brief = rules();
  brief.min_time_s = 0;
  EXPECT_EQ(measure_one(time, operation, brief).of[0].time_s.size(), 10U);
}

TEST(Measure, StopsAtMostSamples) {
  FakeTime time;
  FakeOperation operation(time, [](std::int64_t) { return 1e-4; });
  Rules few = rules();
  few.max_samples = 37;
  few.batch_for_time = false;
  EXPECT_EQ(measure_one(time, operation, few).of[0].time_s.size(), 37U);
}

TEST(Measure, WarmsUpForItsLeastTimeAndKeepsNoneOfIt) {
  FakeTime time;
  constexpr std::int64_t kSlowRuns = 15;  // 75 ms of 5 ms, then 1 ms
  FakeOperation operation(time, [](std::int64_t run) { return run < kSlowRuns ? 5e-3 : 1e-3; });
  const Measured measured = measure_one(time, operation, rules());
  EXPECT_GE(time.now_s - sum(measured.of[0].time_s), 0.1);
  EXPECT_NEAR(quantile(measured.of[0].time_s, 1), 1e-3, 1e-9);
  EXPECT_NEAR(quantile(measured.of[0].time_s, 0), 1e-3, 1e-9);
}

TEST(Measure, WarmsUpLongerWhileTheTimesDrift) {
  FakeTime time;  // each run 6 % faster than the one before, down to 1 ms
  const auto drifting = [](std::int64_t run) {
    return std::max(1e-3, 50e-3 * std::pow(0.94, static_cast<double>(run)));
  };
  FakeOperation operation(time, drifting);
  const Measured measured = measure_one(time, operation, rules());
  EXPECT_GT(time.now_s - sum(measured.of[0].time_s), 0.3);
  EXPECT_TRUE(measured.settled);
}

TEST(Measure, GivesUpWarmingUpWhatNeverSettlesAndSaysSo) {
  FakeTime time;
  FakeOperation wild(time, [](std::int64_t run) { return 0.03 * (run % 2 == 0 ? 1 : 2); });
  const Measured measured = measure_one(time, wild, rules());
  EXPECT_FALSE(measured.settled);
  const double warmup_s = time.now_s - sum(measured.of[0].time_s);
  EXPECT_GE(warmup_s, 1.0);
  EXPECT_LT(warmup_s, 1.2);
}

TEST(Measure, BatchesRunsThatTheClockCannotResolve) {
  FakeTime time;
  FakeOperation operation(time, [](std::int64_t) { return 2e-8; });
  Rules by_clock = rules();
  by_clock.batch_for_time = false;
  const Measured measured = measure_one(time, operation, by_clock);
  EXPECT_GE(measured.of[0].runs_per_sample, 50);  // 1 us / 20 ns
  EXPECT_LE(measured.of[0].runs_per_sample, 110);
  EXPECT_NEAR(median(measured.of[0].time_s), 2e-8, 1e-11);
  EXPECT_LE(measured.of[0].time_s.size(), 10'000U);
}

TEST(Measure, BatchIsBoundedWhereTheClockStandsStill) {
  FakeTime time;
  FakeOperation operation(time, [](std::int64_t run) { return run > 150'000 ? 1e-3 : 0.0; });
  Rules brief = rules();
  brief.min_samples = 1;
  EXPECT_EQ(measure_one(time, operation, brief).of[0].runs_per_sample, 100'000);
}

TEST(Measure, RotatesOverAllOperandSets) {
  FakeTime time;
  FakeOperation operation(
      time, [](std::int64_t) { return 1e-3; }, 3);
  (void)measure_one(time, operation, rules());
  ASSERT_GT(operation.ran.size(), 100U);
  for (std::size_t i = 0; i < operation.ran.size(); ++i) {
    ASSERT_EQ(operation.ran[i], static_cast<int>(i % 3));
  }
}

// Sets that follow each other in memory would be one stream for a prefetcher.
TEST(Rotation, VisitsEverySetOnceARoundAndNeighboursFarApart) {
  FakeTime time;
  for (const int sets : {1, 2, 3, 4, 5, 6, 8, 10, 30, 1000, 1024, 99991, 262144}) {
    FakeOperation operation(
        time, [](std::int64_t) { return 0.0; }, sets);
    Rotation rotation(operation);
    for (int round = 0; round < 2; ++round) {
      operation.ran.clear();
      for (int run = 0; run < sets; ++run) rotation.run();
      std::vector<int> visits(static_cast<std::size_t>(sets));
      for (const int set : operation.ran) ++visits.at(static_cast<std::size_t>(set));
      ASSERT_EQ(std::count(visits.begin(), visits.end(), 1), sets);
      for (std::size_t i = 1; sets >= 8 && i < operation.ran.size(); ++i) {
        ASSERT_GT(std::abs(operation.ran[i] - operation.ran[i - 1]), 1) << sets;
      }
    }
  }
}

TEST(Measure, StopsPromptlyWhenToldTo) {
  FakeTime time;
  FakeOperation operation(time, [](std::int64_t) { return 1e-3; });
  Rules lasting = rules();
  lasting.min_time_s = 1000;
  const Measured measured =
      measure_one(time, operation, lasting, [&] { return time.now_s >= 0.5; });
  EXPECT_TRUE(measured.interrupted);
  EXPECT_LT(time.now_s, 0.5 + 2 * lasting.round_s);
}

TEST(Measure, AlternatesTwoOperationsSampleBySample) {
  FakeTime time;
  std::vector<char> order;
  FakeOperation a(time, [](std::int64_t) { return 1e-3; });
  FakeOperation b(time, [](std::int64_t) { return 3e-3; });
  a.on_run = [&] { order.push_back('a'); };
  b.on_run = [&] { order.push_back('b'); };
  const auto timer = make_cpu_timer(time.clock(kResolution), nullptr);
  std::array<Operation*, 2> operations = {&a, &b};
  const Measured measured = measure(operations, *timer, rules(), nullptr, never);
  ASSERT_EQ(measured.of.size(), 2U);
  EXPECT_EQ(measured.of[0].time_s.size(), measured.of[1].time_s.size());
  EXPECT_GE(sum(measured.of[0].time_s), 0.2 - 1e-9);  // the faster one has enough too
  EXPECT_NEAR(median(measured.of[1].time_s), 3e-3, 1e-9);
  for (std::size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], i % 2 == 0 ? 'a' : 'b') << i;
}

// Rank 1 of 2, as it would see rank 0's decisions: it follows them whatever its own times say.
class FollowingWorld : public World {
 public:
  [[nodiscard]] int ranks() const override { return 2; }
  [[nodiscard]] int rank() const override { return 1; }
  [[nodiscard]] std::string how() const override { return "fake"; }
  void barrier() override { ++barriers; }
  std::int64_t decide(std::int64_t value) override { return decision ? decision(value) : value; }
  std::vector<double> each(double value) override { return {2e-3, value}; }
  bool all(bool value) override { return value && !other_stops; }
  [[nodiscard]] std::vector<std::string> backends() const override { return {"fake"}; }
  std::vector<std::string> gather(const std::string& mine) override { return {mine, mine}; }
  std::int64_t total(std::int64_t value) override { return 2 * value; }
  [[nodiscard]] const RankGroup& group() const override { return group_; }
  [[nodiscard]] const std::vector<std::string>& hosts() const override { return hosts_; }
  std::unique_ptr<Operation> collective(std::string_view, const CollectiveProblem&,
                                        const OperandOptions&) override {
    return nullptr;
  }

  std::int64_t barriers = 0;
  bool other_stops = false;
  std::function<std::int64_t(std::int64_t)> decision;

 private:
  RankGroup group_{.members = {0, 1}, .me = 1, .groups = 1};
  std::vector<std::string> hosts_{"a", "b"};
};

TEST(Measure, ASampleIsTheSlowestRanksTimeBehindABarrier) {
  FakeTime time;
  FakeOperation operation(time, [](std::int64_t) { return 1e-3; });
  FollowingWorld world;
  const auto timer = make_cpu_timer(time.clock(kResolution), &world);
  std::array<Operation*, 1> operations = {&operation};
  const Measured measured = measure(operations, *timer, rules(), &world, never);
  EXPECT_DOUBLE_EQ(median(measured.of[0].time_s), 2e-3);
  EXPECT_EQ(world.barriers, static_cast<std::int64_t>(operation.ran.size()));
  const auto samples = static_cast<std::int64_t>(measured.of[0].time_s.size());
  EXPECT_EQ(measured.of[0].slowest, (std::map<int, std::int64_t>{{0, samples}}));
}

TEST(Measure, TakesAsManyRunsAsItIsTold) {
  FakeTime time;
  FakeOperation operation(time, [](std::int64_t) { return 1e-3; });
  Rules exact = rules();
  exact.warmup_samples = 3;
  exact.min_samples = exact.max_samples = 7;
  exact.min_time_s = 0;
  const Measured measured = measure_one(time, operation, exact);
  EXPECT_EQ(measured.of[0].time_s.size(), 7U);
  EXPECT_EQ(operation.ran.size(), 1U + 3 + 7);  // the first one tells how long a run takes
}

// Rank 0's list lacks "b".
class OtherHasLess : public FollowingWorld {
 public:
  std::vector<std::string> gather(const std::string& mine) override { return {"\na\nbb\n", mine}; }
};

TEST(KeepCommon, LeavesOutWhatAnotherRankHasNoRoomFor) {
  CaseList list;
  for (const char* name : {"a", "b", "bb"}) list.cases.emplace_back().name = name;
  OtherHasLess world;
  keep_common(world, list, "rank");
  ASSERT_EQ(list.cases.size(), 2U);
  EXPECT_EQ(list.cases[0].name, "a");
  EXPECT_EQ(list.cases[1].name, "bb");
  EXPECT_EQ(list.left_out, (std::vector<std::string>{"b: not on every rank"}));
}

// Barriers between processes that share a core take far longer than what is measured between them.
class SlowBarriers : public FollowingWorld {
 public:
  explicit SlowBarriers(FakeTime& time) : time_(time) {}
  void barrier() override { time_.now_s += 0.01; }
  std::vector<double> each(double value) override { return {value, value}; }

 private:
  FakeTime& time_;
};

TEST(Measure, TimeAroundTheSamplesIsBoundedToo) {
  FakeTime time;
  FakeOperation operation(time, [](std::int64_t) { return 1e-5; });
  SlowBarriers world(time);
  const auto timer = make_cpu_timer(time.clock(kResolution), &world);
  std::array<Operation*, 1> operations = {&operation};
  const Measured measured = measure(operations, *timer, rules(), &world, never);
  EXPECT_NEAR(static_cast<double>(measured.of[0].time_s.size()), 100, 5);  // 5 x 0.2 s of 10 ms
  EXPECT_LT(time.now_s, 1.5);
}

TEST(Measure, CountsAreRankZerosAndAnyRankCanStopAll) {
  FakeTime time;
  FakeOperation operation(time, [](std::int64_t) { return 1e-3; });
  FollowingWorld world;
  // What rank 0 sent: batch 1; 3 samples of warm-up, enough; still batch 1; 4 samples, 4 samples,
  // no more.
  std::vector<std::int64_t> sent = {1, 3, 1, 1, 4, 4, 0};
  std::size_t next = 0;
  world.decision = [&](std::int64_t) { return sent.at(next++); };
  const auto timer = make_cpu_timer(time.clock(kResolution), &world);
  std::array<Operation*, 1> operations = {&operation};
  EXPECT_EQ(measure(operations, *timer, rules(), &world, never).of[0].time_s.size(), 8U);
  EXPECT_EQ(next, sent.size());

  world.other_stops = true;
  world.decision = nullptr;
  EXPECT_TRUE(measure(operations, *timer, rules(), &world, never).interrupted);
}

// What run number i takes: 1 ms, give or take `sigma` of it.
std::function<double(std::int64_t)> noisy(double sigma, std::uint64_t seed = 1) {
  return [random = std::mt19937_64(seed), normal = std::normal_distribution<double>(1, sigma)](
             std::int64_t) mutable { return 1e-3 * normal(random); };
}

Rules with_target(double target) {
  Rules given = rules();
  given.target = target;
  return given;
}

TEST(Measure, GoesOnUntilTheIntervalIsNarrow) {
  FakeTime time;
  FakeOperation quiet(time, noisy(0.005));
  const Measured few = measure_one(time, quiet, with_target(0.01));
  EXPECT_EQ(few.stopped, "converged");
  FakeOperation loud(time, noisy(0.08));
  const Measured many = measure_one(time, loud, with_target(0.01));
  EXPECT_EQ(many.stopped, "converged");
  EXPECT_LT(estimate_median(many.of[0].time_s).half_width(), 0.01);
  EXPECT_GT(many.of[0].time_s.size(), few.of[0].time_s.size());
}

TEST(Measure, SaysThatItCouldNotGetThere) {
  FakeTime time;
  FakeOperation hopeless(time, noisy(0.3));
  Rules late = with_target(0.001);
  late.max_time_s = 0.5;
  EXPECT_EQ(measure_one(time, hopeless, late).stopped, "time_limit");
  Rules full = with_target(0.001);
  full.max_samples = 300;
  const Measured measured = measure_one(time, hopeless, full);
  EXPECT_EQ(measured.stopped, "sample_limit");
  EXPECT_EQ(measured.of[0].time_s.size(), 300U);
  EXPECT_EQ(measure_one(time, hopeless, rules()).stopped, "enough");  // no target
}

TEST(Measure, ADriftNeverConverges) {
  FakeTime time;
  FakeOperation slower(
      time, [](std::int64_t run) { return 1e-3 * (1 + 1e-4 * static_cast<double>(run)); });
  const Measured measured = measure_one(time, slower, with_target(0.01));
  EXPECT_EQ(measured.stopped, "time_limit");
  EXPECT_FALSE(estimate_median(measured.of[0].time_s).interval);
}

TEST(Measure, APairHasThirtyAtLeastAndANarrowRatio) {
  FakeTime time;
  FakeOperation a(time, noisy(0.02, 1));
  FakeOperation b(time, noisy(0.02, 2));
  const auto timer = make_cpu_timer(time.clock(kResolution), nullptr);
  std::array<Operation*, 2> operations = {&a, &b};
  Rules given = rules();
  given.min_time_s = 0;
  EXPECT_EQ(measure(operations, *timer, given, nullptr, never).of[0].time_s.size(), 30U);
  given.target = 0.01;
  const Measured measured = measure(operations, *timer, given, nullptr, never);
  EXPECT_EQ(measured.stopped, "converged");
  EXPECT_LT(estimate_ratio(measured.of[0].time_s, measured.of[1].time_s).half_width(), 0.01);
}

TEST(Measure, LooksAtTheMachineBetweenRounds) {
  FakeTime time;
  FakeOperation operation(time, noisy(0.01));
  const auto timer = make_cpu_timer(time.clock(kResolution), nullptr);
  std::array<Operation*, 1> operations = {&operation};
  int probes = 0;
  const Around around{.probe =
                          [&] {
                            ++probes;
                            return Probe{.before = 0, .compute_s = 1e-4, .copy_s = 2e-4};
                          },
                      .before_run = nullptr};
  const Measured measured = measure(operations, *timer, rules(), nullptr, never, around);
  ASSERT_EQ(measured.probes.size(), measured.rounds.size() + 1);
  EXPECT_EQ(static_cast<int>(measured.probes.size()), probes);
  for (std::size_t i = 0; i < measured.rounds.size(); ++i) {
    EXPECT_EQ(measured.probes[i].before, measured.rounds[i].first);
    EXPECT_EQ(measured.probes[i + 1].before, measured.rounds[i].end);
    EXPECT_LT(measured.rounds[i].start_s, measured.rounds[i].end_s);
  }
  EXPECT_EQ(measured.probes.back().before, static_cast<std::int64_t>(measured.of[0].time_s.size()));
}

TEST(Measure, EmptiesCachesBeforeEveryRunAndTimesNoneOfThat) {
  FakeTime time;
  FakeOperation operation(time, [](std::int64_t) { return 1e-3; });
  const auto timer = make_cpu_timer(time.clock(kResolution), nullptr);
  std::array<Operation*, 1> operations = {&operation};
  std::size_t emptied = 0;
  const Around around{.probe = nullptr, .before_run = [&] {
                        ++emptied;
                        time.now_s += 5e-3;
                      }};
  const Measured measured = measure(operations, *timer, rules(), nullptr, never, around);
  EXPECT_EQ(emptied, operation.ran.size());
  EXPECT_NEAR(median(measured.of[0].time_s), 1e-3, 1e-12);
  EXPECT_EQ(measured.of[0].runs_per_sample, 1);
  // Several short ones would have to be timed together, the later ones warm.
  FakeOperation too_short(time, [](std::int64_t) { return 1e-7; });
  operations[0] = &too_short;
  EXPECT_THROW((void)measure(operations, *timer, rules(), nullptr, never, around), Unavailable);
}

TEST(Measure, AClockThatStepsBackEndsTheProgramAndNotTheRecord) {
  FakeTime time;
  FakeOperation operation(time, [](std::int64_t run) { return run == 150 ? -5e-3 : 1e-3; });
  EXPECT_THROW((void)measure_one(time, operation, with_target(1e-6)), EnvironmentFailed);
}

TEST(SteadyClock, KnowsItsResolution) {
  const Clock clock = steady_clock();
  EXPECT_GT(clock.resolution_s, 0);
  EXPECT_LT(clock.resolution_s, 1e-3);
  const double before_s = clock.now_s();
  EXPECT_LE(before_s, clock.now_s());
}

}  // namespace
}  // namespace trainmeter
