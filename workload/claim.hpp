// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A sentence that somebody published about a training run or a kernel, with its numbers
// (results/published/claims/<id>.json): a run file with more keys. docs/claims.md lists them.
#pragma once

#include "workload/run.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

inline constexpr std::int64_t kClaimSchema = 1;

// A sum that the source's figures allow: product(multiply) / product(divide) x exact, or
// sum(add) x exact. Every figure counts with its printed rounding but `exact`, a factor of units
// (24 hours a day).
struct PrintedSum {
  std::string title;
  std::vector<double> multiply, divide, add;
  double exact = 1;
  double printed = 0;
  std::string unit;
};

// What a kernel or a collective is said to reach, per GPU: FLOP/s, or bus bandwidth in bytes/s.
struct KernelClaim {
  std::string operation, dtype;  // as in a micro file
  std::int64_t ranks = 1;
  std::optional<double> flops_per_s, bus_bytes_per_s;
  std::string figure;  // id of the micro figure that is this claim: it isn't held against itself
};

struct Claim {
  Run run;             // what its numbers say; id and title are the claim's
  KeyPlace run_below;  // the run file whose keys it has where it has none of its own; or none
  Source source;
  std::string sentence;  // as published
  std::string who;
  std::string said_on;       // year, month or day, as far as it is known
  bool constructed = false;  // made up to show a mistake: nobody said it
  std::vector<std::string> counts, leaves_out;
  std::string about;  // id of the claim that its source is about; empty: none
  std::vector<PrintedSum> sums;
  std::optional<KernelClaim> kernel;
  std::optional<double> cost_unit_usd;  // rounding of a cost that was printed in another currency
};

// BadInput, beyond what a run file refuses: no source; a schema newer than this program's; a
// currency other than USD without its rate; units that no GPU reaches; a kernel's rate that isn't
// of its operation, a `figure` that isn't published, and a training run's figures beside it.
Claim read_claim(const nlohmann::json& json, const std::string& where, const Library& library);

}  // namespace trainmeter
