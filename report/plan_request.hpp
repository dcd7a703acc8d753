// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a plan is asked for, as a run file without a layout: of a run file, of options, or of both;
// and the run file of a layout that was found.
#pragma once

#include "report/plan.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// Tokens of a step, and of a sequence, where nothing says how many: Llama 2's (arXiv 2307.09288,
// 2.2).
inline constexpr std::int64_t kUsualStepTokens = 4 << 20, kUsualSequence = 4096;

// Keys of a run file, before those of the file `run`.
struct PlanRequest {
  std::string run;    // id or file; empty: none
  std::string model;  // id or file
  std::optional<std::int64_t> gpus, seq_len, global_batch_sequences;
  std::optional<double> tokens;
  std::string precision, stack;
};

struct PlanFile {
  nlohmann::json json;
  std::string where;  // the file it was read from; "plan" where there is none
  Run run;
  std::vector<std::string> notes;  // what was assumed
};

// Its run has the layout of the file, for its GPUs, where the model is the same. BadInput where
// there is neither run nor model or GPUs, or where it isn't one model's steps.
PlanFile read_request(const PlanRequest& request, const Library& library);

// Sequences and batch where nothing says them. The batch is one of which every GPU can have a share,
// of each of `gpus`, too, or every node where that is more than usual.
void fill_in(PlanFile& file, const System& system, const std::vector<std::int64_t>& gpus = {});

// A run file that predicts the layout on the system `on`: complete in itself, but for ids of
// published models and systems. `system` as it was asked for; "measured" leaves it out.
nlohmann::ordered_json run_file(const PlanFile& file, const Parallel& parallel,
                                const std::string& system, const System& on, const Library& library,
                                std::optional<double> price_usd_per_gpu_hour);

}  // namespace trainmeter
