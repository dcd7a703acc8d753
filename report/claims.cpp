// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A claim's figures gathered, and the first rule that speaks.
#include "report/claims.hpp"

#include "record/error.hpp"
#include "record/names.hpp"
#include "record/statistics.hpp"
#include "report/claim_arithmetic.hpp"
#include "report/claim_rates.hpp"
#include "report/claim_rules.hpp"
#include "report/claim_work.hpp"
#include "report/stages.hpp"
#include "report/transfer.hpp"
#include "workload/limits.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace trainmeter {
namespace {

std::optional<System> system_of(const Run& run) {
  if (run.system) return run.system;
  for (const Stage& stage : run.stages) {
    if (stage.run && stage.run->system) return stage.run->system;
  }
  return std::nullopt;
}

// What a claim on `system` is held against, published and of the user's records, and the rates that
// its run is predicted with, which are the user's alone where there are any.
struct Known {
  RateBook published, measured;
  RateBook on_the_chip;  // of the measured ones: what comes from farther away is an estimate
  bool users = false;

  [[nodiscard]] const RateBook& to_predict() const { return users ? measured : published; }
};

Known known_for(const System& system, const Library& library, const JudgeOptions& options) {
  Known out;
  out.published.add_published(library, system);
  out.users = !options.rates.empty();
  out.measured.describe(system);
  if (!out.users) return out;
  (void)add_projected(out.measured, options.rates, system, library);
  RateBook all;  // the most that was measured is the ceiling, by whichever line
  all.describe(system);
  (void)add_projected(all, options.rates, system, library, OfACase::all);
  for (const RatePoint& point : all.points()) {
    if (point.nearness <= Nearness::same_chip) out.on_the_chip.add(point);
  }
  return out;
}

void add_work(Verdict& out, const Run& run, std::optional<double> hours, const RateBook& book,
              const System& system, const Knowledge& knowledge) {
  if (const auto implied = implied_by(run, hours)) out.implied.push_back(*implied);
  if (!run.model && !is_in_stages(run)) return;
  try {
    out.predicted.push_back({run.id, predict_run(run, system, book, knowledge, {}), hours});
  } catch (const BadInput& error) {
    std::string why = error.what();
    const std::string place = run.place.file + ": ";
    if (why.starts_with(place)) why.erase(0, place.size());
    out.not_predicted.push_back(
        fmt::format("{}{}: {}", run.id,
                    hours ? fmt::format(" ({} GPU-hours)", format_count(*hours)) : "", why));
  }
}

void add_ceilings(Verdict& out, const Known& known) {
  std::vector<std::string> dtypes;
  for (const Implied& implied : out.implied) {
    if (implied.operation == "gemm") dtypes.push_back(implied.precision);
  }
  for (const char* dtype : {"bf16", "fp8"}) dtypes.emplace_back(dtype);
  for (const std::string& dtype : dtypes) {
    const bool there =
        std::ranges::find(out.ceilings, dtype, &Ceiling::dtype) != out.ceilings.end();
    const auto ceiling =
        higher(ceiling_for(known.published, dtype), ceiling_for(known.on_the_chip, dtype));
    if (ceiling && !there) out.ceilings.push_back(*ceiling);
  }
}

void mark_own(Verdict& out, const Library& library) {
  for (const std::string& id : library.ids("micro")) {
    for (const MicroFigure& figure : library.micro(id).figures) {
      for (Ceiling& ceiling : out.ceilings) {
        if (ceiling.figure == figure.id) ceiling.own = published_by(out.who, figure.source);
      }
    }
  }
}

// Files of the published data by their place in it, wherever that lies.
std::string by_place_in(const std::filesystem::path& root, std::string text) {
  const std::string folder = root.string() + "/";
  for (std::size_t at = text.find(folder); at != std::string::npos; at = text.find(folder, at))
    text.erase(at, folder.size());
  return text;
}

// What the user's GEMMs drew, at the median, and on which devices; nothing where the records don't
// say.
void set_power(CostOptions& to, const RateBook& book, const System& system) {
  std::vector<double> watts;
  std::set<std::string> devices;
  for (const RatePoint& point : book.points()) {
    if (point.operation != "gemm" || !(point.power_w > 0)) continue;
    watts.push_back(point.power_w);
    devices.insert(point.transferred.empty() ? system.id : point.transferred);
  }
  if (watts.empty()) return;
  to.power_w = median(watts);
  to.power_how = fmt::format("measured on {}", fmt::join(devices, " and "));
}

void add_arithmetic(Verdict& out, const Claim& claim) {
  out.arithmetic = sums_of(claim);
  if (const auto work = work_of(claim.run)) out.arithmetic.push_back(*work);
  if (const auto peak = denominator_of(claim.run)) out.arithmetic.push_back(*peak);
  const auto add_speed = [&](const Run& run, std::optional<double> hours) {
    if (const auto apart = steady_rates_apart(run)) out.arithmetic.push_back(*apart);
    if (const auto wrong = faster_than_steady(run, hours)) out.arithmetic.push_back(*wrong);
  };
  add_speed(claim.run, hours_of(claim.run));
  for (const Stage& stage : claim.run.stages) {
    if (stage.run) add_speed(*stage.run, stage.gpu_hours);
  }
}

void add_measured(Verdict& out, const Claim& claim, const System& system, const Library& library,
                  const JudgeOptions& options) {
  const Known known = known_for(system, library, options);
  if (claim.kernel) {
    out.implied.push_back(implied_by(*claim.kernel, claim.run.id));
    const auto ceiling = higher(ceiling_for(*claim.kernel, system, library),
                                ceiling_for(*claim.kernel, known.on_the_chip));
    if (ceiling) out.ceilings.push_back(*ceiling);
    return;
  }
  const Knowledge knowledge = load_knowledge(library);
  const RateBook& book = known.to_predict();
  if (claim.run.model || !is_in_stages(claim.run))  // else stage by stage: some can't be predicted
    add_work(out, claim.run, hours_of(claim.run), book, system, knowledge);
  for (const Stage& stage : claim.run.stages) {
    if (stage.run) {
      add_work(out, *stage.run, stage.gpu_hours, book, stage.run->system.value_or(system),
               knowledge);
    }
  }
  add_ceilings(out, known);
  CostOptions priced = options.cost;
  if (!priced.power_w) set_power(priced, known.measured, system);
  if (const auto hours = hours_of(claim.run))
    out.cost = cost_of({*hours, *hours, *hours}, system, library, priced);
}

Claim original_of(const Claim& claim, const Library& library) {
  return referred(claim.run.place.file + ": about",
                  [&] { return library.for_names_in_files().claim(claim.about); });
}

void decide(Verdict& out, const Run& run) {
  std::optional<Finding> finding = contradiction(out);
  if (!finding) finding = above_measured(out);
  if (!finding) finding = within_measured(out, run);
  if (!finding) finding = nothing_to_test(out, run);
  out.verdict = finding->verdict;
  out.rule = finding->rule;
  out.reason = finding->reason;
  out.would_change = finding->would_change;
}

}  // namespace

std::string ClaimPrediction::place() const {
  const auto& range = prediction.estimates.gpu_hours;
  if (!range || !claimed_gpu_hours) return "";
  if (range->p05 <= *claimed_gpu_hours && *claimed_gpu_hours <= range->p95) return "within";
  return *claimed_gpu_hours < range->p05 ? "below" : "above";
}

Verdict judge(const Claim& claim, const Library& library, const JudgeOptions& options) {
  Verdict out;
  out.id = claim.run.id;
  out.title = claim.run.title;
  out.gpu_hours = claim.run.published.gpu_hours;
  out.cost_usd = claim.run.published.cost_usd;
  out.source = claim.source;
  out.place = claim.run.place;
  out.run_below = claim.run_below;
  out.sentence = claim.sentence;
  out.who = claim.who;
  out.said_on = claim.said_on;
  out.constructed = claim.constructed;
  out.counts = claim.counts;
  out.leaves_out = claim.leaves_out;

  add_arithmetic(out, claim);
  if (const auto system = system_of(claim.run)) {
    add_measured(out, claim, *system, library, options);
    mark_own(out, library);
  }
  for (std::string& reason : out.not_predicted)
    reason = by_place_in(library.root(), std::move(reason));
  if (!claim.about.empty()) out.plainly = mixed_up(claim, original_of(claim, library));
  decide(out, claim.run);
  return out;
}

}  // namespace trainmeter
