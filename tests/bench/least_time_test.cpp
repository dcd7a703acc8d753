// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The least time to sample: by more runs a sample, or the loop says that it wasn't.
#include "bench/measure.hpp"

#include "measured.hpp"
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

// A least time to sample holds, whatever a run takes.
TEST(Measure, TheMostSamplesSpanTheLeastTime) {
  FakeTime time;
  FakeOperation operation(time, [](std::int64_t) { return 5e-5; });
  Rules lasting;
  lasting.min_time_s = 5;
  const Measured measured = measure_one(time, operation, lasting);
  const Samples& samples = measured.of[0];
  EXPECT_GE(samples.runs_per_sample, 10);
  EXPECT_LE(samples.runs_per_sample, 26);
  EXPECT_LE(samples.time_s.size(), 10'000U);
  EXPECT_GE(static_cast<double>(samples.runs_per_sample) * sum(samples.time_s), 5 - 1e-9);
  EXPECT_FALSE(measured.brief);
  EXPECT_EQ(measure_one(time, operation, {}).of[0].runs_per_sample, 1) << "0.5 s of 0.2 s";

  FakeOperation other(time, [](std::int64_t) { return 2e-4; });
  const auto timer = make_cpu_timer(time.clock(kResolution), nullptr);
  std::array<Operation*, 2> pair = {&operation, &other};
  const Measured both = measure(pair, *timer, lasting, nullptr, never);
  EXPECT_FALSE(both.brief);
  EXPECT_LT(both.of[1].runs_per_sample, both.of[0].runs_per_sample);
}

// A timer that hides the launches of three runs, as a GPU's does of more.
class HidesThree : public TimerBy {
 public:
  explicit HidesThree(std::unique_ptr<Timer> inner) : TimerBy(*inner), owned_(std::move(inner)) {}
  [[nodiscard]] std::int64_t most_batched(const Operation& /*operation*/) const override {
    return 3;
  }

 private:
  std::unique_ptr<Timer> owned_;
};

TEST(Measure, SaysThatTheLeastTimeWasNotSampled) {
  FakeTime time;
  FakeOperation operation(time, [](std::int64_t) { return 5e-5; });
  Rules single;
  single.min_time_s = 5;
  single.batch_for_time = false;
  const Measured measured = measure_one(time, operation, single);
  EXPECT_EQ(measured.of[0].runs_per_sample, 1);
  EXPECT_EQ(measured.of[0].time_s.size(), 10'000U);
  EXPECT_EQ(measured.stopped, "sample_limit");
  EXPECT_TRUE(measured.brief);

  Rules lasting;
  lasting.min_time_s = 5;
  std::array<Operation*, 1> operations = {&operation};
  HidesThree three(make_cpu_timer(time.clock(kResolution), nullptr));
  const Measured at_most = measure(operations, three, lasting, nullptr, never);
  EXPECT_EQ(at_most.of[0].runs_per_sample, 3);
  EXPECT_TRUE(at_most.brief);
  FakeOperation short_one(time, [](std::int64_t) { return 1e-7; });
  operations[0] = &short_one;
  EXPECT_GE(measure(operations, three, lasting, nullptr, never).of[0].runs_per_sample, 10)
      << "the clock needs them";

  const auto timer = make_cpu_timer(time.clock(kResolution), nullptr);
  operations[0] = &operation;
  const Around cold{.probe = nullptr, .before_run = [] {}};
  const Measured emptied = measure(operations, *timer, lasting, nullptr, never, cold);
  EXPECT_EQ(emptied.of[0].runs_per_sample, 1);
  EXPECT_TRUE(emptied.brief);
}

}  // namespace
}  // namespace trainmeter
