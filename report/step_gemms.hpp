// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The GEMMs of models' steps that a record holds (gemm_bench --models): each by name, how often a
// step has it, at which rate, and all of them together.
#pragma once

#include "record/record.hpp"
#include "report/document.hpp"
#include "report/rates.hpp"
#include "workload/run.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace trainmeter {

struct StepGemm {
  std::string name, pass;  // q_b fprop
  double count = 0;        // in a step
  RatePoint point;
  double time_s = 0;  // of one
  double flops = 0, bytes = 0;
};

// In one type, as far as it was measured: of each GEMM the fastest; all experts in one launch
// rather than each by itself, a weight gradient added to a sum rather than alone.
struct StepGemms {
  std::string model;
  std::string
      step;  // "8192 tokens, tp 1, ep 64", "decoding 8 sequences, tp 1, ep 64"; "": not said
  std::string type;  // "bf16", "fp8, scales of tensors, on 112 SMs"
  std::vector<StepGemm> gemms;
  std::vector<std::string> missing;  // "lm_head dgrad"; of a published model

  [[nodiscard]] double time_s() const;  // of all of a step's
  [[nodiscard]] double flops() const;
  [[nodiscard]] double bytes() const;
};

// Of rows on normal data out of no cache, in the order of the records.
std::vector<StepGemms> steps_of(const std::vector<Record>& records, const Library& library);

// A table for each model and step, a column for each type; nothing where there is no such row.
Document to_document(const std::vector<StepGemms>& steps);
nlohmann::ordered_json to_json(const StepGemms& step);

}  // namespace trainmeter
