// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A claim's figures gathered, and the first rule that speaks.
#include "report/claims.hpp"

#include "record/error.hpp"
#include "record/statistics.hpp"
#include "report/claim_arithmetic.hpp"
#include "report/claim_rules.hpp"
#include "report/claim_work.hpp"
#include "report/stages.hpp"
#include "report/transfer.hpp"

#include <algorithm>

namespace trainmeter {
namespace {

std::optional<System> system_of(const Run& run) {
  if (run.system) return run.system;
  for (const Stage& stage : run.stages) {
    if (stage.run && stage.run->system) return stage.run->system;
  }
  return std::nullopt;
}

RateBook rates_for(const System& system, const Library& library, const JudgeOptions& options) {
  RateBook book;
  book.describe(system);
  if (options.rates.empty()) {
    book.add_published(library, system);
  } else {
    (void)add_projected(book, options.rates, system, library);
  }
  return book;
}

void add_work(Verdict& out, const Run& run, std::optional<double> hours, const RateBook& book,
              const System& system, const Knowledge& knowledge) {
  if (const auto implied = implied_by(run, hours)) out.implied.push_back(*implied);
  if (!run.model) return;
  try {
    out.predicted.push_back({run.id, predict_run(run, system, book, knowledge, {})});
  } catch (const BadInput& error) {
    out.not_predicted.emplace_back(error.what());
  }
}

void add_ceilings(Verdict& out, const RateBook& book) {
  std::vector<std::string> dtypes;
  for (const Implied& implied : out.implied) {
    if (implied.operation == "gemm") dtypes.push_back(implied.precision);
  }
  for (const char* dtype : {"bf16", "fp8"}) dtypes.emplace_back(dtype);
  for (const std::string& dtype : dtypes) {
    const bool there =
        std::ranges::find(out.ceilings, dtype, &Ceiling::dtype) != out.ceilings.end();
    if (const auto ceiling = ceiling_for(book, dtype); ceiling && !there)
      out.ceilings.push_back(*ceiling);
  }
}

// What the measured GEMMs drew, at the median; nothing where the records don't say.
std::optional<double> power_of(const RateBook& book) {
  std::vector<double> watts;
  for (const RatePoint& point : book.points()) {
    if (point.operation == "gemm" && !point.published && point.power_w > 0)
      watts.push_back(point.power_w);
  }
  if (watts.empty()) return std::nullopt;
  return median(watts);
}

void add_arithmetic(Verdict& out, const Claim& claim) {
  out.arithmetic = sums_of(claim);
  if (const auto work = work_of(claim.run)) out.arithmetic.push_back(*work);
  if (const auto peak = denominator_of(claim.run)) out.arithmetic.push_back(*peak);
}

void add_measured(Verdict& out, const Claim& claim, const System& system, const Library& library,
                  const JudgeOptions& options) {
  if (claim.kernel) {
    out.implied.push_back(implied_by(*claim.kernel, claim.run.id));
    const auto ceiling = options.rates.empty()
                             ? ceiling_for(*claim.kernel, system.id, library)
                             : ceiling_for(*claim.kernel, rates_for(system, library, options));
    if (ceiling) out.ceilings.push_back(*ceiling);
    return;
  }
  const Knowledge knowledge = load_knowledge(library);
  const RateBook book = rates_for(system, library, options);
  add_work(out, claim.run, hours_of(claim.run), book, system, knowledge);
  for (const Stage& stage : claim.run.stages) {
    if (stage.run) {
      add_work(out, *stage.run, stage.gpu_hours, book, stage.run->system.value_or(system),
               knowledge);
    }
  }
  add_ceilings(out, book);
  CostOptions priced = options.cost;
  if (!priced.power_w) priced.power_w = power_of(book);
  if (const auto hours = hours_of(claim.run))
    out.cost = cost_of({*hours, *hours, *hours}, system, library, priced);
}

void decide(Verdict& out, const Run& run) {
  std::optional<Finding> finding = contradiction(out);
  if (!finding) finding = above_measured(out);
  if (!finding) finding = within_measured(out);
  if (!finding) finding = nothing_to_test(out, run);
  out.verdict = finding->verdict;
  out.rule = finding->rule;
  out.reason = finding->reason;
  out.would_change = finding->would_change;
}

}  // namespace

Verdict judge(const Claim& claim, const Library& library, const JudgeOptions& options) {
  Verdict out;
  out.id = claim.run.id;
  out.title = claim.run.title;
  out.gpu_hours = claim.run.published.gpu_hours;
  out.cost_usd = claim.run.published.cost_usd;
  out.source = claim.source;
  out.sentence = claim.sentence;
  out.who = claim.who;
  out.said_on = claim.said_on;
  out.constructed = claim.constructed;
  out.counts = claim.counts;
  out.leaves_out = claim.leaves_out;

  add_arithmetic(out, claim);
  if (const auto system = system_of(claim.run)) {
    add_measured(out, claim, *system, library, options);
  }
  if (!claim.about.empty()) out.plainly = mixed_up(claim, library.claim(claim.about));
  decide(out, claim.run);
  return out;
}

}  // namespace trainmeter
