// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the options say of measuring: rules, operands, the program's name.
#include "bench/options.hpp"

#include <algorithm>
#include <map>

namespace trainmeter {

std::string program_name(Program program) {
  switch (program) {
    case Program::gemm:
      return "gemm_bench";
    case Program::memory:
      return "memory_bench";
    case Program::attention:
      return "attention_bench";
    case Program::layer:
      return "layer_bench";
    case Program::collective:
      return "collective_bench";
    case Program::overlap:
      return "overlap_bench";
  }
  return {};
}

Rules Options::rules() const {
  Rules rules;
  rules.target = target;
  if (program == Program::overlap) {  // 30 samples of each of four or five in turn
    rules.target = 0;
    rules.min_time_s = 0.03;
    rules.min_samples = 30;
  }
  if (regime == "burst") {  // DeepGEMM's and other published figures: a few runs of a rested device
    rules.rest_s = 1;
    rules.warmup_s = rules.max_warmup_s = rules.min_time_s = rules.target = 0;
    rules.max_samples = 30;
  } else if (regime == "sustained") {  // until clock and temperature have settled
    rules.first_warmup_s = 30;
    rules.min_time_s = rules.max_time_s = 10;
  }
  if (case_seconds) rules.max_time_s = *case_seconds;
  rules.min_time_s = google.min_time_s.value_or(rules.min_time_s);
  rules.warmup_s = google.min_warmup_s.value_or(rules.warmup_s);
  rules.max_warmup_s = std::max(rules.max_warmup_s, 2 * rules.warmup_s);
  // Percentiles of a collective are those of single runs, unless a time was asked for.
  rules.batch_for_time =
      program != Program::collective || google.min_time_s || regime == "sustained";
  rules.check = collective.checks > 0;
  rules.warmup_samples = collective.warmup;
  if (collective.iterations) {
    rules.min_samples = rules.max_samples = *collective.iterations;
    rules.min_time_s = rules.target = 0;
  }
  return rules;
}

OperandOptions Options::operands(std::int64_t rotate_bytes) const {
  static const std::map<std::string, Values> kValues = {{"normal", Values::normal},
                                                        {"uniform", Values::uniform},
                                                        {"zeros", Values::zeros},
                                                        {"integers", Values::integers}};
  return {.rotate_bytes = cache == "rotate" ? rotate_bytes : 0, .values = kValues.at(data)};
}

Rules Options::quick_rules() const {
  Rules quick = rules();
  quick.warmup_s /= 5;
  quick.max_warmup_s /= 5;
  quick.min_time_s /= 5;
  quick.round_s /= 5;
  quick.min_samples = 3;
  quick.target = 0;
  return quick;
}

}  // namespace trainmeter
