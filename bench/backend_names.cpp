// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Names, without the tables of kernels/backends.cpp: those hold what was built.
#include "bench/backend_names.hpp"

#include "record/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace trainmeter {

const std::vector<std::string>& backend_names(Program program) {
  static const std::vector<std::string> kGemms = {"onednn", "openblas", "cublaslt",
                                                  "hopper", "mma",      "reference"};
  static const std::map<Program, std::vector<std::string>> kNames = {
      {Program::gemm, kGemms},
      {Program::layer, kGemms},    // those that --versus may put in the GEMMs' place
      {Program::overlap, kGemms},  // and so here
      {Program::memory, {"openmp", "openmp_nt", "cuda", "copy_engine", "cuda_bulk"}},
      {Program::attention, {"openmp", "cudnn", "mma"}},
      {Program::collective, {"shm", "mpi", "gloo", "nccl", "peer"}}};
  return kNames.at(program);
}

void require_versus(const Options& options) {
  const std::vector<std::string>& known = backend_names(options.program);
  if (options.versus.empty() || std::ranges::find(known, options.versus) != known.end()) return;
  throw BadInput(
      fmt::format("--versus={}: expected one of {}", options.versus, fmt::join(known, ", ")));
}

}  // namespace trainmeter
