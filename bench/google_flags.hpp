// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The command-line flags of Google Benchmark 1.7: checked here, because the library itself ends the
// program with exit code 0 or 1 on a bad value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

struct GoogleFlags {
  std::vector<std::string> forward;  // for benchmark::Initialize, checked
  std::string filter;                // regular expression; with a leading '-', what not to run
  bool list_tests = false;
  std::string format = "console";  // on stdout: console, json, csv
  std::string out;                 // a file too
  std::string out_format = "json";
  int repetitions = 1;
  std::optional<double> min_time_s;    // kept from the library: our loop does the sampling
  std::optional<double> min_warmup_s;  // and the warm-up
};

bool is_google_flag(std::string_view argument);  // --benchmark_..., --v=...
std::vector<std::string> google_flag_names();    // with their dashes

// Takes one argument for which is_google_flag() holds. BadInput for an unknown flag or a bad value.
void read_google_flag(const std::string& argument, GoogleFlags& flags);

// Google's environment variables, the flags' defaults (BENCHMARK_MIN_TIME, ...): the library reads
// them too, but not for what we keep to ourselves.
void read_google_environment(GoogleFlags& flags);

std::string google_help();  // one flag a line

// Whether a case is chosen by the filter, matched against its name with and without Google's
// suffix. BadInput where the filter is no regular expression.
class NameFilter {
 public:
  explicit NameFilter(const std::string& filter);
  [[nodiscard]] bool matches(const std::string& name) const;

 private:
  std::string expression_;
  bool negative_ = false;
};

// What Google Benchmark appends to the name of a case that we register.
inline constexpr std::string_view kGoogleSuffix = "/iterations:1/manual_time";

}  // namespace trainmeter
