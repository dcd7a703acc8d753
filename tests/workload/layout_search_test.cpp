// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The search for layouts: all that is found is legal, fits and is complete, and all that is legal
// is found.
#include "workload/layout_search.hpp"

#include "layout_runs.hpp"
#include "small_models.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <tuple>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

System machine(double memory_bytes = 80e9) {
  System out;
  out.id = "machine";
  out.gpus_per_node = 8;
  out.memory_bytes = memory_bytes;
  return out;
}

trainmeter::Run asked(const Model& model, std::int64_t gpus, std::int64_t sequences = 512) {
  trainmeter::Run run = run_of({}, gpus);
  run.parallel.reset();
  run.model = model;
  run.global_batch_sequences = sequences;
  return run;
}

trainmeter::Run with_layout(trainmeter::Run run, const Parallel& parallel) {
  run.parallel = parallel;
  return run;
}

using Sizes = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                         std::int64_t, std::string>;

Sizes sizes_of(const Layout& l) {
  return {
      l.tp, l.cp, l.pp, l.ep, l.microbatch_sequences, l.vpp, std::string(to_string(l.schedule))};
}

// The least memory that any way to recompute needs.
double least_need(const trainmeter::Run& run, Layout layout) {
  double least = std::numeric_limits<double>::infinity();
  for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
    layout.recompute = recompute;
    least = std::min(least, held(memory_need(*run.model, layout,
                                             {.precision = run.precision, .stack = run.stack})));
  }
  return least;
}

// Every size that layouts() takes and that fits, by trying all numbers.
std::set<Sizes> by_trying_all(trainmeter::Run run, const System& system) {
  std::set<Sizes> out;
  const std::int64_t experts = run.model->moe ? run.model->moe->experts : 1;
  for (std::int64_t tp = 1; tp <= system.gpus_per_node; ++tp) {
    if (system.gpus_per_node % tp != 0) continue;
    for (std::int64_t cp = 1; *run.seq_len / cp >= kLeastTokens; cp *= 2) {
      for (std::int64_t pp = 1; pp <= run.gpus; ++pp) {
        for (std::int64_t ep = 1; ep <= experts; ++ep) {
          for (std::int64_t size = 1; size <= kMostSequences; ++size) {
            if (size > 1 && size * *run.seq_len > kMostMicrobatchTokens) continue;
            Parallel p;
            p.tp = tp;
            p.cp = cp;
            p.pp = pp;
            p.ep = ep;
            p.microbatch_sequences = size;
            p.zero = 1;
            run.parallel = p;
            try {
              for (const Choice& choice : layouts(run))
                if (least_need(run, choice.layout) <= *system.memory_bytes)
                  out.insert(sizes_of(choice.layout));
            } catch (const BadInput&) {
              continue;  // not legal
            }
          }
        }
      }
    }
  }
  return out;
}

}  // namespace

TEST(LayoutSearch, WhatIsFoundIsLegalFitsAndLeavesNothingOpen) {
  const System system = machine();
  for (const Model& model : {dense(), with_experts(), published("llama-3-70b"),
                             published("deepseek-v3"), published("gpt2-124m")}) {
    for (const std::int64_t gpus : {8, 48, 512}) {
      const trainmeter::Run run = asked(model, gpus, 3 * 512);
      for (const FittingLayout& found : search_layouts(run, system).fitting) {
        const std::vector<Choice> all = layouts(with_layout(run, found.parallel));
        const Layout& l = all.front().layout;
        EXPECT_EQ(l.tp * l.cp * l.pp * l.dp, gpus);
        EXPECT_EQ(l.microbatches * l.microbatch_sequences * l.dp, 3 * 512);
        EXPECT_LE(found.held_bytes, *system.memory_bytes);
        for (const Choice& choice : all) {  // they differ in overlap at most
          EXPECT_EQ(sizes_of(choice.layout), sizes_of(l)) << shown(found.parallel);
          EXPECT_EQ(choice.layout.recompute, l.recompute) << shown(found.parallel);
          EXPECT_EQ(held(memory_need(model, choice.layout, {})), found.held_bytes);
        }
      }
    }
  }
}

TEST(LayoutSearch, EveryLegalLayoutThatFitsIsFoundOnce) {
  for (const Model& model : {dense(), with_experts(), small_mla()}) {
    for (const std::int64_t gpus : {8, 24}) {
      const System system = machine(12e9);
      const trainmeter::Run run = asked(model, gpus, 48);
      std::set<Sizes> found;
      const LayoutSearch all = search_layouts(run, system);
      for (const FittingLayout& one : all.fitting) {
        const Layout l = layouts(with_layout(run, one.parallel)).front().layout;
        EXPECT_TRUE(found.insert(sizes_of(l)).second) << "twice: " << shown(one.parallel);
      }
      EXPECT_EQ(found, by_trying_all(run, system)) << model.id << " on " << gpus;
      EXPECT_GE(all.legal, all.fitting.size());
    }
  }
}

TEST(LayoutSearch, NoMoreIsRecomputedThanMustBe) {
  std::set<Recompute> seen;
  const trainmeter::Run run = asked(published("llama-3-8b"), 8, 64);
  const System system = machine(40e9);
  for (const FittingLayout& found : search_layouts(run, system).fitting) {
    seen.insert(*found.parallel.recompute);
    if (*found.parallel.recompute == Recompute::none) continue;
    Parallel less = found.parallel;
    less.recompute = *less.recompute == Recompute::full ? Recompute::selective : Recompute::none;
    const Layout l = layouts(with_layout(run, less)).front().layout;
    EXPECT_FALSE(fits(memory_need(*run.model, l, {}), *system.memory_bytes)) << shown(less);
  }
  EXPECT_EQ(seen.size(), 3U);
}

TEST(LayoutSearch, EachStackHasItsOwn) {
  trainmeter::Run run = asked(published("deepseek-v3"), 1024, 15360);
  run.precision = "fp8";
  const auto zero_and_schedules = [&](TrainingStack stack) {
    run.stack = stack;
    std::set<std::string> out;
    for (const FittingLayout& found : search_layouts(run, machine()).fitting) {
      out.insert("zero " + std::to_string(*found.parallel.zero));
      if (found.parallel.schedule) out.emplace(to_string(*found.parallel.schedule));
    }
    return out;
  };
  EXPECT_EQ(zero_and_schedules(TrainingStack::megatron),
            (std::set<std::string>{"zero 1", "1f1b", "interleaved"}));
  EXPECT_EQ(zero_and_schedules(TrainingStack::fsdp),
            (std::set<std::string>{"zero 2", "zero 3", "1f1b", "interleaved"}));
  EXPECT_EQ(zero_and_schedules(TrainingStack::deepseek),
            (std::set<std::string>{"zero 1", "dualpipe", "zb"}));
}

// What a run's software overlaps is the same in every layout, as far as its own one shows it.
TEST(LayoutSearch, OverlapIsTheSoftwares) {
  trainmeter::Run run = asked(published("llama-3-8b"), 64);
  const auto overlap = [&](const Parallel& own) {
    run.parallel = own;
    return search_layouts(run, machine()).fitting.front().parallel.overlap;
  };
  const std::vector<std::string> none = {"dp", "pp"}, tp = {"tp", "dp", "pp"};
  EXPECT_EQ(overlap({.tp = 8, .overlap = {{"dp"}}}), none);
  EXPECT_EQ(overlap({.tp = 8, .overlap = {{"tp", "dp"}}}), tp);
  EXPECT_EQ(overlap({.tp = 8, .pp = 8, .overlap = {{"tp"}}}),
            std::vector<std::string>({"tp", "dp"}));
  EXPECT_EQ(overlap({.overlap = {{"dp"}}}), none);
  for (const FittingLayout& found : search_layouts(run, machine()).fitting) {
    // Without tp of its own it says nothing of tp.
    EXPECT_EQ(found.parallel.overlap.has_value(), found.parallel.tp == 1);
  }
  EXPECT_EQ(overlap({.tp = 8}), std::nullopt);
}

TEST(LayoutSearch, SaysWhatComesNearestWhereNothingFits) {
  const LayoutSearch none = search_layouts(asked(published("llama-3-405b"), 8), machine());
  EXPECT_TRUE(none.fitting.empty());
  EXPECT_GT(none.legal, 0U);
  EXPECT_THAT(none.nearest_miss, HasSubstr("tp 8"));
  EXPECT_THAT(none.nearest_miss, HasSubstr("GB"));
}

TEST(LayoutSearch, SaysWhyNothingIsLegal) {
  trainmeter::Run run = asked(dense(), 7, 5);  // 7 replicas don't share 5 sequences
  run.model->layers = 6;
  const LayoutSearch none = search_layouts(run, machine());
  EXPECT_EQ(none.legal, 0U);
  EXPECT_THAT(none.refusal, HasSubstr("global_batch_sequences: expected a multiple of dp = 7"));
}

TEST(LayoutSearch, WhereMemoryIsNotKnownOrNoGpusAllFit) {
  System system = machine();
  system.kind = "cpu";
  EXPECT_FALSE(search_layouts(asked(published("llama-3-405b"), 8), system).fitting.empty());
  system.kind = "gpu";
  system.memory_bytes.reset();
  const LayoutSearch all = search_layouts(asked(published("llama-3-405b"), 8), system);
  EXPECT_EQ(all.fitting.size(), all.legal);
  for (const FittingLayout& found : all.fitting)
    EXPECT_EQ(found.parallel.recompute, Recompute::none);
}

TEST(LayoutSearch, ALayoutIsShownByWhatItIs) {
  Parallel p;
  p.tp = 8;
  p.pp = 4;
  p.vpp = 2;
  p.dp = 16;
  p.zero = 1;
  p.microbatch_sequences = 1;
  p.schedule = Schedule::interleaved;
  p.recompute = Recompute::selective;
  EXPECT_EQ(shown(p),
            "tp 8, pp 4 x 2 virtual, dp 16, ZeRO 1, micro-batch 1, interleaved, selective "
            "recomputation");
  EXPECT_EQ(shown(Parallel{.dp = 8}), "dp 8");
}
