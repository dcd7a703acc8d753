// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The plausible ways a run may have been laid out, each with its bill, where the run file leaves
// something open.
#pragma once

#include "report/step_time.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// Bytes of the fullest device, by our count (workload/memory_fit.hpp), of those that it has.
struct MemoryUse {
  double need = 0, of = 0;
};

struct Candidate {
  Bill bill;
  double weight = 1;  // all add up to 1
  std::vector<std::string> notes;
  std::optional<MemoryUse> memory = {};  // of a GPU whose memory is known
};

// What fits the system's memory, with the least recomputation that fits where that isn't printed,
// each with its weight before times are known. BadInput where nothing fits (names the largest part)
// or an input is missing.
std::vector<Candidate> possible_ways(const Run& run, const System& system, const RateBook& book);

// Whoever ran it chose among the fast ones: a candidate's weight halves with every kTuning by which
// `factors`, those that its step is predicted with, make it slower than the fastest. Those of next
// to no weight are left out, the others in falling order.
constexpr double kTuning = 0.05;
std::vector<Candidate> weighed(std::vector<Candidate> ways, const FactorValues& factors);

// Both in turn.
std::vector<Candidate> candidates(const Run& run, const System& system, const RateBook& book,
                                  const FactorValues& factors);

}  // namespace trainmeter
