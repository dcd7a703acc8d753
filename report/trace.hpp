// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A published profiler trace of a run as a declared input: what its parts took in place replaces
// the factors' guesses for them.
#pragma once

#include "report/step_time.hpp"

#include <filesystem>
#include <string>

namespace trainmeter {

// One overlapped forward and backward of `layers` layers of `kind` (results/published/traces/).
struct Trace {
  std::string id, run;
  LayerKind kind = LayerKind::moe;
  double layers = 0;
  double gemm_s = 0, attention_s = 0, memory_s = 0;
  Source source;
};

Trace read_trace(const std::filesystem::path& file);

// The bill with its GEMMs, attention cores and memory-bound kernels scaled so that at `factors` the
// traced layers take what the trace says.
Bill with_trace(Bill bill, const Trace& trace, const FactorValues& factors);

}  // namespace trainmeter
