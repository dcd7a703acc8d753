// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The price of a step: bills made by hand against sums done by hand, and what must hold for any
// bill, any schedule and any factors.
#include "report/step_time.hpp"

#include "report/candidates.hpp"

#include "fixtures.hpp"
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

using namespace trainmeter;

namespace {

// Every rate as measured, every link nominal, nothing else costs anything.
FactorValues neutral() {
  FactorValues out;
  out.fill(1);
  for (const Factor f : {Factor::hop_latency_s, Factor::node_interference,
                         Factor::network_interference, Factor::tensor_interference,
                         Factor::experts_host_s, Factor::step_overhead_s, Factor::jitter}) {
    at(out, f) = 0;
  }
  return out;
}

FactorValues with(Factor factor, double value) {
  FactorValues out = neutral();
  at(out, factor) = value;
  return out;
}

SlotBill slot(double gemm, double attention = 0, double traffic = 0) {
  SlotBill out;
  out.work[Work::gemm] = gemm;
  out.work[Work::attention] = attention;
  out.work[Work::traffic] = traffic;
  return out;
}

// 4 micro-batches; every stage one dense layer of 2 + 3 + 1 seconds (2.0, 1.0 and 0.5 of them
// attention and traffic), and nothing else.
Bill hand_bill(std::int64_t pp = 1, Schedule schedule = Schedule::one_f_one_b) {
  Bill bill;
  bill.layout.gpus = bill.layout.pp = pp;
  bill.layout.microbatches = 4;
  bill.layout.schedule = schedule;
  bill.layout.overlap_pp = true;
  bill.layers[LayerKind::dense] = {
      .forward = slot(1, 0.75, 0.25), .backward_input = slot(1.5, 1.25, 0.25), .weight = slot(1)};
  StageContent one;
  one.dense = 1;
  bill.stages.assign(static_cast<std::size_t>(pp), one);
  return bill;
}

LayerBill& dense(Bill& bill) {
  return bill.layers.at(LayerKind::dense);
}

double total(const Bill& bill, const FactorValues& factors = neutral()) {
  return step_time(bill, factors).total_s;
}

double part(const StepTime& step, const std::string& name) {
  for (const auto& [key, seconds] : step.breakdown_s) {
    if (key == name) return seconds;
  }
  return 0;
}

double sum_of_parts(const StepTime& step) {
  double sum = 0;
  for (const auto& [key, seconds] : step.breakdown_s) sum += seconds;
  return sum;
}

CommBill over_node(double seconds, bool hidden) {
  return {.name = "c", .node_s = seconds, .hidden = hidden};
}

// Bills of any kind, and factors within their 90 % ranges.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  std::int64_t whole(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(engine_);
  }
  double real(double least, double most) {
    return std::uniform_real_distribution<double>(least, most)(engine_);
  }
  bool coin() { return whole(0, 1) == 1; }

  CommBill comm() {
    return {.name = "c",
            .node_s = coin() ? real(0, 0.3) : 0,
            .network_s = coin() ? real(0, 0.3) : 0,
            .hops = coin() ? real(0, 100) : 0,
            .fixed_s = coin() ? 30e-6 : 0,
            .channels = coin() ? 1 : 0.25,
            .hidden = coin(),
            .interference = coin() ? Factor::node_interference : Factor::tensor_interference};
  }

  SlotBill any_slot(bool moe) {
    SlotBill out;
    for (const Work w : kWorks) out.work[w] = real(0.02, 0.2);
    const std::int64_t comms = whole(0, 3);
    for (std::int64_t i = 0; i < comms; ++i) out.comm.push_back(comm());
    if (moe) out.host = 1;
    return out;
  }

  Bill bill() {
    Bill out;
    Layout& l = out.layout;
    l.schedule = static_cast<Schedule>(whole(0, 3));
    l.pp = l.schedule == Schedule::dualpipe ? 2 * whole(1, 3)
                                            : whole(l.schedule == Schedule::interleaved ? 2 : 1, 5);
    l.vpp = l.schedule == Schedule::interleaved ? whole(2, 3) : 1;
    l.gpus = l.pp * whole(1, 64);
    l.microbatches =
        l.schedule == Schedule::dualpipe ? 2 * whole(l.pp, l.pp + 4) : l.pp * whole(1, 4);
    l.recompute = coin() ? Recompute::full : Recompute::none;
    l.overlap_dp = coin();
    l.overlap_pp = coin();
    for (const LayerKind kind : {LayerKind::embedding, LayerKind::dense, LayerKind::moe,
                                 LayerKind::mtp, LayerKind::head}) {
      const bool moe = kind == LayerKind::moe;
      out.layers[kind] = {any_slot(moe), any_slot(moe), any_slot(false)};
      SlotBill& weight = out.layers[kind].weight;
      if (coin()) weight.at_other_passes[Work::gemm] = weight.work[Work::gemm];
    }
    for (std::int64_t v = 0; v < l.pp * l.vpp; ++v) {
      StageContent content;
      content.dense = whole(0, 2);
      content.moe = whole(1, 3);
      out.stages.push_back(content);
    }
    out.stages.front().embedding = true;
    out.stages.back().head = true;
    out.stages.back().mtp = whole(0, 1);
    out.gradients = comm();
    out.weights = comm();
    out.send = {.name = "send", .node_s = real(0, 0.02)};
    out.optimizer_s = real(0, 0.5);
    out.doublings = real(0, 8);
    out.gemm_high = {Factor::in_place_hopper, Factor::sustained_clock};
    out.gemm = out.gemm_high;
    if (coin()) out.gemm = {Factor::in_place_hopper_fp8, Factor::sustained_clock_fp8};
    out.stack.fused = coin();
    out.stack.attention_factor = coin() ? Factor::attention_fused : Factor::attention_flash2;
    out.stack.compute_sms = coin() ? 1 : 0.85;
    out.sms = communication_sms({}, "fp8", out.stack.compute_sms);
    if (out.stack.compute_sms < 1) out.sms.others.traffic = real(1, 1.2);
    return out;
  }

  FactorValues factors() {
    static const FactorTable kTable = read_factors(published_library().root() / "factors.json");
    FactorValues out{};
    for (std::size_t f = 0; f < kFactors; ++f) {
      const FactorPrior& p = kTable.priors[f];
      out[f] = p.low * std::pow(p.high / p.low, real(0, 1));
    }
    return out;
  }

 private:
  std::mt19937_64 engine_;
};

void for_many(int cases, const std::function<void(Random&, const Bill&)>& test) {
  Random random(1);
  for (int i = 0; i < cases; ++i) {
    const Bill bill = random.bill();
    SCOPED_TRACE(fmt::format("case {}: {}, pp {}, {} micro-batches, recompute {}, overlap_dp {}", i,
                             to_string(bill.layout.schedule), bill.layout.pp,
                             bill.layout.microbatches, to_string(bill.layout.recompute),
                             bill.layout.overlap_dp));
    test(random, bill);
    if (testing::Test::HasFailure()) return;
  }
}

// Whether more of a factor makes a step shorter.
bool speeds_up(Factor f) {
  switch (f) {
    case Factor::in_place_hopper:
    case Factor::in_place_hopper_fp8:
    case Factor::in_place_ampere:
    case Factor::in_place_other:
    case Factor::sustained_clock:
    case Factor::sustained_clock_fp8:
    case Factor::weight_pass:
    case Factor::grouped_gemm:
    case Factor::attention_fused:
    case Factor::attention_flash2:
    case Factor::node_links:
    case Factor::network_links:
      return true;
    default:
      return false;
  }
}

}  // namespace

TEST(StepTime, SlotsAddUp) {
  const Bill bill = hand_bill();
  const StepTime step = step_time(bill, neutral());
  EXPECT_NEAR(step.total_s, 4 * 6, 1e-12);
  EXPECT_NEAR(step.slot_s, 6, 1e-12);
  EXPECT_NEAR(part(step, "gemm"), 4 * 3.5, 1e-12);
  EXPECT_NEAR(part(step, "attention_core"), 4 * 2, 1e-12);
  EXPECT_NEAR(part(step, "memory_bound"), 4 * 0.5, 1e-12);
  EXPECT_EQ(step.breakdown_s.size(), 3U);
}

TEST(StepTime, EveryFactorActsOnItsOwnWork) {
  Bill bill = hand_bill();
  EXPECT_NEAR(total(bill, with(Factor::in_place_other, 0.5)), 4 * (6 + 3.5), 1e-12);
  EXPECT_NEAR(total(bill, with(Factor::in_place_hopper, 0.5)), 4 * 6, 1e-12);
  EXPECT_NEAR(total(bill, with(Factor::sustained_clock, 0.5)), 4 * 6, 1e-12);
  // A weight gradient's own rate has its pass in it; where another pass's stands in, it is slower.
  EXPECT_NEAR(total(bill, with(Factor::weight_pass, 0.5)), 4 * 6, 1e-12);
  dense(bill).weight.at_other_passes = dense(bill).weight.work;
  EXPECT_NEAR(total(bill, with(Factor::weight_pass, 0.5)), 4 * (6 + 1), 1e-12);
  dense(bill).weight.at_other_passes = {};
  EXPECT_NEAR(total(bill, with(Factor::attention_fused, 0.5)), 4 * (6 + 2), 1e-12);
  EXPECT_NEAR(total(bill, with(Factor::traffic_fused, 3)), 4 * (6 + 2 * 0.5), 1e-12);
  EXPECT_NEAR(total(bill, with(Factor::traffic_eager, 3)), 4 * 6, 1e-12);
  bill.stack.fused = false;
  EXPECT_NEAR(total(bill, with(Factor::traffic_eager, 3)), 4 * (6 + 2 * 0.5), 1e-12);
  EXPECT_NEAR(step_time(bill, neutral(), {.gemm = 0.5}).total_s, 4 * (6 + 3.5), 1e-12);
  EXPECT_NEAR(step_time(bill, neutral(), {.memory = 0.5}).total_s, 4 * (6 + 0.5), 1e-12);
  bill.sms = communication_sms({}, "bf16", 0.5);  // GEMMs and attention, not memory-bound kernels
  EXPECT_NEAR(total(bill), 4 * (6 + 5.5), 1e-12);
}

TEST(StepTime, GroupedAndHighPrecisionGemmsHaveTheirOwnFactors) {
  Bill bill = hand_bill();
  bill.gemm = {Factor::in_place_hopper_fp8, Factor::sustained_clock_fp8};
  bill.gemm_high = {Factor::in_place_hopper, Factor::sustained_clock};
  dense(bill).forward.work[Work::gemm_high] = 10;
  dense(bill).forward.work[Work::grouped] = 100;
  dense(bill).forward.work[Work::expert_traffic] = 1000;
  const double before = total(bill);
  EXPECT_NEAR(total(bill, with(Factor::in_place_hopper, 0.5)) - before, 4 * 10, 1e-9);
  EXPECT_NEAR(total(bill, with(Factor::in_place_hopper_fp8, 0.5)) - before, 4 * 103.5, 1e-9);
  EXPECT_NEAR(total(bill, with(Factor::sustained_clock, 0.5)) - before, 4 * 10, 1e-9);
  EXPECT_NEAR(total(bill, with(Factor::sustained_clock_fp8, 0.5)) - before, 4 * 103.5, 1e-9);
  EXPECT_NEAR(total(bill, with(Factor::grouped_gemm, 0.5)) - before, 4 * 100, 1e-9);
  EXPECT_NEAR(total(bill, with(Factor::traffic_experts, 2)) - before, 4 * 1000, 1e-9);
}

TEST(StepTime, ThePipelinesBubbleIsItsClosedForm) {
  // (microbatches + pp - 1) slots.
  const StepTime step = step_time(hand_bill(4), neutral());
  EXPECT_NEAR(step.total_s, (4 + 3) * 6, 1e-12);
  EXPECT_NEAR(part(step, "pipeline_bubble"), 3 * 6, 1e-12);
}

TEST(StepTime, SendsThatNothingHidesLengthenThePipeline) {
  Bill bill = hand_bill(4);
  bill.send = over_node(0.1, false);
  EXPECT_NEAR(total(bill), 7 * 6, 1e-12);
  bill.layout.overlap_pp = false;
  EXPECT_NEAR(total(bill) - 7 * 6, 2 * 3 * 0.1, 0.7);  // at least the way there and back
  EXPECT_GE(total(bill), 7 * 6 + 2 * 3 * 0.1 - 1e-12);
  EXPECT_NEAR(total(hand_bill(1)), 24, 1e-12);
}

TEST(StepTime, FullRecomputationAddsAForwardPassOfTheLayers) {
  Bill bill = hand_bill();
  bill.layers[LayerKind::embedding] = {.forward = slot(0.1), .backward_input = {}, .weight = {}};
  bill.layers[LayerKind::head] = {
      .forward = slot(0.2), .backward_input = slot(0.3), .weight = slot(0.4)};
  bill.stages[0].embedding = bill.stages[0].head = true;
  const double before = total(bill);
  EXPECT_NEAR(before, 4 * 7, 1e-12);
  bill.layout.recompute = Recompute::full;
  EXPECT_NEAR(total(bill) - before, 4 * 2, 1e-12);  // not embedding and head
  // What runs under compute is repeated too, but for gathered weights, which are used twice.
  const FactorValues factors = with(Factor::node_interference, 0.3);
  dense(bill).forward.comm.push_back(over_node(0.5, true));
  EXPECT_NEAR(total(bill, factors) - before, 4 * (2 + 2 * 0.5 * 0.3), 1e-12);
  dense(bill).forward.comm.back().name = kGatheredWeights;
  EXPECT_NEAR(total(bill, factors) - before, 4 * (2 + 0.5 * 0.3), 1e-12);
  // Where nothing hides them too: the forward pass's, and none of the repeated pass's.
  dense(bill).forward.comm.back().hidden = false;
  EXPECT_NEAR(total(bill, factors) - before, 4 * (2 + 0.5), 1e-12);
  dense(bill).forward.comm.back().name = "c";
  EXPECT_NEAR(total(bill, factors) - before, 4 * (2 + 2 * 0.5), 1e-12);
}

TEST(StepTime, CommunicationUnderComputeCostsItsInterferenceOnly) {
  Bill bill = hand_bill();
  dense(bill).forward.comm.push_back(over_node(0.5, true));
  EXPECT_NEAR(total(bill), 24, 1e-12);
  FactorValues factors = with(Factor::node_interference, 0.3);
  EXPECT_NEAR(total(bill, factors), 24 + 4 * 0.5 * 0.3, 1e-12);
  at(factors, Factor::node_links) = 0.5;  // twice as long
  EXPECT_NEAR(total(bill, factors), 24 + 4 * 1.0 * 0.3, 1e-12);
  EXPECT_NEAR(part(step_time(bill, factors), "interference_and_host"), 4 * 0.3, 1e-12);
  // Where it is longer than the 2 s of compute, it shows.
  dense(bill).forward.comm[0].node_s = 5;
  EXPECT_NEAR(total(bill), 24 + 4 * (5 - 2), 1e-12);
  // With SMs of its own it takes none of the others'.
  bill.stack.compute_sms = 1 - 1e-12;
  dense(bill).forward.comm[0].node_s = 0.5;
  EXPECT_NEAR(total(bill, with(Factor::node_interference, 0.3)), 24, 1e-9);
  // Where its traffic was measured to slow the others, it does so in the slot that it is beside.
  bill.sms.gemms.traffic = 1.5;
  const double gemm_s = dense(bill).forward.work[Work::gemm];
  EXPECT_NEAR(total(bill), 24 + 4 * 0.5 * gemm_s, 1e-9);
}

TEST(StepTime, CommunicationThatNothingHidesAddsUp) {
  Bill bill = hand_bill();
  dense(bill).forward.comm = {over_node(0.5, false), over_node(0.25, false)};
  const StepTime step = step_time(bill, with(Factor::node_interference, 0.3));
  EXPECT_NEAR(step.total_s, 24 + 4 * 0.75, 1e-12);
  EXPECT_NEAR(part(step, "communication_exposed"), 4 * 0.75, 1e-12);
}

TEST(StepTime, TheLongerOfLinksAndNetworkCounts) {
  Bill bill = hand_bill();
  CommBill comm{.name = "c", .node_s = 0.5, .network_s = 0.6, .hops = 100, .fixed_s = 0.01};
  comm.channels = 0.25;
  dense(bill).forward.comm = {comm};
  EXPECT_NEAR(total(bill), 24 + 4 * 0.6, 1e-12);
  EXPECT_NEAR(total(bill, with(Factor::hop_latency_s, 0.001)), 24 + 4 * 0.7, 1e-12);
  EXPECT_NEAR(total(bill, with(Factor::node_links, 0.5)), 24 + 4 * 1.01, 1e-12);
  EXPECT_NEAR(total(bill, with(Factor::network_links, 0.5)), 24 + 4 * 1.2, 1e-12);
  dense(bill).forward.comm[0].hidden = true;
  EXPECT_NEAR(total(bill, with(Factor::network_interference, 0.4)), 24 + 4 * 0.6 * 0.25 * 0.4,
              1e-12);
  dense(bill).forward.comm[0].interference = Factor::tensor_interference;
  EXPECT_NEAR(total(bill, with(Factor::tensor_interference, 0.4)), 24 + 4 * 0.51 * 0.4, 1e-12);
  EXPECT_NEAR(total(bill, with(Factor::node_interference, 0.4)), 24, 1e-12);
}

TEST(StepTime, AHostThatIsSlowerThanItsKernelsSetsThePace) {
  Bill bill = hand_bill();
  dense(bill).forward.host = 1;
  EXPECT_NEAR(total(bill, with(Factor::experts_host_s, 1.9)), 24, 1e-12);
  EXPECT_NEAR(total(bill, with(Factor::experts_host_s, 2.5)), 24 + 4 * 0.5, 1e-12);
  dense(bill).forward.comm = {over_node(0.4, false)};  // launched ahead meanwhile
  EXPECT_NEAR(total(bill, with(Factor::experts_host_s, 2.5)), 24 + 4 * 0.5, 1e-12);
}

TEST(StepTime, GradientsRunUnderTheLastBackwardPass) {
  Bill bill = hand_bill();
  bill.gradients = over_node(5, false);
  bill.weights = over_node(3, false);
  EXPECT_NEAR(total(bill), 24 + 8, 1e-12);
  bill.layout.overlap_dp = true;  // under 4 s of backward and 2 s of forward
  const StepTime step = step_time(bill, neutral());
  EXPECT_NEAR(step.total_s, 24 + 1 + 1, 1e-12);
  EXPECT_NEAR(part(step, "data_parallel"), 2, 1e-12);
  bill.gradients.node_s = bill.weights.node_s = 1;
  EXPECT_NEAR(total(bill, with(Factor::node_interference, 0.3)), 24 + 2 * 0.3, 1e-12);
}

TEST(StepTime, OnceAStepAndGrowingWithTheNodes) {
  Bill bill = hand_bill();
  bill.optimizer_s = 0.5;
  bill.doublings = 3;
  FactorValues factors = with(Factor::step_overhead_s, 0.25);
  at(factors, Factor::traffic_fused) = 2;
  const double optimizer = 0.5 * 2 + 0.25;
  EXPECT_NEAR(part(step_time(bill, factors), "optimizer_and_overhead"), optimizer, 1e-12);
  const double whole = total(bill, factors);
  EXPECT_NEAR(whole, 24 + 4 * 0.5 + optimizer, 1e-12);  // the traffic doubles everywhere
  at(factors, Factor::jitter) = 0.01;
  EXPECT_NEAR(total(bill, factors), whole * 1.03, 1e-12);
  EXPECT_NEAR(part(step_time(bill, factors), "jitter_of_nodes"), whole * 0.03, 1e-12);
}

TEST(StepTime, DualPipeHidesOneDirectionsTrafficUnderTheOthersCompute) {
  Bill bill = hand_bill(2, Schedule::dualpipe);
  dense(bill).forward.comm = {over_node(1, true)};
  dense(bill).backward_input.comm = {over_node(2, true)};
  const StepTime step = step_time(bill, neutral());
  EXPECT_NEAR(step.slot_s, 6, 1e-12);  // 3 s of traffic under 6 s of compute
  // Alone, a forward pass takes 2 + 1 s and a backward pass 3 + 2 + 1.
  PipelineProblem p{
      .schedule = Schedule::dualpipe, .ranks = 2, .microbatches = 4, .chunks_per_rank = 2};
  p.chunks.assign(2, {.forward_s = 3, .backward_input_s = 5, .weight_s = 1});
  p.overlapped_s.assign(2, 6);
  EXPECT_NEAR(step.total_s, simulate(p).total_s, 1e-12);
  dense(bill).backward_input.comm[0].node_s = 8;  // 9 s under 6
  EXPECT_NEAR(step_time(bill, neutral()).slot_s, 9, 1e-12);
}

TEST(StepTime, APublishedLayersWorkIsWhatItsSlotsHold) {
  const Bill bill = hand_bill();
  const WorkSeconds work = layer_work_s(bill, LayerKind::dense, with(Factor::in_place_other, 0.5));
  EXPECT_NEAR(work[Work::gemm], 7, 1e-12);
  EXPECT_NEAR(work[Work::attention], 2, 1e-12);
  EXPECT_NEAR(work[Work::traffic], 0.5, 1e-12);
}

TEST(StepTime, PartsAddUpForAnyBill) {
  for_many(400, [](Random& random, const Bill& bill) {
    const StepTime step = step_time(bill, random.factors());
    EXPECT_TRUE(std::isfinite(step.total_s));
    EXPECT_NEAR(sum_of_parts(step) / step.total_s, 1, 1e-9);
    EXPECT_GT(step.slot_s, 0);
    EXPECT_LT(step.slot_s, step.total_s);
    for (const auto& [name, seconds] : step.breakdown_s) EXPECT_GT(seconds, 0) << name;
  });
}

TEST(StepTime, EveryFactorPullsOneWay) {
  for_many(200, [](Random& random, const Bill& bill) {
    const FactorValues factors = random.factors();
    const double before = total(bill, factors);
    for (std::size_t f = 0; f < kFactors; ++f) {
      const auto factor = static_cast<Factor>(f);
      FactorValues more = factors;
      more[f] *= random.real(1.01, 1.3);
      const double after = total(bill, more);
      if (speeds_up(factor)) {
        EXPECT_LE(after, before * (1 + 1e-9)) << to_string(factor);
      } else {
        EXPECT_GE(after, before * (1 - 1e-9)) << to_string(factor);
      }
    }
  });
}

TEST(StepTime, FasterLinksNeverMakeAStepLonger) {
  for_many(200, [](Random& random, const Bill& bill) {
    const FactorValues factors = random.factors();
    Bill faster = bill;
    const double node = random.real(1, 4), network = random.real(1, 4);
    const auto speed_up = [&](CommBill& c) {
      c.node_s /= node;
      c.network_s /= network;
    };
    for (auto& [kind, layer] : faster.layers) {
      for (SlotBill* s : {&layer.forward, &layer.backward_input, &layer.weight}) {
        for (CommBill& c : s->comm) speed_up(c);
      }
    }
    for (CommBill* c : {&faster.gradients, &faster.weights, &faster.send}) speed_up(*c);
    EXPECT_LE(total(faster, factors), total(bill, factors) * (1 + 1e-9));
  });
}

TEST(StepSampler, IsExactAtItsCentre) {
  for_many(400, [](Random& random, const Bill& bill) {
    const FactorValues centre = random.factors();
    EXPECT_NEAR(StepSampler(bill, centre)(centre, {}) / total(bill, centre), 1, 1e-9);
  });
}

TEST(StepSampler, StaysNearElsewhere) {
  // One chain of work can't last longer than the longest, unless zero-bubble chooses its other
  // order.
  double worst = 0;
  for_many(400, [&](Random& random, const Bill& bill) {
    const StepSampler sampler(bill, random.factors());
    const FactorValues elsewhere = random.factors();
    const double ratio = sampler(elsewhere, {.gemm = 0.9, .memory = 1.1}) /
                         step_time(bill, elsewhere, {.gemm = 0.9, .memory = 1.1}).total_s;
    if (bill.layout.schedule != Schedule::zb) {
      EXPECT_LE(ratio, 1 + 1e-9);
    }
    worst = std::max(worst, std::abs(ratio - 1));
    EXPECT_NEAR(ratio, 1, 0.10);
  });
  RecordProperty("worst", fmt::format("{:.4f}", worst));
}

TEST(StepSampler, StaysNearForPublishedPipelines) {
  const Library library = published_library();
  Random random(2);
  for (const char* id : {"deepseek-v3-step", "megatron-a100-529.6b", "megatron-h100-462b",
                         "llama-3-405b-8k", "mbridge-26.02-h100-llama370b"}) {
    const trainmeter::Run run = library.run(id);
    RateBook book;
    book.add_published(library, *run.system);
    const FactorTable table = read_factors(library.root() / "factors.json");
    const Bill bill = candidates(run, *run.system, book, table.medians()).front().bill;
    StepSampler sampler(bill, table.medians());
    for (int i = 0; i < 4; ++i) sampler.learn(random.factors());
    for (int i = 0; i < 20; ++i) {
      const FactorValues elsewhere = random.factors();
      EXPECT_NEAR(sampler(elsewhere, {}) / total(bill, elsewhere), 1, 0.04) << id;
    }
  }
}
