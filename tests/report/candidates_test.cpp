// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The layouts a run may have had: which are listed, what the memory refuses, how they are weighed.
#include "report/candidates.hpp"

#include "workload/memory_fit.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

using namespace trainmeter;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

namespace {

// A 7.1 B model on 16 H100 with everything printed.
const char* const kRun = R"({"id": "printed", "title": "Everything printed", "model": "gpt-7.1b",
  "system": "h100", "gpus": 16, "seq_len": 4096, "global_batch_sequences": 64, "stack": "megatron",
  "parallel": {"tp": 2, "pp": 2, "dp": 4, "sp": true, "zero": 1, "vpp": 2,
               "schedule": "interleaved", "microbatch_sequences": 2, "recompute": "none",
               "overlap": ["dp", "tp", "pp"]},
  "context": {"software": "NeMo container 25.09"}})";

Run run_from(const std::function<void(nlohmann::json&)>& change = [](nlohmann::json&) {}) {
  static const Library library = published_library();
  nlohmann::json json = nlohmann::json::parse(kRun);
  change(json);
  return read_run(StrictObject(json, "printed.json"), library);
}

std::vector<Candidate> listed(const trainmeter::Run& run, const System& system) {
  static const Library library = published_library();
  static const FactorTable table = read_factors(library.root() / "factors.json");
  static const RateBook book = [] {
    RateBook out;
    out.add_published(library, library.system("h100"));
    return out;
  }();
  return candidates(run, system, book, table.medians());
}

std::vector<Candidate> listed(const trainmeter::Run& run) {
  return listed(run, *run.system);
}

double weights(const std::vector<Candidate>& all) {
  double sum = 0;
  for (const Candidate& c : all) sum += c.weight;
  return sum;
}

template <class Value>
std::set<Value> values(const std::vector<Candidate>& all, Value Layout::*field) {
  std::set<Value> out;
  for (const Candidate& c : all) out.insert(c.bill.layout.*field);
  return out;
}

}  // namespace

TEST(Candidates, WhatIsPrintedLeavesOneLayout) {
  const auto all = listed(run_from());
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].weight, 1);
  EXPECT_TRUE(all[0].notes.empty()) << all[0].notes[0];
  const Layout& l = all[0].bill.layout;
  EXPECT_EQ(l.tp, 2);
  EXPECT_EQ(l.pp, 2);
  EXPECT_EQ(l.dp, 4);
  EXPECT_EQ(l.vpp, 2);
  EXPECT_EQ(l.schedule, Schedule::interleaved);
  EXPECT_EQ(l.microbatch_sequences, 2);
  EXPECT_EQ(l.microbatches, 8);
  EXPECT_EQ(l.recompute, Recompute::none);
  EXPECT_TRUE(l.sp && l.overlap_tp && l.overlap_dp && l.overlap_pp && !l.overlap_ep);
  EXPECT_EQ(l.zero, 1);
}

TEST(Candidates, EachPrintedFieldIsHonoured) {
  const auto open = [](const std::string& key) {
    return listed(run_from([&](auto& json) { json["parallel"].erase(key); }));
  };
  EXPECT_GT(values(open("microbatch_sequences"), &Layout::microbatch_sequences).size(), 1U);
  EXPECT_EQ(values(open("microbatch_sequences"), &Layout::vpp), std::set<std::int64_t>{2});
  EXPECT_EQ(values(open("overlap"), &Layout::overlap_tp), (std::set<bool>{false, true}));
  EXPECT_EQ(values(open("overlap"), &Layout::microbatch_sequences), std::set<std::int64_t>{2});
  const auto schedules = listed(run_from([](auto& json) {
    json["parallel"].erase("schedule");
    json["parallel"].erase("vpp");
  }));
  EXPECT_GT(values(schedules, &Layout::vpp).size(), 1U);
  for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
    const auto all =
        listed(run_from([&](auto& json) { json["parallel"]["recompute"] = to_string(recompute); }));
    EXPECT_EQ(values(all, &Layout::recompute), std::set{recompute});
  }
  for (const Schedule schedule : {Schedule::one_f_one_b, Schedule::zb}) {
    const auto all = listed(run_from([&](auto& json) {
      json["parallel"]["schedule"] = to_string(schedule);
      json["parallel"].erase("vpp");
    }));
    EXPECT_EQ(values(all, &Layout::schedule), std::set{schedule});
  }
}

TEST(Candidates, WhatIsAssumedIsNoted) {
  const auto all = listed(run_from([](auto& json) {
    for (const char* key : {"microbatch_sequences", "recompute", "overlap"}) {
      json["parallel"].erase(key);
    }
  }));
  for (const Candidate& c : all) {
    EXPECT_THAT(c.notes, Contains(HasSubstr("micro-batch isn't printed")));
    EXPECT_THAT(c.notes, Contains(HasSubstr("recomputation isn't printed")));
    EXPECT_THAT(c.notes, Contains(HasSubstr("overlap of tensor-parallel traffic")));
  }
  // Nor is the attention kernel of an older container; a later one prefers cuDNN's.
  const auto kernels_of = [](const char* software) {
    return listed(run_from([&](auto& json) { json["context"]["software"] = software; }));
  };
  for (const char* later : {"Megatron-Core r0.8.0", "Megatron-Core r0.10.0", "Megatron-Core 0.12",
                            "Megatron Core v0.15", "core_r0.9.0 of Megatron-Core 1.0",
                            "NeMo container 25.09", "NeMo 24.05", "NeMo 24.12", "NeMo 2.0",
                            "H100, NeMo 24.07", "NeMo 24.03 with Megatron-Core 0.8.0"}) {
    ASSERT_EQ(kernels_of(later).size(), 1U) << later;
    EXPECT_EQ(kernels_of(later)[0].bill.stack.attention, "cudnn");
    EXPECT_THAT(kernels_of(later)[0].notes, Not(Contains(HasSubstr("attention kernel"))));
  }
  for (const char* older : {"NeMo 24.03", "H100 NeMo 24.03", "NeMo on H100, 24.01", "NeMo 1.23",
                            "Megatron-Core r0.7.0", "Megatron-Core 0.7 of 2025.1"}) {
    EXPECT_EQ(kernels_of(older).size(), 2U) << older;
  }
  const auto kernels = kernels_of("NeMo 24.03.01");
  ASSERT_EQ(kernels.size(), 2U);
  for (const Candidate& c : kernels) {
    EXPECT_THAT(c.notes, Contains(HasSubstr("attention kernel isn't printed: cudnn or "
                                            "flash-attention-2, each in half of the draws")));
  }
  EXPECT_NE(kernels[0].bill.stack.attention, kernels[1].bill.stack.attention);
  EXPECT_NEAR(kernels[0].weight, 0.5, 1e-12);  // neither is likelier for being faster
}

// Whoever publishes a step had some software; whoever plans one can have the newest.
TEST(Candidates, APlanHasTheNewestAttention) {
  const auto without = [](const char* key, const nlohmann::json& value) {
    return listed(run_from([&](auto& json) {
      json.erase("context");
      if (key[0] != '\0') json[key] = value;
    }));
  };
  const auto plan = without("", {});
  ASSERT_EQ(plan.size(), 1U);
  EXPECT_EQ(plan[0].bill.stack.attention, "cudnn");
  EXPECT_THAT(plan[0].notes, Contains(HasSubstr("attention kernel isn't said: cudnn")));
  EXPECT_EQ(without("context", {{"software", "our own fork"}}).size(), 1U);
  EXPECT_EQ(without("context", {{"software", "NeMo 24.01"}}).size(), 2U);
  EXPECT_EQ(without("published", {{"step_time_s", 3}}).size(), 2U);
  EXPECT_EQ(without("source", {{"title", "A table"},
                               {"locator", "row 1"},
                               {"url", "https://example.org"},
                               {"read_on", "2026-11-23"}})
                .size(),
            2U);
}

TEST(Candidates, WeightsAddUpAndTheFasterIsLikelier) {
  const auto all = listed(run_from([](auto& json) {
    json.erase("parallel");
    json["parallel"] = {{"tp", 2}, {"pp", 2}, {"dp", 4}};
    json.erase("context");
  }));
  ASSERT_GT(all.size(), 4U);
  EXPECT_NEAR(weights(all), 1, 1e-12);
  const FactorValues medians = read_factors(published_library().root() / "factors.json").medians();
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_GT(all[i].weight, 0);
    if (i > 0) {
      EXPECT_LE(all[i].weight, all[i - 1].weight);  // likeliest first
    }
    for (std::size_t j = 0; j < all.size(); ++j) {
      const auto& [a, b] = std::pair(all[i], all[j]);
      if (a.bill.layout.overlap_tp != b.bill.layout.overlap_tp ||
          a.bill.stack.attention != b.bill.stack.attention) {
        continue;
      }
      // Half as likely for every 5 % of the fastest's time.
      const double slower = step_time(a.bill, medians).total_s - step_time(b.bill, medians).total_s;
      if (slower > 0) {
        EXPECT_LT(a.weight, b.weight);
      }
    }
  }
}

TEST(Candidates, MemoryChoosesTheLeastRecomputationThatFits) {
  const trainmeter::Run run = run_from([](auto& json) { json["parallel"].erase("recompute"); });
  const MemoryOptions options{.precision = "bf16", .stack = TrainingStack::megatron};
  std::set<std::optional<Recompute>> seen;
  for (double bytes = 10e9; bytes < 90e9; bytes *= 1.03) {
    System system = *run.system;
    system.memory_bytes = bytes;
    std::optional<Recompute> expected;
    // The datasheet's bytes are fewer than the driver's, and the count is within some 10 %: where
    // nothing fits without that, what would with it.
    for (const double margin : {1.0, 1.2}) {
      for (const Choice& choice : layouts(run)) {
        if (expected || !fits(memory_need(*run.model, choice.layout, options), bytes * margin))
          continue;
        expected = choice.layout.recompute;
      }
    }
    seen.insert(expected);
    if (!expected) {
      EXPECT_THAT(refusal([&] { (void)listed(run, system); }), HasSubstr("doesn't fit"));
    } else {
      EXPECT_EQ(values(listed(run, system), &Layout::recompute), std::set{*expected}) << bytes;
    }
  }
  EXPECT_EQ(seen, (std::set<std::optional<Recompute>>{std::nullopt, Recompute::none,
                                                      Recompute::selective, Recompute::full}));
}

// One micro-batch is FSDP's way, but nobody would recompute everything for it.
TEST(Candidates, FsdpTakesItsWholeShareWhereThatNeedsNoFullRecomputation) {
  trainmeter::Run run = run_from();
  run.stack = TrainingStack::fsdp;
  run.parallel = Parallel{};
  run.parallel->zero = 3;
  run.gpus = 8;
  run.global_batch_sequences = 8 * 6;
  const auto ways = [&](double bytes) {
    System system = *run.system;
    system.memory_bytes = bytes;
    std::vector<Layout> out;
    for (const Candidate& one : listed(run, system)) out.push_back(one.bill.layout);
    return out;
  };
  bool whole = false, parts = false;
  for (double bytes = 10e9; bytes < 400e9; bytes *= 1.1) {
    std::vector<Layout> found;
    try {
      found = ways(bytes);
    } catch (const BadInput&) {
      continue;
    }
    const bool at_once = std::ranges::all_of(found, [](const Layout& l) {
      return l.microbatches == 1 && l.recompute != Recompute::full;
    });
    (at_once ? whole : parts) = true;
    if (at_once) continue;
    EXPECT_FALSE(whole) << "more memory and smaller micro-batches, at " << bytes;
  }
  EXPECT_TRUE(whole && parts);
}

TEST(Candidates, WhatDoesntFitNamesTheFileAndTheLargestPart) {
  trainmeter::Run run = run_from();
  System small = *run.system;
  small.memory_bytes = 8e9;
  const MemoryNeed need = memory_need(*run.model, layouts(run)[0].layout, {});
  EXPECT_THAT(refusal([&] { (void)listed(run, small); }),
              AllOf(HasSubstr("printed.json: parallel: doesn't fit h100"),
                    HasSubstr(need.largest()), HasSubstr("GB")));
  run.place.file.clear();
  EXPECT_THAT(refusal([&] { (void)listed(run, small); }), HasSubstr("run printed"));
  // What somebody timed did fit, whatever our count says.
  run.published.step_time_s = 1;
  const auto all = listed(run, small);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_THAT(all[0].notes, Contains(HasSubstr("but it ran")));
  // Hours alone say nothing of the kind.
  run.published = {.gpu_hours = 1};
  EXPECT_THAT(refusal([&] { (void)listed(run, small); }), HasSubstr("doesn't fit"));
  // Nor does a layout that isn't printed: what is missing is it, not memory.
  run.parallel.reset();
  EXPECT_THAT(refusal([&] { (void)listed(run, small); }),
              HasSubstr("parallel: missing: expected a layout (tp, pp, zero 3)"));
}
