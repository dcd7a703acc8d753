// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The engine against every published run: errors, ranges and scores by family, beside the null
// model's. No row is predicted with factors that its own family took part in.
#pragma once

#include "report/calibrate.hpp"
#include "report/document.hpp"
#include "report/predict.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace trainmeter {

struct ValidatedRow {
  std::string id, family;
  double published_s = 0;
  Estimate predicted;
  double error_pct = 0, null_error_pct = 0;  // of step time
  bool inside = false;                       // published within the 90 % range
  // Gneiting and Raftery (2007), in log step time: width of the 90 % range, and 20 times what the
  // published value lies outside. Less is better.
  double interval_score = 0;
  double width = 0;  // p95 / p05 - 1
};

struct FamilyScore {
  std::string family;
  std::size_t rows = 0;
  double mean_pct = 0, median_pct = 0, max_pct = 0, null_mean_pct = 0;  // of absolute errors
  double coverage = 0, interval_score = 0, width = 0;
};

// A row that is looked at apart: DeepSeek-V3's slot, and its step with the trace as an input.
struct SpecialRow {
  std::string what;
  double published_s = 0;
  Estimate predicted;
  double error_pct = 0;
};

struct Rung {  // the causes of a step's length, one by one
  std::string what;
  double step_s = 0;
  double error_pct = 0;
};

struct Validation {
  std::vector<ValidatedRow> rows;
  std::vector<FamilyScore> families;
  std::vector<UnscoredRun> unscored;
  std::vector<SpecialRow> special;
  std::vector<Rung> ladder;
  // Every family alike.
  double mean_pct = 0, null_mean_pct = 0, h100_bf16_mean_pct = 0;
  double coverage = 0, width = 0, interval_score = 0;
  // The null model times the 5 % and 95 % quantiles of its own errors over these very rows: the
  // best range that a constant could have.
  double null_interval_score = 0;
  std::vector<std::string> worse_than_null;  // families of three rows and more
};

struct ValidateOptions {
  int samples = 1000;
  std::uint64_t seed = 1;
  int threads = 0;  // 0: as many as there are cores
};

Validation validate(const Library& library, const ValidateOptions& options);
Calibration fit_again(const Library& library);

Document to_document(const Validation& validation);
nlohmann::ordered_json to_json(const Validation& validation);

}  // namespace trainmeter
