// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Searches, prices, predicts the fastest and compares them.
#include "report/plan.hpp"

#include "record/error.hpp"
#include "report/in_parallel.hpp"
#include "report/step_draws.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <set>
#include <tuple>
#include <utility>

namespace trainmeter {
namespace {

// Each layout's step with every input at its middle, in their order.
std::vector<double> priced(const Run& plan, const std::vector<FittingLayout>& layouts,
                           const System& system, const RateBook& book, const FactorValues& centre,
                           int threads) {
  std::vector<double> out(layouts.size());
  in_parallel(layouts.size(), threads, [&](std::size_t i) {
    Run run = plan;
    run.parallel = layouts[i].parallel;
    out[i] = central_step_s(candidates(run, system, book, centre), centre);
  });
  return out;
}

auto size_of(const Parallel& p) {
  return std::tuple(p.tp, p.pp, p.cp, p.ep, p.zero.value_or(0));
}

// The fastest of each size, the fastest first; of equally fast ones, that which needs less memory.
std::vector<std::size_t> fastest_of_sizes(const std::vector<FittingLayout>& layouts,
                                          const std::vector<double>& step_s) {
  std::vector<std::size_t> order(layouts.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(
      order, {}, [&](std::size_t i) { return std::pair(step_s[i], layouts[i].held_bytes); });
  std::set<decltype(size_of(Parallel{}))> seen;
  std::erase_if(order,
                [&](std::size_t i) { return !seen.insert(size_of(layouts[i].parallel)).second; });
  return order;
}

OwnLayout own_layout(const Run& run, const System& system, const RateBook& book,
                     const FactorValues& centre, const std::vector<double>& fastest) {
  OwnLayout out;
  out.parallel = *run.parallel;
  try {
    out.step_time_s = central_step_s(candidates(run, system, book, centre), centre);
  } catch (const BadInput& error) {
    out.why_not = error.what();
    return out;
  }
  out.over_best = out.step_time_s / fastest.front();
  out.faster = static_cast<std::size_t>(
      std::ranges::count_if(fastest, [&](double t) { return t < out.step_time_s; }));
  return out;
}

// Fills in how the listed layouts compare, draw by draw.
void compare_draws(LayoutPlan& plan, const std::vector<std::vector<Candidate>>& ways,
                   const StepBelief& belief, const PredictOptions& options) {
  const double first = central_step_s(ways.front(), belief.centre);
  if (options.samples == 0) {
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const double ratio = central_step_s(ways[i], belief.centre) / first;
      plan.best[i].over_first = {ratio, ratio, ratio};
    }
    return;
  }
  std::vector<std::vector<double>> step_s;
  for (std::size_t i = 0; i < ways.size(); ++i) {
    // A draw has the same attention kernel in all of them: layouts differ in whether overlap is
    // open, and so in how many candidates there are of each kernel.
    std::vector<Candidate> by_kernel = ways[i];
    std::ranges::stable_sort(by_kernel, {},
                             [](const Candidate& c) { return c.bill.stack.attention; });
    DrawnSteps drawn = draw_steps(by_kernel, belief.before, belief.centre, options.samples,
                                  options.seed, belief.measured);
    std::mt19937_64 random(options.seed + 1 + i);
    std::normal_distribution<double> own(0, belief.before.form_sigma);
    for (std::size_t d = 0; d < drawn.step_s.size(); ++d)
      drawn.step_s[d] *= std::exp(own(random)) / drawn.form[d];
    step_s.push_back(std::move(drawn.step_s));
  }
  const std::size_t draws = step_s.front().size();
  std::vector<std::size_t> won(step_s.size());
  for (std::size_t d = 0; d < draws; ++d) {
    std::size_t fastest = 0;
    for (std::size_t i = 1; i < step_s.size(); ++i)
      if (step_s[i][d] < step_s[fastest][d]) fastest = i;
    ++won[fastest];
  }
  for (std::size_t i = 0; i < step_s.size(); ++i) {
    std::vector<double> ratios;
    for (std::size_t d = 0; d < draws; ++d) ratios.push_back(step_s[i][d] / step_s[0][d]);
    plan.best[i].over_first = estimate_of(ratios, middle);
    plan.best[i].chance_fastest = static_cast<double>(won[i]) / static_cast<double>(draws);
  }
}

std::string gpus_of(const Run& run) {
  return fmt::format("{} GPU{}", run.gpus, run.gpus == 1 ? "" : "s");
}

[[noreturn]] void refuse(const Run& run, const System& system, const LayoutSearch& found) {
  if (found.legal == 0)
    throw BadInput(
        fmt::format("no layout of {} with {} sequences a step is possible; the last one tried: {}",
                    gpus_of(run), *run.global_batch_sequences, found.refusal));
  throw BadInput(fmt::format("none of {} layouts of {} fits {}; the nearest, {}", found.legal,
                             gpus_of(run), system.id, found.nearest_miss));
}

// Without what its source says of it.
Run as_plan(Run run) {
  Published nothing;
  nothing.mfu_attention = run.published.mfu_attention;  // how FLOPs are counted
  run.published = nothing;
  run.source.reset();
  return run;
}

}  // namespace

LayoutPlan make_plan(const Run& original, const System& system, const RateBook& book,
                     const Knowledge& knowledge, const PlanOptions& options) {
  LayoutPlan out;
  out.run = as_plan(carried_to(original, system));
  out.system_id = system.id;
  const LayoutSearch found = search_layouts(out.run, system);
  if (found.fitting.empty()) refuse(out.run, system, found);
  out.legal = found.legal;
  out.fitting = found.fitting.size();

  const StepBelief belief = step_belief(out.run, system, book, knowledge);
  const std::vector<double> step_s =
      priced(out.run, found.fitting, system, book, belief.centre, options.threads);
  const std::vector<std::size_t> order = fastest_of_sizes(found.fitting, step_s);
  out.sizes = order.size();
  if (out.run.parallel) {
    std::vector<double> fastest;
    for (const std::size_t i : order) fastest.push_back(step_s[i]);
    out.own = own_layout(out.run, system, book, belief.centre, fastest);
  }

  Run run = out.run;
  for (const std::size_t i : order) {
    if (out.best.size() == options.most) break;
    run.parallel = found.fitting[i].parallel;
    out.best.push_back(
        {found.fitting[i], predict(run, system, book, knowledge, options.predict), {}, {}});
  }
  std::ranges::stable_sort(
      out.best, {}, [](const PlannedLayout& l) { return l.prediction.estimates.step_time_s.p50; });
  std::vector<std::vector<Candidate>> ways;
  for (const PlannedLayout& planned : out.best) {
    run.parallel = planned.layout.parallel;
    ways.push_back(candidates(run, system, book, belief.centre));
  }
  compare_draws(out, ways, belief, options.predict);
  return out;
}

std::string beyond_published(const LayoutPlan& plan, const Library& library) {
  struct Size {
    const char* name;
    std::int64_t Parallel::*of;
  };
  constexpr std::array kSizes = {Size{"tp", &Parallel::tp}, Size{"cp", &Parallel::cp},
                                 Size{"pp", &Parallel::pp}, Size{"ep", &Parallel::ep}};
  std::array<std::int64_t, kSizes.size()> most{};
  for (const std::string& id : library.ids("runs")) {
    const Run run = library.run(id);
    if (!run.parallel) continue;
    for (std::size_t i = 0; i < kSizes.size(); ++i)
      most[i] = std::max(most[i], *run.parallel.*kSizes[i].of);
  }
  std::vector<std::string> out;
  for (std::size_t i = 0; i < kSizes.size(); ++i) {
    std::int64_t largest = 0;
    for (const PlannedLayout& planned : plan.best)
      largest = std::max(largest, planned.layout.parallel.*kSizes[i].of);
    if (largest > most[i])
      out.push_back(
          fmt::format("{} {} (up to {} in published runs)", kSizes[i].name, largest, most[i]));
  }
  if (out.empty()) return "";
  return fmt::format("beyond the sizes of published runs, to which the engine was fitted: {}",
                     fmt::join(out, ", "));
}

}  // namespace trainmeter
