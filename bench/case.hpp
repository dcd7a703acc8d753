// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One case of a benchmark program: what is measured, how much work it is, and how to prepare it.
#pragma once

#include "kernels/co_runner.hpp"
#include "kernels/operation.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// What runs beside a case, on SMs (cores) of its own.
struct Overlap {
  CoRunnerProblem beside;
  // The case for the SMs that are left; none: it isn't told of them, and its grid is for all. (On a
  // CPU both run on as many threads as there are.)
  std::function<std::unique_ptr<Operation>(const OperandOptions&)> make_rest;
  // Of a layer, whose parts have each such a make_rest: what the co-runner is to move while the
  // layer runs once, read and written, where its rate isn't set; 0: as much as it can.
  double bytes_a_run = 0;
};

struct Case {
  std::string name;  // gemm/fp32/onednn/m:1024/n:1024/k:1024
  std::string operation;
  std::string dtype;
  std::string backend;
  std::map<std::string, std::int64_t> shape;
  std::string layout = "none";
  std::string scaling = "none";
  double flops = 0;         // of one run
  double bytes = 0;         // of one run
  double memory_bytes = 0;  // that its operands take at least
  std::int64_t cores = 0;   // that work on it; 0: all of the device
  std::map<std::string, std::string>
      notes;                               // for its row: how it differs from the program's others
  std::optional<OperandOptions> operands;  // where not those of the whole program
  std::function<std::unique_ptr<Operation>(const OperandOptions&)> make;

  // Of a layer, which has no `make`: what it is composed of, each with the ways to do it here, the
  // preferred first; and which part runs when. Else empty.
  std::vector<std::vector<Case>> parts;
  std::vector<std::size_t> order;
  // And whether it is right as a whole (bench/layer_check.hpp). Unavailable where that can't be
  // told here.
  std::function<Check()> check_whole;
  std::optional<Overlap> overlap;  // of overlap_bench, and of a layer beside a co-runner
};

// What a case list was asked for and cannot have here, one reason each ("gemm/fp8: ...").
struct CaseList {
  std::vector<Case> cases;
  std::vector<std::string> left_out;
};

}  // namespace trainmeter
