// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Lists, filters and weighs.
#include "report/candidates.hpp"

#include "record/error.hpp"
#include "report/predict.hpp"
#include "report/transfer.hpp"
#include "workload/memory_fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

namespace trainmeter {
namespace {

// A layout is refused where it needs this much more than there is: the datasheet's 80 GB are 85.5e9
// bytes to the driver, and the count of activations is within some 10 %. What needs more than there
// is gets a warning.
constexpr double kMemoryMargin = 1.2;

// Whether two choices differ in recomputation alone.
bool same_but_recompute(const Layout& a, const Layout& b) {
  return a.microbatch_sequences == b.microbatch_sequences && a.vpp == b.vpp &&
         a.schedule == b.schedule && a.overlap_tp == b.overlap_tp;
}

// Somebody timed a step of it.
bool ran(const Run& run) {
  const Published& p = run.published;
  return p.step_time_s || p.tokens_per_s_per_gpu || p.tokens_per_day || p.tflops_per_gpu || p.mfu ||
         p.hfu;
}

// FSDP accumulates no gradients unless it has to: a replica's whole share is one micro-batch where
// that needs no full recomputation. A pipeline needs several.
std::vector<Choice> whole_share(std::vector<Choice> out, const Run& run) {
  if (run.stack != TrainingStack::fsdp || (run.parallel && run.parallel->microbatch_sequences))
    return out;
  const bool must_recompute = run.parallel && run.parallel->recompute;
  const auto whole = [](const Choice& c) { return c.layout.pp == 1 && c.layout.microbatches == 1; };
  const bool fits = std::ranges::any_of(out, [&](const Choice& c) {
    return whole(c) && (must_recompute || c.layout.recompute != Recompute::full);
  });
  if (fits) std::erase_if(out, [&](const Choice& c) { return !whole(c); });
  return out;
}

MemoryNeed need_of(const Run& run, const Layout& layout) {
  return memory_need(*run.model, layout, {.precision = run.precision, .stack = run.stack});
}

std::vector<Choice> fitting(const Run& run, const System& system) {
  std::vector<Choice> all = layouts(run);
  if (!system.memory_bytes || system.kind != "gpu") return whole_share(std::move(all), run);
  // What a plan leaves open is chosen so that it fits, where anything does.
  const bool any_fits = std::ranges::any_of(all, [&](const Choice& choice) {
    return fits(need_of(run, choice.layout), *system.memory_bytes);
  });
  const double margin = is_plan(run) && any_fits ? 1 : kMemoryMargin;
  std::vector<Choice> out;
  std::string least_refusal;
  double least = 0;
  Choice leanest;
  for (Choice& choice : all) {
    const MemoryNeed need = need_of(run, choice.layout);
    if (!fits(need, *system.memory_bytes * margin)) {
      if (least_refusal.empty() || need.total() < least) {
        least = need.total();
        least_refusal = refusal(need, *system.memory_bytes);
        leanest = choice;
      }
      continue;
    }
    // layouts() lists the least recomputation first.
    const bool less_fits = std::ranges::any_of(
        out, [&](const Choice& other) { return same_but_recompute(other.layout, choice.layout); });
    if (!less_fits) out.push_back(std::move(choice));
  }
  if (out.empty() && ran(run)) {
    leanest.notes.push_back("by our count it doesn't fit, but it ran: " + least_refusal);
    return {leanest};
  }
  if (out.empty()) {
    const std::string file = run.place.file.empty() ? "run " + run.id : run.place.file;
    if (!run.parallel && run.stack != TrainingStack::fsdp) {
      throw BadInput(fmt::format(
          "{}: parallel: missing: expected a layout (tp, pp, zero 3): a whole model on each "
          "device doesn't fit {}: {}",
          file, system.id, least_refusal));
    }
    throw BadInput(fmt::format("{}: parallel: doesn't fit {}: {}", file, system.id, least_refusal));
  }
  return whole_share(std::move(out), run);
}

}  // namespace

std::vector<Candidate> possible_ways(const Run& run, const System& system, const RateBook& book) {
  std::vector<Candidate> out;
  // Megatron overlaps tensor-parallel traffic with Transformer Engine's kernels, which came with
  // Hopper.
  const bool never_tp = run.stack == TrainingStack::megatron && architecture(system) == "ampere" &&
                        !(run.parallel && run.parallel->overlap);
  for (const Choice& choice : fitting(run, system)) {
    if (never_tp && choice.layout.overlap_tp && choice.layout.tp > 1) continue;
    const std::vector<Stack> stacks = stacks_of(run, system);
    for (const Stack& stack : stacks) {
      Candidate c{.bill = make_bill(run, system, book, choice.layout, stack),
                  .weight = choice.weight,
                  .notes = choice.notes};
      if (!stack.assumed.empty()) c.notes.push_back(stack.assumed);
      if (system.memory_bytes && system.kind == "gpu")
        c.memory = MemoryUse{.need = held(need_of(run, choice.layout)), .of = *system.memory_bytes};
      out.push_back(std::move(c));
    }
  }
  return out;
}

std::vector<Candidate> weighed(std::vector<Candidate> out, const FactorValues& factors) {
  std::vector<double> times;
  for (const Candidate& c : out) times.push_back(step_time(c.bill, factors).total_s);
  // What a stack could overlap and which kernels it had were no choice of whoever ran it: each
  // answer keeps its weight.
  const auto given = [&](std::size_t i) {
    return std::pair(out[i].bill.layout.overlap_tp, out[i].bill.stack.attention);
  };
  std::set<std::pair<bool, std::string>> answers;
  for (std::size_t i = 0; i < out.size(); ++i) answers.insert(given(i));
  for (const auto& answer : answers) {
    double fastest = std::numeric_limits<double>::infinity();
    double prior = 0;
    double sum = 0;
    const auto each = [&](const auto& action) {
      for (std::size_t i = 0; i < out.size(); ++i) {
        if (given(i) == answer) action(i);
      }
    };
    each([&](std::size_t i) { fastest = std::min(fastest, times[i]); });
    each([&](std::size_t i) { prior = std::max(prior, out[i].weight); });
    each([&](std::size_t i) {
      out[i].weight *= std::exp2(-(times[i] / fastest - 1) / kTuning);
      sum += out[i].weight;
    });
    each([&](std::size_t i) { out[i].weight *= prior / sum; });
  }
  double sum = 0;
  for (const Candidate& c : out) sum += c.weight;
  for (Candidate& c : out) c.weight /= sum;
  constexpr double kNegligible = 0.01;
  std::erase_if(out, [](const Candidate& c) { return c.weight < kNegligible; });
  sum = 0;
  for (const Candidate& c : out) sum += c.weight;
  for (Candidate& c : out) c.weight /= sum;
  std::ranges::stable_sort(out, std::ranges::greater{}, &Candidate::weight);
  return out;
}

std::vector<Candidate> candidates(const Run& run, const System& system, const RateBook& book,
                                  const FactorValues& factors) {
  return weighed(possible_ways(run, system, book), factors);
}

}  // namespace trainmeter
