// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Google Benchmark's reporters behind ours, which drops cases that were never started
// (--max_seconds, Ctrl-C) and counters that are no numbers, clears the progress line first, and
// shows rates with a fitting prefix on the console.
#pragma once

#include "bench/google_flags.hpp"
#include "bench/progress.hpp"

#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

// The error text of a case that was not started: not a failure, and so shown nowhere.
inline constexpr std::string_view kLeftOut = "left out";

// A case whose name wasn't known when it was registered carries it as label.
class Reporter : public benchmark::BenchmarkReporter {
 public:
  Reporter(std::shared_ptr<benchmark::BenchmarkReporter> inner, Progress& progress,
           const std::string& format);
  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;
  void Finalize() override;
  [[nodiscard]] bool failed() const { return failed_; }  // what was written didn't get there

 private:
  std::shared_ptr<benchmark::BenchmarkReporter> inner_;
  Progress& progress_;
  bool for_people_;  // console
  bool hold_;        // csv, whose columns are those of the first rows reported, until all are known
  std::vector<Run> held_;
  bool failed_ = false;
};

// After benchmark::Initialize(), whose flags they follow.
std::unique_ptr<benchmark::BenchmarkReporter> display_reporter(const GoogleFlags& flags,
                                                               Progress& progress);
std::unique_ptr<benchmark::BenchmarkReporter> silent_reporter();  // where others print
std::unique_ptr<Reporter> file_reporter(const GoogleFlags& flags, Progress& progress);

}  // namespace trainmeter
