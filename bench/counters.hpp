// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a case's line shows in Google Benchmark's output beside its time: rates and how sure they
// are.
#pragma once

#include "bench/runner.hpp"
#include "record/record.hpp"

#include <benchmark/benchmark.h>

namespace trainmeter {

// `row` of the outcome's rows is the one shown: its median is the time of the state's iteration.
void show_counters(benchmark::State& state, const Outcome& outcome, const Measurement& row);

}  // namespace trainmeter
