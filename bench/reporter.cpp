// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Forwards to Google Benchmark's own reporters.
#include "bench/reporter.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <utility>

namespace trainmeter {
namespace {

// The console prints 0.21 TFLOP/s as "210m": base units let it choose G or T. Of repetitions' `_cv`
// a counter is a share, whatever its name.
void use_base_units(benchmark::BenchmarkReporter::Run& run) {
  const bool share = run.run_type == benchmark::BenchmarkReporter::Run::RT_Aggregate &&
                     run.aggregate_unit == benchmark::kPercentage;
  benchmark::UserCounters& counters = run.counters;
  const std::pair<const char*, std::pair<const char*, double>> renamed[] = {
      {"TFLOP/s", {"FLOP/s", 1e12}},
      {"GB/s", {"B/s", 1e9}},
      {"bus_GB/s", {"bus_B/s", 1e9}},
      {"wire_GB/s", {"wire_B/s", 1e9}},
      {"wire_least_GB/s", {"wire_least_B/s", 1e9}},
      {"wire_most_GB/s", {"wire_most_B/s", 1e9}},
      {"expected_bus_GB/s", {"expected_bus_B/s", 1e9}}};
  for (const auto& [from, to] : renamed) {
    const auto found = counters.find(from);
    if (found == counters.end()) continue;
    counters[to.first] = benchmark::Counter(found->second.value * (share ? 1 : to.second));
    counters.erase(from);
  }
}

// What isn't a number can't stand in JSON: the variation of what was 0 each time.
void drop_what_is_no_number(benchmark::UserCounters& counters) {
  std::erase_if(counters, [](const auto& one) { return !std::isfinite(one.second.value); });
}

std::unique_ptr<benchmark::BenchmarkReporter> google_reporter(const std::string& format) {
  if (format == "json") return std::make_unique<benchmark::JSONReporter>();
  if (format == "csv") {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored \
    "-Wdeprecated-declarations"  // announced, but still a documented flag
    return std::make_unique<benchmark::CSVReporter>();
#pragma GCC diagnostic pop
  }
  return std::make_unique<benchmark::ConsoleReporter>(benchmark::ConsoleReporter::OO_None);
}

// Of a search, whose cases have a number for a name, and theirs as a label.
bool is_place(const benchmark::BenchmarkReporter::Run& run) {
  return run.run_name.function_name.find('/') == std::string::npos;
}

class Silent final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& /*context*/) override { return true; }
  void ReportRuns(const std::vector<Run>& /*runs*/) override {}
};

}  // namespace

Reporter::Reporter(std::shared_ptr<benchmark::BenchmarkReporter> inner, Progress& progress,
                   const std::string& format)
    : inner_(std::move(inner)),
      progress_(progress),
      for_people_(format == "console"),
      hold_(format == "csv") {}

bool Reporter::ReportContext(const Context& context) {
  inner_->SetOutputStream(&GetOutputStream());
  inner_->SetErrorStream(&GetErrorStream());
  return inner_->ReportContext(context);
}

void Reporter::ReportRuns(const std::vector<Run>& runs) {
  std::vector<Run> shown;
  for (const Run& run : runs) {
    if (run.error_occurred && run.error_message == kLeftOut) continue;
    shown.push_back(run);
    if (is_place(run) && !run.report_label.empty()) {
      shown.back().run_name.function_name = std::exchange(shown.back().report_label, "");
    }
    drop_what_is_no_number(shown.back().counters);
    if (for_people_) use_base_units(shown.back());
  }
  if (hold_) {
    std::ranges::move(shown, std::back_inserter(held_));
    return;
  }
  if (shown.empty()) return;
  progress_.clear();
  inner_->ReportRuns(shown);
  GetOutputStream().flush();
}

void Reporter::Finalize() {
  progress_.clear();
  if (!held_.empty()) inner_->ReportRuns(held_);
  inner_->Finalize();
  failed_ = !GetOutputStream().flush();
}

std::unique_ptr<benchmark::BenchmarkReporter> silent_reporter() {
  return std::make_unique<Silent>();
}

std::unique_ptr<benchmark::BenchmarkReporter> display_reporter(const GoogleFlags& flags,
                                                               Progress& progress) {
  // Google Benchmark keeps its default reporter for the life of the program.
  std::shared_ptr<benchmark::BenchmarkReporter> google(benchmark::CreateDefaultDisplayReporter(),
                                                       [](benchmark::BenchmarkReporter*) {});
  return std::make_unique<Reporter>(std::move(google), progress, flags.format);
}

std::unique_ptr<Reporter> file_reporter(const GoogleFlags& flags, Progress& progress) {
  return std::make_unique<Reporter>(google_reporter(flags.out_format), progress, flags.out_format);
}

}  // namespace trainmeter
