// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Runs a program's cases under Google Benchmark and writes the record. With a world, rank 0 does so
// and the other ranks follow it case by case.
#pragma once

#include "bench/case.hpp"
#include "bench/nccl_tests.hpp"
#include "bench/options.hpp"
#include "bench/runner.hpp"
#include "bench/search.hpp"
#include "bench/target.hpp"
#include "kernels/collective.hpp"
#include "record/record.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace trainmeter {

struct Job {
  Options options;
  Target target;
  CaseList list;
  std::unique_ptr<Search> search;  // or cases that follow from results, and no list
  World* world = nullptr;
  std::vector<std::string> devices;  // --concurrent: of each rank of `world`; else none
  std::unique_ptr<Timer> timer;
  Around around;
  NcclTestsTable* table = nullptr;  // stdout is its, and not Google Benchmark's
  std::function<int()> interrupted_by = [] { return 0; };  // the signal's number
};

// The exit code. Throws BadInput, Unavailable, EnvironmentFailed; OutOfStep where ranks can't go
// on.
int run_job(Job job);

}  // namespace trainmeter
