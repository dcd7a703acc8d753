// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a prediction takes as given, beside rates and factors: from run, model and system files, the
// command line, or constants of this program.
#pragma once

#include "workload/run.hpp"

#include <string>
#include <vector>

namespace trainmeter {

struct UsedInput {
  std::string what;  // as its number is called: gpus, price_usd_per_gpu_hour
  double value = 0;
  std::string how;   // what it is, or whose
  std::string kind;  // a number's (report/numbers.hpp); empty: by whose file it stands in
  KeyPlace place;    // a file without that key leaves it to the default
  // Where it stands in no JSON file: a record's FILE:LINE, the command line, a constant's file.
  std::vector<std::string> origins;
  std::vector<std::string> numbers;  // ids of a story's numbers that it follows from
  std::vector<std::string> of;       // other inputs that it follows from
  std::vector<std::string> parts;    // of the breakdown that it acts on
};

// What the run file says of the work and the cluster: gpus, tokens, seq_len, ...
std::vector<UsedInput> run_inputs(const Run& run);

// Model FLOPs of a step, which follow from the model's file and the batch.
UsedInput step_flops(const Run& run, double flops);

}  // namespace trainmeter
