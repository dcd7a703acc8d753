// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What published steps say about the factors: a Bayesian fit in logarithms, priors from
// factors.json, every family worth at most as much as three rows, and once more without each
// family, so that no row is judged by factors that its own family took part in.
#pragma once

#include "report/predict.hpp"

#include <string>
#include <vector>

namespace trainmeter {

// A published step with all that its prediction needs.
struct ScoredRun {
  Run run;
  double published_s = 0;
  double null_s = 0;
  std::vector<Candidate> ways;  // possible_ways(): their weights follow from a fit's factors
};

struct UnscoredRun {
  std::string id, family, reason;
};

struct Rows {
  std::vector<ScoredRun> scored;
  std::vector<UnscoredRun> unscored;
};

// Every published run: with its bill, or with the reason why it has none. Whole-run hours are not
// scored as steps: they hold restarts and evaluation.
Rows published_rows(const Library& library);

Calibration calibrate(const Rows& rows, const FactorTable& factors);

// What a fit of all rows has left to gain: the most by which its misfit (a squared number of
// standard deviations) falls where one factor's logarithm is moved by `by`, up or down.
double left_to_gain(const Rows& rows, const FactorTable& factors, const Belief& belief, double by);

// The error of log step time, predicted / published, at the belief's mean.
double log_error(const ScoredRun& row, const Belief& belief);

}  // namespace trainmeter
