// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the readers of nccl-tests' text and of its JSON share: a row, and what it is in a record.
#pragma once

#include "report/import.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

// A half of a row of nccl-tests: out of place, or in place.
struct NcclRow {
  std::string operation, type, backend;
  std::string redop;  // "sum"; "none", "" where nothing is reduced
  std::int64_t root = -1;
  std::int64_t size = 0, count = 0;
  std::int64_t ranks = 1, groups = 1;
  bool in_place = false;
  std::vector<double> time_s;
  std::int64_t runs_per_sample = 1;
  double wrong = -1;  // elements; below 0: not counted
};
Measurement to_measurement(const NcclRow& row);

// "all_reduce_perf", and with a suffix as its Makefile adds one (all_reduce_perf_mpi), is
// allreduce; "" for what has no counterpart in a record.
std::string operation_of_program(std::string_view program);

// A bandwidth as it was printed, and how much it may be off by rounding.
struct PrintedRate {
  double value = 0, half_unit = 0;
};
// What a row's own bandwidths say against its operation and ranks, in a line; "" where they agree,
// or are too coarse to tell. Their ratio is the operation's factor, whatever the time;
// `same_twice`: it may be 1, too, as all_gather and reduce_scatter had it until June 2020.
std::string contradiction(const NcclRow& row, const PrintedRate& algbw, const PrintedRate& busbw,
                          bool same_twice);

inline bool is_time(double us) {
  return us > 1e-9 && us < 1e15;  // neither NaN nor infinite
}

// -N, or the same test again: rows of one name are repetitions of it.
void number_repetitions(Imported& to);
void warn_of_one_rank(const std::string& where, Imported& to);

std::string base_name(const std::string& path);

inline constexpr std::int64_t kMostRuns = 1'000'000'000'000;

}  // namespace trainmeter
