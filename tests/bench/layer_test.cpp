// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which layers layer_bench composes, how it takes turns, and what its rows say together.
#include "bench/case_lists.hpp"
#include "bench/layer_in_turn.hpp"
#include "bench/layer_measure.hpp"
#include "bench/layer_rows.hpp"
#include "bench/layer_ways.hpp"
#include "bench/plans.hpp"
#include "kernels/step_kernel.hpp"
#include "record/error.hpp"
#include "workload/run.hpp"

#include "fakes.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

using namespace trainmeter;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

namespace {

CaseList cases_for(std::vector<std::string> words, std::int64_t memory = std::int64_t{1} << 40) {
  words.insert(words.begin(), "layer_bench");
  Target target;
  target.kind = DeviceKind::cpu;
  target.device.sms = 8;
  target.rotate_bytes = std::int64_t{100} << 20;
  target.memory_available_bytes = memory;
  return layer_cases(read_options(Program::layer, words), target);
}

std::string mistake(const std::vector<std::string>& words) {
  try {
    cases_for(words);
  } catch (const BadInput& error) {
    return error.what();
  }
  return "";
}

std::vector<std::string> in_order(const Case& layer) {
  std::vector<std::string> out;
  for (const std::size_t part : layer.order) out.push_back(layer.parts[part].front().operation);
  return out;
}

// All parts known by what one of them takes.
struct FakeLayer {
  FakeTime time;
  FakeOperation first{time, [](std::int64_t) { return 1e-3; }, 2};
  FakeOperation second{time, [](std::int64_t) { return 5e-3; }, 3};
  std::vector<Operation*> parts = {&first, &second};
  std::vector<std::size_t> order = {0, 1, 0};

  LayerSamples measured(const Rules& rules, const std::function<bool()>& stop = never) {
    const auto timer = make_cpu_sequence_timer(time.clock(1e-9));
    return measure_layer(parts, order, *timer, rules, stop);
  }
};

}  // namespace

TEST(LayerCases, ADenseBlockIsComposedOfWhatTheOtherProgramsMeasure) {
  const CaseList list = cases_for({"--models=llama-3-8b", "--tokens=64", "--dtype=fp32"});
  ASSERT_EQ(list.cases.size(), 2U);
  const Case& forward = list.cases[0];
  EXPECT_EQ(forward.name, "layer_forward/fp32/composed/llama-3-8b/dense/rows:64");
  EXPECT_THAT(in_order(forward),
              ElementsAre("rmsnorm", "gemm", "rope", "attention_forward", "gemm", "residual_add",
                          "rmsnorm", "gemm", "swiglu", "gemm", "residual_add"));
  EXPECT_THAT(forward.parts, SizeIs(9));  // both norms are one operation, as are both sums
  EXPECT_EQ(forward.order[5], forward.order[10]);
  EXPECT_FALSE(forward.notes.contains("left_out"));
  std::set<std::string> alone;
  for (const Case& c : gemm_cases(read_options(Program::gemm, {"gemm_bench", "--models=llama-3-8b",
                                                               "--tokens=64", "--dtype=fp32"}),
                                  {.memory_available_bytes = std::int64_t{1} << 40})
                           .cases) {
    alone.insert(c.name);
  }
  double flops = 0;
  for (const std::size_t part : forward.order) {
    const Case& one = forward.parts[part].front();
    flops += one.flops;
    EXPECT_TRUE(one.operation != "gemm" || alone.contains(one.name)) << one.name;
  }
  EXPECT_DOUBLE_EQ(forward.flops, flops);
  EXPECT_EQ(list.cases[1].operation, "layer_backward");
}

TEST(LayerCases, ACoRunnerMovesWhatTheLayersExpertsExchange) {
  const CaseList list = cases_for({"--models=deepseek-v3,llama-3-8b", "--tokens=64", "--dtype=bf16",
                                   "--pass=forward", "--co_sms=1"});
  ASSERT_THAT(list.cases, SizeIs(2));
  for (const Case& layer : list.cases) {
    EXPECT_TRUE(layer.name.ends_with("/memory_mover/co_sms:1")) << layer.name;
    EXPECT_EQ(layer.overlap->beside.sms, 1);
    for (const auto& ways : layer.parts) EXPECT_TRUE(ways.front().overlap->make_rest);
  }
  // To 4 nodes of 8, and there to 8 experts' GPUs of which 7 are others; in bf16, there and back,
  // read and written.
  EXPECT_DOUBLE_EQ(list.cases[0].overlap->bytes_a_run, 2. * 2 * 2 * 64 * 7168 * (4 + 8) * 7 / 8);
  EXPECT_EQ(list.cases[1].overlap->bytes_a_run, 0);
  EXPECT_THAT(list.cases[1].notes.at("co_moves"), HasSubstr("exchanges nothing"));
  const Case set =
      cases_for({"--models=deepseek-v3", "--tokens=64", "--dtype=bf16", "--co_sms=1", "--rate=5"})
          .cases.front();
  EXPECT_EQ(set.overlap->bytes_a_run, 0);
  EXPECT_EQ(set.overlap->beside.bytes_per_s, 5);
}

// A problem without them takes all SMs there are.
TEST(LayerCases, ProblemsThatCanBeAreToldOfTheSms) {
  EXPECT_EQ(on_sms(GemmProblem{.m = 1, .n = 1, .k = 1}, 112)->sms, 112);
  EXPECT_EQ(on_sms(GroupedGemmProblem{}, 112)->all.sms, 112);
  EXPECT_FALSE(on_sms(StepProblem{}, 112));
}

TEST(LayerCases, ABlockOfExpertsHasTheShareOfOneOf64) {
  const CaseList list =
      cases_for({"--models=deepseek-v3", "--tokens=64", "--dtype=bf16", "--pass=forward"});
  ASSERT_THAT(list.cases, SizeIs(1));
  const Case& layer = list.cases[0];
  EXPECT_THAT(layer.name, HasSubstr("deepseek-v3/moe/rows:64/experts:4"));
  EXPECT_EQ(layer.shape.at("experts"), 4);
  EXPECT_EQ(layer.notes.at("left_out"), "ep_dispatch ep_combine");
  // What comes to its experts: 8 copies of 64 tokens, in 4 products.
  const auto up = std::ranges::find_if(layer.parts, [](const auto& ways) {
    const Case& part = ways.front();
    return part.operation == "gemm" && part.shape.contains("groups") && part.shape.at("k") == 7168;
  });
  EXPECT_EQ(up->front().shape.at("m"), 128);
  EXPECT_EQ(up->front().shape.at("groups"), 4);
  EXPECT_THAT(cases_for({"--models=deepseek-v3", "--tokens=64", "--experts=8", "--pass=forward"})
                  .cases.front()
                  .name,
              HasSubstr("experts:8"));
}

TEST(LayerCases, APreferredLibraryComesFirst) {
  const CaseList list = cases_for({"--tokens=64", "--dtype=fp32", "--prefer=openblas,openmp"});
  for (const auto& ways : list.cases[0].parts) {
    const Case& part = ways.front();
    EXPECT_EQ(part.backend, part.operation == "gemm" ? "openblas" : "openmp") << part.name;
  }
}

TEST(LayerCases, SmallPartsHaveFewSetsAndLargeOnesOne) {
  const CaseList list = cases_for({"--models=llama-3-8b", "--tokens=64"});
  for (const auto& ways : list.cases[0].parts) {
    const Case& part = ways.front();
    const auto rotate = static_cast<double>(part.operands->rotate_bytes);
    EXPECT_LE(rotate, 100 << 20);
    EXPECT_GE(rotate, std::min(8 * part.memory_bytes, 100.0 * (1 << 20)) - 1) << part.name;
  }
}

TEST(LayerCases, WhatDoesntFitIsLeftOutWithItsReason) {
  const CaseList list = cases_for({"--models=llama-3-8b", "--dtype=fp32"}, 1 << 20);
  EXPECT_THAT(list.cases, IsEmpty());
  EXPECT_THAT(list.left_out, SizeIs(2));
  EXPECT_THAT(list.left_out, Each(HasSubstr("is free")));
  EXPECT_THAT(cases_for({"--dtype=fp8"}).left_out.front(), HasSubstr("qkv: "));
}

TEST(LayerCases, MistakesAreNamed) {
  EXPECT_THAT(mistake({"--models=deepseek-v3", "--experts=3"}),
              HasSubstr("expected a divisor of deepseek-v3's 256 experts"));
  EXPECT_THAT(mistake({"--pass=decode"}), HasSubstr("--pass: 'decode'"));
  EXPECT_THAT(mistake({"--dtype=int8"}), HasSubstr("expected one of bf16, fp32, fp8"));
  EXPECT_THAT(mistake({"--prefer=abacus"}), HasSubstr("--prefer=abacus: expected one of"));
  EXPECT_THAT(mistake({"--prefer=openblas,abacus"}), HasSubstr("openmp"));
  EXPECT_THAT(mistake({"--cache=cold"}), HasSubstr("--cache"));
  EXPECT_THAT(mistake({"--versus=abacus"}), HasSubstr("--versus=abacus: expected one of"));
  EXPECT_THAT(mistake({"--versus=composed"}), HasSubstr("--versus=composed: expected one of"));
}

TEST(LayerCases, VersusPutsABackendInTheGemmsPlaceAndNowhereElse) {
  const std::vector<std::string> words = {"layer_bench",    "--models=gpt2-124m,llama-3-8b",
                                          "--tokens=64",    "--dtype=fp32",
                                          "--pass=forward", "--prefer=openblas",
                                          "--versus=onednn"};
  const CaseList list = cases_for({words.begin() + 1, words.end()});
  ASSERT_THAT(list.cases, SizeIs(4));
  const std::vector<Plan> plans =
      make_plans(list.cases, read_options(Program::layer, words), std::int64_t{100} << 20);
  ASSERT_THAT(plans, SizeIs(2));  // and no model beside another one of as many tokens
  for (const Plan& plan : plans) {
    const Case& other = *plan.versus;
    EXPECT_EQ(other.backend, "onednn");
    EXPECT_NE(plan.main.name.find("/composed/"), std::string::npos);
    EXPECT_EQ(other.name.substr(other.name.find("/onednn/") + 8),
              plan.main.name.substr(plan.main.name.find("/composed/") + 10));
    EXPECT_EQ(other.order, plan.main.order);
    EXPECT_EQ(other.flops, plan.main.flops);
    double gemms = 0;
    for (std::size_t part = 0; part < other.parts.size(); ++part) {
      const Case& usual = plan.main.parts[part].front();
      for (const Case& way : other.parts[part]) {
        EXPECT_EQ(way.backend, usual.operation == "gemm" ? "onednn" : usual.backend) << way.name;
        EXPECT_EQ(way.shape, usual.shape);
      }
      if (usual.operation != "gemm") continue;
      EXPECT_EQ(usual.backend, "openblas");
      gemms += usual.memory_bytes + static_cast<double>(usual.operands->rotate_bytes);
    }
    // Both lie in memory at once.
    EXPECT_DOUBLE_EQ(other.memory_bytes, plan.main.memory_bytes + gemms);
  }
}

TEST(LayerCases, WhereNothingWouldDifferVersusSaysSo) {
  const auto unavailable = [](const std::vector<std::string>& words) -> std::string {
    try {
      cases_for(words);
    } catch (const Unavailable& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(unavailable({"--dtype=fp32", "--prefer=openblas", "--versus=openblas"}),
              HasSubstr("--versus=openblas: the GEMMs are by it already"));
  EXPECT_THAT(unavailable({"--dtype=fp32", "--versus=mma"}),
              HasSubstr("--versus=mma: no implementation for this device"));
  EXPECT_THAT(unavailable({"--dtype=bf16", "--versus=openblas"}),
              HasSubstr("--versus=openblas: OpenBLAS: multiplies fp32"));
  // One of two: the other one is said.
  const CaseList list =
      cases_for({"--dtype=fp32,bf16", "--prefer=onednn", "--versus=openblas", "--pass=forward"});
  EXPECT_THAT(list.left_out, testing::Contains(HasSubstr("layer_forward/bf16/openblas/gpt2")));
}

TEST(LayersInTurn, ARunIsTheLayerOnceThroughAndBothShareWhatIsTheSame) {
  FakeTime time;
  FakeOperation shared(
      time, [](std::int64_t) { return 1e-3; }, 3);
  FakeOperation fast(time, [](std::int64_t) { return 2e-3; });
  FakeOperation slow(time, [](std::int64_t) { return 4e-3; });
  Rotation of_shared(shared), of_fast(fast), of_slow(slow);
  WholeLayer one({&of_shared, &of_fast, &of_shared}), other({&of_shared, &of_slow, &of_shared});
  const auto inner = make_cpu_sequence_timer(time.clock(1e-9));
  WholeTimer timer(*inner, 1e-9);
  const std::vector<Operation*> both = {&one, &other};
  const Rules rules{.warmup_s = 0.05, .max_warmup_s = 0.1, .min_time_s = 0.05};
  const Measured measured = measure(both, timer, rules, nullptr, never);
  ASSERT_THAT(measured.of, SizeIs(2));
  EXPECT_GE(measured.of[0].time_s.size(), 30U);
  EXPECT_EQ(measured.of[0].time_s.size(), measured.of[1].time_s.size());
  EXPECT_THAT(measured.of[0].time_s, Each(testing::DoubleNear(4e-3, 1e-9)));
  EXPECT_THAT(measured.of[1].time_s, Each(testing::DoubleNear(6e-3, 1e-9)));
  EXPECT_EQ(shared.ran.size(), 2 * (fast.ran.size() + slow.ran.size()));
  EXPECT_EQ(std::set<int>(shared.ran.begin(), shared.ran.end()).size(), 3U);  // it rotates
  EXPECT_NEAR(static_cast<double>(fast.ran.size()), static_cast<double>(slow.ran.size()), 2);
}

TEST(MeasureLayer, TakesTheWholeItsPartsInPlaceAndTheSameAlone) {
  FakeLayer layer;
  const LayerSamples samples =
      layer.measured({.warmup_s = 0.02, .min_time_s = 0, .min_samples = 12, .target = 0});
  EXPECT_FALSE(samples.interrupted);
  EXPECT_TRUE(samples.settled);
  EXPECT_EQ(samples.stopped, "enough");
  EXPECT_THAT(samples.whole_s, SizeIs(12));
  EXPECT_THAT(samples.whole_s, Each(testing::DoubleNear(7e-3, 1e-9)));
  EXPECT_THAT(samples.laps_s, Each(testing::DoubleNear(7e-3, 1e-9)));
  EXPECT_THAT(samples.launched_s, IsEmpty());
  for (const auto* times : {&samples.in_place_s, &samples.alone_s}) {
    ASSERT_THAT(*times, SizeIs(2));
    EXPECT_THAT(times->at(0), SizeIs(12));
    EXPECT_THAT(times->at(0), Each(testing::DoubleNear(1e-3, 1e-9)));
    EXPECT_THAT(times->at(1), Each(testing::DoubleNear(5e-3, 1e-9)));
  }
  // All three kinds of runs go round the operand sets.
  for (const FakeOperation* part : {&layer.first, &layer.second}) {
    for (std::size_t i = 0; i + 1 < part->ran.size(); ++i) {
      EXPECT_NE(part->ran[i], part->ran[i + 1]);
    }
  }
}

TEST(MeasureLayer, TheLeastTimeIsSampledAlsoWhereThatIsLongerThanTheMost) {
  FakeLayer layer;
  Rules rules{.warmup_s = 0.02, .min_time_s = 2, .target = 0, .max_time_s = 0.5};
  const LayerSamples samples = layer.measured(rules);
  EXPECT_GE(std::accumulate(samples.whole_s.begin(), samples.whole_s.end(), 0.0), 2 - 1e-9);
  EXPECT_FALSE(samples.brief);
  rules.max_overhead = 1;  // all that is around the whole takes more
  EXPECT_TRUE(layer.measured(rules).brief);
}

TEST(MeasureLayer, WhatIsSlowerBetweenItsNeighboursShows) {
  FakeLayer layer;
  // The second one takes twice as long right after the first one.
  bool after_first = false;
  FakeOperation slow(layer.time, [&](std::int64_t) { return after_first ? 10e-3 : 5e-3; });
  slow.on_run = [&] { after_first = false; };
  layer.first.on_run = [&] { after_first = true; };
  layer.parts[1] = &slow;
  const LayerSamples samples = layer.measured({.min_time_s = 0, .min_samples = 10, .target = 0});
  EXPECT_THAT(samples.in_place_s[1], Each(testing::DoubleNear(10e-3, 1e-9)));
  EXPECT_THAT(samples.alone_s[1], Each(testing::DoubleNear(5e-3, 1e-9)));
  EXPECT_THAT(samples.whole_s, Each(testing::DoubleNear(12e-3, 1e-9)));
}

TEST(MeasureLayer, GoesOnToTheTargetOrTheLimit) {
  FakeLayer layer;
  FakeOperation noisy(layer.time, [](std::int64_t run) {
    return 1e-3 * (1 + 1e-3 * static_cast<double>(run * 7919 % 13));
  });
  layer.parts[0] = &noisy;
  EXPECT_EQ(layer.measured({.target = 0.01, .max_time_s = 100}).stopped, "converged");
  double drift = 0;
  FakeOperation drifting(layer.time, [&](std::int64_t) { return 1e-3 * (1 + (drift += 0.01)); });
  layer.parts[0] = &drifting;
  const LayerSamples late = layer.measured({.target = 0.01, .max_time_s = 1});
  EXPECT_EQ(late.stopped, "time_limit");
}

// An arm whose turn shows nothing is done again, and in every turn all arms come before `last`.
TEST(MeasureLayer, ArmsTakeTurnsAndAFailedTurnIsDoneAgain) {
  FakeLayer layer;
  std::string order;
  int tries = 0;
  const std::vector<LayerArm> arms = {
      {.parts = layer.parts, .begin = nullptr, .look = nullptr, .end = nullptr},
      {.parts = layer.parts,
       .begin = [&] { order += '('; },
       .look = [&](void*) { order += 'l'; },
       .end = [&] { return order += ')', ++tries % 3 != 0; }}};
  const auto timer = make_cpu_sequence_timer(layer.time.clock(1e-9));
  const Rules rules{.warmup_s = 0, .max_warmup_s = 0, .min_time_s = 0, .min_samples = 4};
  const std::vector<LayerSamples> taken =
      measure_layers(arms, layer.order, *timer, rules, never, {}, [&] { order += '.'; });
  ASSERT_THAT(taken, SizeIs(2));
  for (const LayerSamples& one : taken) {
    EXPECT_THAT(one.whole_s, SizeIs(taken.front().whole_s.size()));
    EXPECT_THAT(one.whole_s, Each(testing::DoubleNear(7e-3, 1e-9)));
    EXPECT_EQ(one.stopped, taken.front().stopped);
  }
  EXPECT_THAT(order, testing::StartsWith("(ll)(ll).(ll)(ll)."));  // warm-up, a turn, one again
}

// What was begun beside an arm ends with what the arm threw, and that is what is told.
TEST(MeasureLayer, AnArmThatThrowsIsEnded) {
  FakeLayer layer;
  FakeOperation failing(layer.time, [](std::int64_t run) -> double {
    if (run == 3) throw std::runtime_error("the operation's");
    return 1e-3;
  });
  layer.parts[0] = &failing;
  int going_on = 0;
  const std::vector<LayerArm> arms = {{.parts = layer.parts,
                                       .begin = [&] { ++going_on; },
                                       .look = nullptr,
                                       .end =
                                           [&] {
                                             --going_on;
                                             if (failing.ran.size() == 3)
                                               throw std::runtime_error("the end's");
                                             return true;
                                           }}};
  const auto timer = make_cpu_sequence_timer(layer.time.clock(1e-9));
  try {
    measure_layers(arms, layer.order, *timer, {}, never, {}, nullptr);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "the operation's");
  }
  EXPECT_EQ(going_on, 0);
}

TEST(MeasureLayer, AnArmThatNeverMovesAnythingIsAnError) {
  FakeLayer layer;
  const std::vector<LayerArm> arms = {
      {.parts = layer.parts, .begin = [] {}, .look = nullptr, .end = [] { return false; }}};
  const auto timer = make_cpu_sequence_timer(layer.time.clock(1e-9));
  EXPECT_THROW(measure_layers(arms, layer.order, *timer, {}, never, {}, nullptr),
               EnvironmentFailed);
}

TEST(MeasureLayer, StopsWhenAsked) {
  FakeLayer layer;
  int turns = 0;
  EXPECT_TRUE(layer.measured({}, [&] { return ++turns > 5; }).interrupted);
}

TEST(SequenceTimer, ALayersLaunchesAreItsStepsTogether) {
  class Queues final : public FakeOperation {
   public:
    Queues(FakeTime& time, int launches)
        : FakeOperation(time, [](std::int64_t) { return 1e-3; }), launches_(launches) {}
    [[nodiscard]] int launches() const override { return launches_; }

   private:
    int launches_;
  };
  FakeTime time;
  Queues norm(time, 1);
  Queues groups(time, 4 * 8);  // a call each
  Rotation a(norm);
  Rotation b(groups);
  const std::vector<Rotation*> steps = {&a, &b, &a};
  EXPECT_EQ(launches_of(steps), 34);
}

TEST(LayerRows, RatiosOfGemmsAndOfTheRest) {
  const auto row = [](const char* operation, double seconds, std::int64_t places) {
    Measurement out;
    out.operation = operation;
    out.name = std::string(operation) + "/fp32";
    out.time_s = {seconds};
    out.runs_per_sample = places;
    return out;
  };
  std::vector<Measurement> rows = {row("gemm", 2e-3, 1), row("gemm", 1e-3, 2),
                                   row("rmsnorm", 3e-3, 2), row("rmsnorm", 2e-3, 2),
                                   row("layer_forward", 4e-3, 1)};
  rows[0].sm_clock_hz = {1e9};
  note_ratios(rows);
  const auto& notes = rows.back().notes;
  EXPECT_EQ(notes.at("in_place_ratio"), "2.0000");
  EXPECT_EQ(notes.at("in_place_ratio_others"), "1.5000");
  EXPECT_EQ(notes.at("laps_vs_layer"), "2.0000");   // 2 + 2 x 3 over 4
  EXPECT_EQ(notes.at("alone_vs_layer"), "1.2500");  // 1 + 2 x 2 over 4
  EXPECT_EQ(notes.at("clock_in_layer_hz"), "1000000000");
  EXPECT_FALSE(notes.contains("clock_alone_hz"));
  const std::string table = layer_table(rows);
  EXPECT_LT(table.find("rmsnorm"), table.find("gemm"));  // 6 ms before 2 ms
  EXPECT_THAT(table, HasSubstr("1.500"));
}
