// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which parallel layout trains a model fastest on so many GPUs: every one that fits is priced with
// each input at its middle, the fastest are predicted with their ranges and compared draw by draw.
// docs/planning.md explains it.
#pragma once

#include "report/document.hpp"
#include "report/predict.hpp"
#include "workload/layout_search.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

struct PlannedLayout {
  FittingLayout layout;
  Prediction prediction;  // as of a run file with this layout
  // Step time / the first layout's. What both have in common cancels; the error of the model's form
  // counts as each layout's own, since it may err in one and not in the other.
  Estimate over_first;
  // Share of the draws in which it is, among those listed; nothing without draws.
  std::optional<double> chance_fastest;
};

// The layout that the run came with.
struct OwnLayout {
  Parallel parallel;
  std::string why_not;     // where no step follows from it; empty else
  double step_time_s = 0;  // with every input at its middle
  double over_best = 0;    // that / the fastest one's
  std::size_t faster = 0;  // sizes (tp, pp, cp, ep, ZeRO) whose fastest layout is faster
};

struct LayoutPlan {
  Run run;  // what it was made for, with the layout that it came with
  std::string system_id;
  std::size_t legal = 0, fitting = 0;  // layouts, recomputation apart
  std::size_t sizes = 0;               // of those that fit, different in tp, pp, cp, ep or ZeRO
  std::vector<PlannedLayout> best;     // the fastest first, one of each size
  std::optional<OwnLayout> own;
  std::vector<std::string> notes;  // assumptions of all of them
};

struct PlanOptions {
  PredictOptions predict;
  std::size_t most = 10;  // layouts to list
  int threads = 0;        // 0: as many as there are cores; the result is the same for any number
};

// BadInput where no layout is legal or fits (names the one that needs least), and as predict().
LayoutPlan make_plan(const Run& run, const System& system, const RateBook& rates,
                     const Knowledge& knowledge, const PlanOptions& options);

// One of several numbers of GPUs; no layout of it may fit.
struct PlanOfGpus {
  std::int64_t gpus = 1;
  std::optional<LayoutPlan> plan;
  std::string why_not;
};

// Which sizes of the listed layouts no published run here has: the engine's factors were fitted to
// smaller ones. Empty: none.
std::string beyond_published(const LayoutPlan& plan, const Library& library);

Document to_document(const LayoutPlan& plan);
nlohmann::ordered_json to_json(const LayoutPlan& plan);
// Of several, at least one of which has a plan.
Document to_document(const std::vector<PlanOfGpus>& plans);
nlohmann::ordered_json to_json(const std::vector<PlanOfGpus>& plans);

// As in a run file.
nlohmann::ordered_json to_json(const Parallel& parallel);

}  // namespace trainmeter
