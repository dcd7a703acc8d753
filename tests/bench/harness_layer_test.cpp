// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A layer's checks, from its parts to the record and the exit code.
#include "bench/exit_code.hpp"
#include "kernels/machine.hpp"
#include "record/error.hpp"

#include "harness_fixture.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::ElementsAre;

Check right_layer() {
  return {.ok = true, .error = 0.05, .bound = 0.1, .how = "it"};
}

// Of these parts in order, and right as a whole.
Case layer_of(const std::string& backend, std::vector<Case> parts) {
  Case layer;
  layer.name = "layer_forward/fp32/" + backend + "/small/dense/rows:1";
  layer.operation = "layer_forward";
  layer.dtype = "fp32";
  layer.backend = backend;
  for (Case& part : parts) {
    layer.order.push_back(layer.parts.size());
    layer.parts.push_back({std::move(part)});
  }
  layer.check_whole = right_layer;
  return layer;
}

TEST_F(HarnessTest, ALayerThatIsWrongAsAWholeIsNeverTimed) {
  Case layer = layer_of("composed", {fake_case("a"), fake_case("b")});
  layer.check_whole = [] { return Check{.error = 0.5, .bound = 0.1, .how = "a small layer"}; };
  EXPECT_EQ(run_job(job({layer})), kCheckFailed);
  EXPECT_EQ(made_, 0);
  const Record wrong = read_record(file_);
  ASSERT_EQ(wrong.lines.size(), 1U);
  EXPECT_FALSE(wrong.lines[0].measurement.usable());
  EXPECT_TRUE(wrong.lines[0].measurement.time_s.empty());
  EXPECT_EQ(wrong.lines[0].measurement.failure,
            "wrong result: error 0.5, allowed 0.1 (a small layer)");

  TearDown();
  on_run_ = [] { std::this_thread::sleep_for(std::chrono::microseconds(200)); };
  const std::vector<std::string> quick = {"--target=0", "--benchmark_min_time=0.002",
                                          "--benchmark_min_warmup_time=0.001"};
  layer.check_whole = right_layer;
  EXPECT_EQ(run_job(job({layer}, quick)), kFine);
  const Measurement right = read_record(file_).lines.back().measurement;
  EXPECT_TRUE(right.usable());
  EXPECT_EQ(right.check, "each part by itself, and it");
  EXPECT_EQ(right.error, 0.05);
  EXPECT_EQ(right.error_bound, 0.1);

  TearDown();
  layer.check_whole = []() -> Check { throw Unavailable("no attention here"); };
  EXPECT_EQ(run_job(job({layer}, quick)), kFine);
  const Measurement unchecked = read_record(file_).lines.back().measurement;
  EXPECT_EQ(unchecked.check, "each part by itself");
  EXPECT_EQ(unchecked.notes.at("whole_unchecked"), "no attention here");
}

// In its own row, before those of its parts: a record of parts alone would say nothing of it.
TEST_F(HarnessTest, ALayerWithAWrongPartIsWrongItself) {
  const Case a = fake_case("a");
  const Case b = fake_case("b", {.ok = false, .error = 3, .bound = 1, .how = "fake"});
  const auto expect_wrong = [&](const std::string& layer) {
    const Record record = read_record(file_);
    ASSERT_EQ(recorded().front(), layer);
    const Measurement& row = record.lines.front().measurement;
    EXPECT_FALSE(row.verified);
    EXPECT_EQ(row.error, 3);
    EXPECT_EQ(row.error_bound, 1);
    EXPECT_EQ(row.failure,
              record.lines.back().measurement.name + ": wrong result: error 3, allowed 1 (fake)");
    EXPECT_TRUE(row.time_s.empty());
    TearDown();
  };
  const Case wrong = layer_of("wrong", {a, b, a});
  EXPECT_EQ(run_job(job({wrong})), kCheckFailed);
  EXPECT_THAT(recorded(), ElementsAre(wrong.name, b.name));
  expect_wrong(wrong.name);

  // Of two ways to compose it, the right one has nothing to say.
  EXPECT_EQ(run_job(job({layer_of("right", {a}), wrong}, {"--versus=wrong"})), kCheckFailed);
  EXPECT_THAT(recorded(), ElementsAre(wrong.name, b.name));
  expect_wrong(wrong.name);

  if (cpu_info().cores < 2) return;  // none is left for a co-runner
  Case beside = wrong;
  beside.name += "/poller/co_sms:1";
  beside.overlap = Overlap{.beside = {.kind = CoRunnerKind::poller}};
  EXPECT_EQ(run_job(job({beside})), kCheckFailed);
  const std::string part = b.name + "/poller/co_sms:1";
  EXPECT_THAT(recorded(), ElementsAre(beside.name, part, part));  // with all cores, and the rest
  expect_wrong(beside.name);
}

}  // namespace
}  // namespace trainmeter
