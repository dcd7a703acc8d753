// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A run file whose software lists operations of its own.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>

namespace trainmeter {

// A GELU twelve times and a GEMM of 1024 x n x 1024 a hundred times.
inline nlohmann::json eager_run(std::int64_t n = 1024) {
  return {
      {"id", "eager"},
      {"title", "eager"},
      {"gpus", 1},
      {"model", "gpt2-124m"},
      {"seq_len", 256},
      {"global_batch_sequences", 4},
      {"stack", "other"},
      {"parallel",
       {{"microbatch_sequences", 4}, {"recompute", "none"}, {"overlap", nlohmann::json::array()}}},
      {"operations",
       {{{"operation", "eager_gelu"},
         {"dtype", "bf16"},
         {"shape", {{"rows", 1024}, {"cols", 3072}}},
         {"bytes", 3e7},
         {"count", 12}},
        {{"operation", "gemm"},
         {"dtype", "bf16"},
         {"layout", "nt"},
         {"shape", {{"m", 1024}, {"n", n}, {"k", 1024}}},
         {"bytes", 6e6},
         {"count", 100}}}}};
}

}  // namespace trainmeter
