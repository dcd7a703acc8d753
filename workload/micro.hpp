// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Micro-benchmarks that others published for one kind of GPU (results/published/micro/<id>.json):
// the ceiling that a claim is held against, and rates to predict with where nothing was measured.
#pragma once

#include "record/strict_json.hpp"
#include "workload/model.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// One published figure; exactly one of the three rates is there.
struct MicroFigure {
  KeyPlace place;  // of the rate
  std::string id;
  std::string operation;  // gemm copy read write triad allreduce alltoall ... as in a record
  std::string dtype;
  std::string scaling = "none";  // none tensor block128
  std::string backend;           // cublas, deepgemm, nccl, ...
  std::map<std::string, std::int64_t>
      shape;  // gemm: m n k (and groups); collectives: bytes (payload); empty where not printed
  std::int64_t ranks = 1;
  std::optional<double> flops_per_s;      // per GPU
  std::optional<double> bytes_per_s;      // per GPU: memory kernels
  std::optional<double> bus_bytes_per_s;  // per GPU: collectives, as nccl-tests defines busbw
  bool predicts = true;  // false: later than the runs that are predicted, so no rate for them
  // A claim of its own that exceeds every other figure (a test holds the claims' verdicts against
  // this): no ceiling, and no rate to predict with.
  bool refuted = false;
  Source source;
};

// The operations that a figure may be of, and the one of its three rates that each has.
const std::vector<std::string>& micro_operations();
std::string rate_key_of(const std::string& operation);

struct Micro {
  std::string id;
  std::string system;  // id of the system file
  std::string title;
  std::vector<MicroFigure> figures;
};

Micro read_micro(StrictObject object);

}  // namespace trainmeter
