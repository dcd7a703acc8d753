// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Google Benchmark's flags, with the kind of value each takes.
#include "bench/google_flags.hpp"

#include "bench/numbers.hpp"
#include "record/error.hpp"
#include "record/strict_json.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <regex>

namespace trainmeter {
namespace {

enum class Kind { boolean, text, seconds, count, choice };

struct Flag {
  std::string_view name;
  Kind kind;
  std::vector<std::string> choices;
  std::string_view help;
};

const std::vector<Flag>& flags_known() {
  static const std::vector<Flag> known = {
      {"benchmark_list_tests", Kind::boolean, {}, "print the names of the cases and stop"},
      {"benchmark_filter", Kind::text, {}, "<regex>: the cases to run; '-<regex>': all others"},
      {"benchmark_min_time", Kind::seconds, {}, "<seconds>: least time to sample a case"},
      {"benchmark_min_warmup_time", Kind::seconds, {}, "<seconds>: least warm-up of a case"},
      {"benchmark_repetitions", Kind::count, {}, "<n>: measure each case n times"},
      {"benchmark_enable_random_interleaving", Kind::boolean, {}, "repetitions in random order"},
      {"benchmark_report_aggregates_only", Kind::boolean, {}, "only mean, median, stddev, cv"},
      {"benchmark_display_aggregates_only", Kind::boolean, {}, "the same, on stdout alone"},
      {"benchmark_format", Kind::choice, {"console", "json", "csv"}, "what stdout gets"},
      {"benchmark_out", Kind::text, {}, "<file>: Google Benchmark's own output file"},
      {"benchmark_out_format", Kind::choice, {"json", "console", "csv"}, "and its format"},
      {"benchmark_color", Kind::choice, {"auto", "true", "false"}, "colour on stdout"},
      {"benchmark_counters_tabular", Kind::boolean, {}, "counters as columns"},
      {"benchmark_context", Kind::text, {}, "<key>=<value>,...: added to the output"},
      {"benchmark_perf_counters", Kind::text, {}, "<name>,...: hardware counters, where built in"},
      {"benchmark_time_unit", Kind::choice, {"ns", "us", "ms", "s"}, "unit of the times shown"},
      {"v", Kind::count, {}, "<n>: verbosity of Google Benchmark"},
  };
  return known;
}

// The words that Google Benchmark takes for true and false.
bool boolean(const std::string& said, std::string value) {
  std::transform(value.begin(), value.end(), value.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* word : {"", "1", "t", "y", "true", "yes", "on"}) {
    if (value == word) return true;
  }
  for (const char* word : {"0", "f", "n", "false", "no", "off"}) {
    if (value == word) return false;
  }
  throw BadInput(fmt::format("{}: '{}': expected true or false", said, value));
}

double seconds(const std::string& said, std::string value) {
  if (!value.empty() && value.back() == 's') value.pop_back();  // "0.5s", as later versions have it
  return parse_non_negative(said, value);
}

// `said` is where the value stands, for messages: the flag or its environment variable.
void take(const Flag& flag, const std::string& said, const std::string& value, GoogleFlags& flags) {
  if (flag.kind == Kind::choice &&
      std::find(flag.choices.begin(), flag.choices.end(), value) == flag.choices.end()) {
    throw BadInput(
        fmt::format("{}: '{}': expected one of {}", said, value, fmt::join(flag.choices, ", ")));
  }
  const bool on = flag.kind == Kind::boolean && boolean(said, value);

  if (flag.name == "benchmark_min_time") {
    flags.min_time_s = seconds(said, value);
    return;
  }
  if (flag.name == "benchmark_min_warmup_time") {
    flags.min_warmup_s = seconds(said, value);
    return;
  }
  if (flag.name == "benchmark_filter") {
    flags.filter = value;
    NameFilter checked(value);
    return;
  }
  if (flag.name == "benchmark_repetitions") {
    flags.repetitions = static_cast<int>(parse_count(said, value, 1'000'000));
    return;
  }
  if (flag.name == "v") (void)parse_non_negative(said, value);
  if (flag.name == "benchmark_list_tests") flags.list_tests = on;
  if (flag.name == "benchmark_format") flags.format = value;
  if (flag.name == "benchmark_out") flags.out = value;
  if (flag.name == "benchmark_out_format") flags.out_format = value;
  if (flag.name == "benchmark_context" && value.find('=') == std::string::npos) {
    throw BadInput(fmt::format("{}: '{}': expected KEY=VALUE,...", said, value));
  }
  const bool bare = flag.kind == Kind::boolean && value.empty();
  flags.forward.push_back(fmt::format("--{}{}{}", flag.name, bare ? "" : "=", value));
}

const Flag& find(const std::string& name) {
  for (const Flag& flag : flags_known()) {
    if (flag.name == name) return flag;
  }
  throw BadInput(
      fmt::format("unknown flag '--{}'{}", name, suggestion("--" + name, google_flag_names())));
}

}  // namespace

bool is_google_flag(std::string_view argument) {
  return argument.starts_with("--benchmark_") || argument.starts_with("--v=") || argument == "--v";
}

std::vector<std::string> google_flag_names() {
  std::vector<std::string> names;
  for (const Flag& flag : flags_known()) names.push_back(fmt::format("--{}", flag.name));
  return names;
}

void read_google_flag(const std::string& argument, GoogleFlags& flags) {
  const std::size_t equals = argument.find('=');
  const std::string name = argument.substr(2, equals == std::string::npos ? equals : equals - 2);
  const std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
  const Flag& flag = find(name);
  if (equals == std::string::npos && flag.kind != Kind::boolean) {
    throw BadInput(fmt::format("--{0}: expected --{0}=VALUE", name));
  }
  take(flag, "--" + name, value, flags);
}

void read_google_environment(GoogleFlags& flags) {
  for (const Flag& flag : flags_known()) {
    std::string variable(flag.name);
    std::ranges::transform(variable, variable.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    if (!variable.starts_with("BENCHMARK_")) continue;  // V is too common a name
    const char* value = std::getenv(variable.c_str());
    if (value == nullptr) continue;
    if (*value != '\0') {
      take(flag, variable, value, flags);
    } else if (flag.kind == Kind::boolean) {  // of an empty one the library makes true,
      flags.forward.push_back(fmt::format("--{}=false", flag.name));
    } else if (flag.kind == Kind::choice) {  // or a mistake
      flags.forward.push_back(fmt::format("--{}={}", flag.name, flag.choices.front()));
    }
  }
}

std::string google_help() {
  std::string text;
  for (const Flag& flag : flags_known()) {
    text += fmt::format("  --{:<38} {}\n", flag.name,
                        flag.choices.empty()
                            ? std::string(flag.help)
                            : fmt::format("{}: {}", fmt::join(flag.choices, "|"), flag.help));
  }
  return text;
}

NameFilter::NameFilter(const std::string& filter) {
  negative_ = !filter.empty() && filter.front() == '-';
  expression_ = negative_ ? filter.substr(1) : filter;
  if (expression_.empty() || expression_ == "all") expression_ = ".";
  try {
    const std::regex compiled(expression_);
  } catch (const std::regex_error&) {
    throw BadInput(fmt::format("--benchmark_filter: '{}': not a regular expression", filter));
  }
}

bool NameFilter::matches(const std::string& name) const {
  const std::regex expression(expression_);
  const bool found = std::regex_search(name, expression) ||
                     std::regex_search(name + std::string(kGoogleSuffix), expression);
  return found != negative_;
}

}  // namespace trainmeter
