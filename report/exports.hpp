// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Records in the formats that other people's tools read (docs/comparing.md). Failed and unverified
// lines are left out, but of the CSV, which has a column for them.
#pragma once

#include "record/record.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace trainmeter {

// Google Benchmark's JSON, as its tools/compare.py of version 1.7.1 reads it: a line of a record is
// a repetition with its median time; mean, median, stddev and cv over repetitions follow where
// there are several. Times in ns; rates in FLOP/s and bytes/s (collectives: bus bandwidth).
nlohmann::ordered_json to_google_benchmark(const std::vector<Record>& records);

// An array of {name, unit, value, range, extra}, as github-action-benchmark's tool
// `customBiggerIsBetter` reads it: the median rate over process starts, in TFLOP/s or GB/s, and
// their standard deviation where there are several.
nlohmann::ordered_json to_bigger_is_better(const std::vector<Record>& records);

// One row a line of the record, units in the header (RFC 4180).
std::string to_csv(const std::vector<Record>& records);

}  // namespace trainmeter
