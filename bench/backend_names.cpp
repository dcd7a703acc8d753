// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Names, without the tables of kernels/backends.cpp: those hold what was built.
#include "bench/backend_names.hpp"

#include <map>

namespace trainmeter {

const std::vector<std::string>& backend_names(Program program) {
  static const std::map<Program, std::vector<std::string>> kNames = {
      {Program::gemm, {"onednn", "openblas", "cublaslt", "hopper", "mma", "reference"}},
      {Program::memory, {"openmp", "openmp_nt", "cuda", "copy_engine", "cuda_bulk"}},
      {Program::attention, {"openmp", "cudnn", "mma"}},
      {Program::collective, {"shm", "mpi", "gloo", "nccl", "peer"}}};
  static const std::vector<std::string> kNone;  // of programs without --versus and --backend
  const auto found = kNames.find(program);
  return found == kNames.end() ? kNone : found->second;
}

}  // namespace trainmeter
