// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The rows of an operation beside traffic, as overlap_bench writes them.
#pragma once

#include "record/overlap.hpp"

#include <string>
#include <vector>

namespace trainmeter {

// Of `alone`, which has the case's name: `slower` times the usual time beside traffic on one core,
// which itself takes `co_slower` times as long beside it.
inline std::vector<Measurement> overlap_of(Measurement alone, const std::string& traffic,
                                           double slower, double co_slower = 1) {
  alone.shape[kCoSms] = 1;
  OverlapRows rows = overlap_rows(alone, traffic, 1, false);
  rows.alone.paired_with = alone.paired_with;
  for (double& time_s : rows.together.time_s) time_s *= slower;
  for (Measurement* row : {&rows.co_alone, &rows.co_together}) {
    row->time_s = alone.time_s;
    row->bytes = 1e6;
    row->verified = true;
    row->at = alone.at;
  }
  for (double& time_s : rows.co_together.time_s) time_s *= co_slower;
  return {rows.alone, rows.held, rows.together, rows.co_alone, rows.co_together};
}

}  // namespace trainmeter
