// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// From two sets of records to matched cases, each with a time a start.
#include "report/compare.hpp"

#include "record/error.hpp"
#include "record/median_estimate.hpp"
#include "record/samples.hpp"
#include "record/statistics.hpp"
#include "report/cases.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>

namespace trainmeter {
namespace {

// Relative variance of the median of samples that follow each other closely: as if there were
// fewer independent ones, by their autocorrelation time.
double median_variance(const std::vector<double>& samples) {
  const double noise = kNormalMad * median_absolute_deviation(samples) / median(samples);
  return kMedianVariance * noise * noise * autocorrelation_time(samples) /
         static_cast<double>(samples.size());
}

// One start's lines of one case: repetitions.
struct Repetitions {
  std::vector<double> time_s;    // medians
  std::vector<double> variance;  // of each, relative
};

// What a case's lines with an error say; those that nobody checked have none.
struct Failure {
  std::string first;  // "FILE:LINE: why"
  std::size_t lines = 0;
  std::set<std::size_t> starts;
};

// One side of the comparison.
struct Gathered {
  struct Case {
    ComparedCase blank;                           // with its names
    std::string failing;                          // failing_key()
    std::map<std::size_t, Repetitions> by_start;  // start: as numbered below
  };
  std::map<std::string, std::size_t> starts;  // numbers by start_key
  std::map<std::string, Case> cases;          // by case_key
  std::vector<std::string> order;             // the keys, as they came
  std::vector<const Header*> headers;         // by number
  std::map<std::string, Failure> failures;    // by failing_key
  std::set<std::string> usable;               // failing_keys of the cases
  // Of lines that aren't usable: failing_key, and the line with its reason.
  std::vector<std::pair<std::string, std::string>> unusable;
};

// What a line with an error has of its case: not the device of a --concurrent run, since where one
// fails none is measured, nor the SMs that its kernel would have taken.
std::string failing_key(const Measurement& m, const Header& header) {
  Measurement any = on_any_device(m).value_or(m);
  any.sms = header.device.sms;
  return case_key(any, header);
}

std::size_t start_of(Gathered& side, const Header& header) {
  const auto [start, is_new] = side.starts.try_emplace(start_key(header), side.starts.size());
  if (is_new) side.headers.push_back(&header);
  return start->second;
}

void add(Gathered& side, const Record& record, const Line& line) {
  const Measurement& m = line.measurement;
  const Header& header = record.header_of(line);
  const std::size_t start = start_of(side, header);
  const std::string key = case_key(m, header);
  const auto [found, first] = side.cases.try_emplace(key);
  if (first) {
    side.order.push_back(key);
    side.usable.insert(found->second.failing = failing_key(m, header));
    ComparedCase& blank = found->second.blank;
    blank.name = m.name;
    blank.title = case_title(m, header);
    blank.dtype = m.dtype;
    blank.backend = m.backend;
    blank.ranks = m.ranks;
  }
  Repetitions& repetitions = found->second.by_start[start];
  repetitions.time_s.push_back(median(counted_samples(m).time_s));
  repetitions.variance.push_back(median_variance(m.time_s));
}

void add_unusable(Gathered& side, const Record& record, const Line& line) {
  const Measurement& m = line.measurement;
  const Header& header = record.header_of(line);
  const std::string key = failing_key(m, header);
  const std::string where = fmt::format("{}:{}", record.file.string(), line.line);
  const bool failed = !m.failure.empty();
  side.unusable.emplace_back(
      key, fmt::format("{}: {}: {}", where, m.name, failed ? m.failure : "not verified"));
  if (!failed) return;
  Failure& failure = side.failures[key];
  if (++failure.lines == 1) failure.first = fmt::format("{}: {}", where, m.failure);
  failure.starts.insert(start_of(side, header));
}

Gathered gather(const std::vector<Record>& records) {
  Gathered side;
  for (const Record& record : records) {
    for (const Line& line : record.lines) {
      if (!line.measurement.usable()) {
        add_unusable(side, record, line);
      } else if (!line.measurement.notes.contains("probe")) {  // of a search: too short to count
        add(side, record, line);
      }
    }
  }
  return side;
}

// By failing_key.
bool newly_fails(const Gathered& before, const Gathered& after, const std::string& key) {
  return before.usable.contains(key) && !before.failures.contains(key) &&
         after.failures.contains(key);
}

ComparedSide side_of(const Gathered::Case& gathered, std::size_t first_start) {
  ComparedSide side;
  const auto count = static_cast<double>(gathered.by_start.size());
  for (const auto& [start, repetitions] : gathered.by_start) {
    side.times.start.push_back(first_start + start);
    side.times.log_time.push_back(std::log(median(repetitions.time_s)));
    side.variance_within += mean(repetitions.variance) /
                            static_cast<double>(repetitions.variance.size()) / (count * count);
  }
  return side;
}

// The headers that measured a case which is on both sides, or failed to.
std::vector<Header> headers_of(const Gathered& side, const Gathered& other) {
  std::set<std::size_t> used;
  for (const auto& [key, gathered] : side.cases) {
    if (!other.cases.contains(key) && !other.failures.contains(gathered.failing)) continue;
    for (const auto& [start, repetitions] : gathered.by_start) used.insert(start);
  }
  for (const auto& [key, failure] : side.failures) {
    if (other.usable.contains(key)) used.insert(failure.starts.begin(), failure.starts.end());
  }
  std::vector<Header> out;
  out.reserve(used.size());
  for (const std::size_t start : used) out.push_back(*side.headers[start]);
  return out;
}

std::vector<std::string> only_in(const Gathered& side, const Gathered& other) {
  std::vector<std::string> out;
  for (const std::string& key : side.order) {
    if (!other.cases.contains(key)) out.push_back(side.cases.at(key).blank.title);
  }
  return out;
}

std::vector<std::string> notes_on(const Gathered& before, const Gathered& after,
                                  const std::vector<Header>& old_headers,
                                  const std::vector<Header>& new_headers) {
  std::vector<std::string> notes;
  const auto common = std::ranges::count_if(
      before.starts, [&](const auto& start) { return after.starts.contains(start.first); });
  if (common > 0) {
    notes.push_back(fmt::format(
        "{} of the old starts are new ones, too; they say nothing of a difference", common));
  }
  const auto by_time = [](const Header& a, const Header& b) { return a.started_at < b.started_at; };
  const auto [old_first, old_last] = std::ranges::minmax_element(old_headers, by_time);
  const auto [new_first, new_last] = std::ranges::minmax_element(new_headers, by_time);
  if (old_last->started_at < new_first->started_at ||
      new_last->started_at < old_first->started_at) {
    notes.emplace_back(
        "one side was measured before the other: whatever drifted meanwhile is in the ratios. "
        "Starts that alternate between old and new don't have this");
  }
  return notes;
}

}  // namespace

double ComparedSide::time_s() const {
  return std::exp(times.mean());
}

bool Comparison::regressed() const {
  return std::ranges::any_of(cases, &ComparedCase::regression);
}

bool Comparison::judged_all() const {
  return only_old.empty() && !std::ranges::any_of(cases, [](const ComparedCase& c) {
           return c.verdict == "cannot_tell";
         });
}

Comparison compare(const std::vector<Record>& old_records, const std::vector<Record>& new_records,
                   const CompareOptions& options) {
  Comparison out{.options = options};
  const Gathered before = gather(old_records);
  const Gathered after = gather(new_records);
  std::vector<ComparedCase> failing;
  for (const std::string& key : before.order) {
    ComparedCase c = before.cases.at(key).blank;
    c.old_side = side_of(before.cases.at(key), 0);
    const auto match = after.cases.find(key);
    if (match != after.cases.end()) c.new_side = side_of(match->second, before.starts.size());
    if (const std::string& its = before.cases.at(key).failing; newly_fails(before, after, its)) {
      const Failure& failure = after.failures.at(its);
      c.failure = failure.first;
      if (failure.lines > 1) c.failure += fmt::format(" (and {} more)", failure.lines - 1);
      c.verdict = "slower";
      c.regression = true;
      failing.push_back(std::move(c));
    } else if (match != after.cases.end()) {
      out.cases.push_back(std::move(c));
    } else {
      out.only_old.push_back(c.title);
    }
  }
  if (out.cases.empty() && failing.empty()) {
    throw BadInput(fmt::format(
        "no case is both in OLD (usable: {}{}) and in NEW (usable: {}{})", before.order.size(),
        before.order.empty() ? "" : ", such as " + only_in(before, after).front(),
        after.order.size(),
        after.order.empty() ? "" : ", such as " + only_in(after, before).front()));
  }
  judge(out.cases, options);
  std::ranges::move(failing, std::back_inserter(out.cases));
  out.only_new = only_in(after, before);
  for (const auto& [key, line] : before.unusable) out.failed.push_back(line);
  for (const auto& [key, line] : after.unusable) {
    if (!newly_fails(before, after, key)) out.failed.push_back(line);
  }
  const std::vector<Header> old_headers = headers_of(before, after);
  const std::vector<Header> new_headers = headers_of(after, before);
  out.differences = differences(old_headers, new_headers);
  out.notes = notes_on(before, after, old_headers, new_headers);
  return out;
}

}  // namespace trainmeter
