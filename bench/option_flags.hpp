// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which flags each benchmark program has, and what --help says of them.
#pragma once

#include "bench/options.hpp"

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace trainmeter {

// Values as they were given, so that all numbers are read by one strict function, once the whole
// line is known.
struct FlagTexts {
  std::string max_seconds, target, case_seconds, dtypes, models, published, tokens, decode, tp, ep,
      m, n, k, layouts, scalings, sms, groups, skews, batch, search, concurrent, bytes, threads,
      kernels, seq_lens, passes, sequences, heads, kv_heads, head_dim, value_dim, experts, prefer,
      beside, co_sms, rate;
  CollectiveFlags collective;
};

// What --dtype takes.
std::vector<std::string> dtypes_of(Program program);

// Adds the flags of options.program, which write to `options` and `texts`.
void add_flags(CLI::App& app, Options& options, FlagTexts& texts);

// What --help prints of an app with these flags, and Google Benchmark's.
std::string help_of(const CLI::App& app, Program program);

}  // namespace trainmeter
