// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Two tables of names.
#include "record/nccl_names.hpp"

#include <array>
#include <span>

namespace trainmeter {
namespace {

struct Pair {
  std::string_view ours, theirs;
};

constexpr std::array<Pair, 8> kPrograms = {{{"allreduce", "all_reduce_perf"},
                                            {"allgather", "all_gather_perf"},
                                            {"reducescatter", "reduce_scatter_perf"},
                                            {"broadcast", "broadcast_perf"},
                                            {"reduce", "reduce_perf"},
                                            {"alltoall", "alltoall_perf"},
                                            {"alltoallv", "alltoallv_perf"},
                                            {"sendrecv", "sendrecv_perf"}}};
constexpr std::array<Pair, 7> kTypes = {{{"fp32", "float"},
                                         {"fp64", "double"},
                                         {"fp16", "half"},
                                         {"bf16", "bfloat16"},
                                         {"int8", "int8"},
                                         {"fp8", "f8e4m3"},
                                         {"fp8_e5m2", "f8e5m2"}}};

std::string theirs(std::span<const Pair> pairs, std::string_view ours) {
  for (const Pair& pair : pairs) {
    if (pair.ours == ours) return std::string(pair.theirs);
  }
  return "";
}

std::string ours(std::span<const Pair> pairs, std::string_view theirs) {
  for (const Pair& pair : pairs) {
    if (pair.theirs == theirs) return std::string(pair.ours);
  }
  return "";
}

}  // namespace

std::string nccl_program(std::string_view operation) {
  return theirs(kPrograms, operation);
}

std::string operation_of_nccl(std::string_view program) {
  return ours(kPrograms, program);
}

std::string nccl_type(std::string_view dtype) {
  return theirs(kTypes, dtype);
}

std::string dtype_of_nccl(std::string_view type) {
  return ours(kTypes, type);
}

bool nccl_counts_parts(std::string_view operation) {
  return operation == "allgather" || operation == "reducescatter" || operation == "alltoall" ||
         operation == "alltoallv";
}

}  // namespace trainmeter
