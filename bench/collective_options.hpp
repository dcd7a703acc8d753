// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The flags that collective_bench alone has: which collective between whom, and nccl-tests' own.
#pragma once

#include "kernels/rank_groups.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace trainmeter {

// Dispatch and combine, whose sizes follow from a model and its tokens.
bool of_experts(const std::string& operation);

struct CollectiveOptions {
  std::vector<std::string> operations = {"allreduce"};
  std::vector<std::string> backends;     // empty: all there are
  std::vector<bool> in_place = {false};  // one case for each
  std::string split_text;                // as it was given
  Split split;
  std::int64_t nodes = 1, group_limit = 0;  // of dispatch and combine; 0: the model's
  std::int64_t skew_pct = 0;                // hundredths of the exponent
  int virtual_ranks = 0;                    // on one GPU; 0: none
  std::string system;  // whose links are expected where NVML doesn't tell; "": none

  bool nccl_tests = false;                                                   // --format=nccl-tests
  std::int64_t least_bytes = 0, most_bytes = 0, step_bytes = 0, factor = 1;  // -b -e -i -f
  std::optional<std::int64_t> iterations, warmup;                            // -n -w
  bool whole_elements = false;  // sizes are theirs: rounded down to the type's, as there
  std::int64_t checks = 1;      // -c; a result is checked once, or with 0 not at all
  int gpus = 0;                 // -g; 0: all
};

// The texts of the flags, until all are known.
struct CollectiveFlags {
  std::string operations, backends, places, split, nodes, group_limit, skew, virtual_ranks, system,
      format = "google";
  std::string least, most, step, factor, iterations, warmup, check, gpus, reduction, type;

  void add(CLI::App& app);
  // BadInput for anything that isn't right. Sizes and element types of nccl-tests' flags go to
  // `bytes` and `dtypes`, where -b and -d are given or the format asks for their defaults.
  [[nodiscard]] CollectiveOptions read(std::vector<std::int64_t>& bytes,
                                       std::vector<std::string>& dtypes) const;
};

}  // namespace trainmeter
