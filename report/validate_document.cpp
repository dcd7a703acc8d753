// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The validation as tables and as JSON.
#include "report/validate.hpp"

#include <fmt/format.h>

#include <map>

namespace trainmeter {
namespace {

std::string percent(double value) {
  return fmt::format("{:+.1f} %", value);
}
std::string size(double value) {
  return fmt::format("{:.1f} %", value);
}
std::string seconds(double value) {
  return fmt::format("{:.4g}", value);
}
std::string range(const Estimate& e) {
  return fmt::format("{:.4g} to {:.4g}", e.p05, e.p95);
}

Table families_table(const Validation& v) {
  Table out{.columns = {"family", ">rows", ">mean error", ">median", ">largest", ">null model",
                        ">inside 90 %", ">interval score"},
            .rows = {}};
  for (const FamilyScore& f : v.families) {
    out.rows.push_back({f.family, fmt::format("{}", f.rows), size(f.mean_pct), size(f.median_pct),
                        size(f.max_pct), size(f.null_mean_pct),
                        fmt::format("{:.0f} %", f.coverage * 100),
                        fmt::format("{:.2f}", f.interval_score)});
  }
  return out;
}

Table summary_table(const Validation& v) {
  return {
      .columns = {"over families, each alike", ">engine", ">null model"},
      .rows = {
          {"mean absolute error of step time", size(v.mean_pct), size(v.null_mean_pct)},
          {"the same over H100 in bf16", size(v.h100_bf16_mean_pct), "-"},
          {"published values inside the 90 % range", fmt::format("{:.0f} %", v.coverage * 100),
           "-"},
          {"interval score (log step time; less is better)",
           fmt::format("{:.3f}", v.interval_score), fmt::format("{:.3f}", v.null_interval_score)},
          {"mean width of the range, p95 over p05", fmt::format("{:.2f}", 1 + v.width), "-"}}};
}

}  // namespace

Document to_document(const Validation& v) {
  Document out;
  out.push_back(Heading{1, "The engine against published runs"});
  out.push_back(
      Paragraph{"Step time, predicted / published - 1. Every run is predicted with factors that "
                "its own family "
                "(one source table on one kind of GPU in one precision) took no part in. The null "
                "model: 40 % of the dense bf16 peak for "
                "everything, exact causal FLOPs. Rates are published micro-benchmarks: nothing "
                "here was measured by us."});
  out.push_back(summary_table(v));
  if (!v.worse_than_null.empty()) {
    out.push_back(
        Paragraph{fmt::format("No better than the null model, with three rows or more: {}.",
                              fmt::join(v.worse_than_null, ", "))});
  }
  out.push_back(Heading{2, "By family"});
  out.push_back(families_table(v));
  out.push_back(Heading{2, "DeepSeek-V3, apart"});
  Table special{.columns = {"what", ">published, s", ">predicted, s", ">90 % range", ">error"},
                .rows = {}};
  for (const SpecialRow& s : v.special) {
    special.rows.push_back({s.what, seconds(s.published_s), seconds(s.predicted.p50),
                            range(s.predicted), percent(s.error_pct)});
  }
  out.push_back(special);
  out.push_back(Paragraph{"What makes the step as long as it is, one cause at a time:"});
  Table ladder{.columns = {"counted", ">step, s", ">error"}, .rows = {}};
  for (const Rung& r : v.ladder)
    ladder.rows.push_back({r.what, seconds(r.step_s), percent(r.error_pct)});
  out.push_back(ladder);
  out.push_back(Heading{2, "Every run"});
  Table rows{.columns = {"run", ">published, s", ">predicted, s", ">90 % range", ">error",
                         ">null model", "inside"},
             .rows = {}};
  for (const ValidatedRow& r : v.rows) {
    rows.rows.push_back({r.id, seconds(r.published_s), seconds(r.predicted.p50), range(r.predicted),
                         percent(r.error_pct), percent(r.null_error_pct), r.inside ? "yes" : "no"});
  }
  out.push_back(rows);
  out.push_back(Heading{2, "Not scored"});
  std::map<std::string, std::vector<std::string>> reasons;
  for (const UnscoredRun& u : v.unscored) reasons[u.reason].push_back(u.id);
  Bullets bullets;
  for (const auto& [reason, ids] : reasons) {
    bullets.items.push_back(fmt::format("{}: {}", reason, fmt::join(ids, ", ")));
  }
  out.push_back(bullets);
  out.push_back(Heading{2, "On your own machine"});
  out.push_back(
      Paragraph{"scripts/validate_step.sh times real training steps of small GPTs in PyTorch and "
                "predicts each, before, from rates of the same machine: docs/own-machine.md has "
                "its tables of three machines."});
  return out;
}

nlohmann::ordered_json to_json(const Validation& v) {
  auto out = nlohmann::ordered_json::array();
  for (const ValidatedRow& r : v.rows) {
    out.push_back({{"run_id", r.id},
                   {"family", r.family},
                   {"published_step_time_s", r.published_s},
                   {"predicted_step_time_s", to_json(r.predicted)},
                   {"error_pct", r.error_pct},
                   {"null_error_pct", r.null_error_pct},
                   {"inside_range", r.inside},
                   {"interval_score", r.interval_score},
                   {"scored", true}});
  }
  for (const UnscoredRun& u : v.unscored) {
    out.push_back(
        {{"run_id", u.id}, {"family", u.family}, {"scored", false}, {"reason", u.reason}});
  }
  return out;
}

}  // namespace trainmeter
