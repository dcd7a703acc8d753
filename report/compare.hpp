// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Two sets of records, case by case: the ratio of rates with an interval that holds the spread
// between process starts, and a verdict (docs/comparing.md).
#pragma once

#include "record/record.hpp"
#include "report/document.hpp"
#include "report/spread.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

inline constexpr std::size_t kEnoughStarts = 5;  // a side, to judge a case by itself

// Where nothing is known of the spread between starts, an interval is drawn for this one, and no
// verdict given.
inline constexpr double kAssumedSpread = 0.05;

struct CompareOptions {
  double tolerance = 0.02;       // of a rate: less is no difference, more is a regression
  double confidence = 0.95;      // of intervals; 1 - it: how often like cases are told apart
  std::optional<double> spread;  // known between starts, relative, for sides with few of them
};

// One case on one side.
struct ComparedSide {
  StartTimes times;
  double variance_within = 0;           // of the mean over starts, from the samples within them
  [[nodiscard]] double time_s() const;  // geometric mean over starts of their median times
};

struct ComparedCase {
  std::string name, title;  // the record's, and with what that leaves out (report/cases.hpp)
  std::string dtype, backend;
  std::int64_t ranks = 1;
  ComparedSide old_side, new_side;
  double ratio = 1;  // new rate / old rate
  double ratio_low = 1, ratio_high = 1;
  // Of so large a difference between like cases, corrected for the number of cases; nothing where
  // there are too few starts to say.
  std::optional<double> p;
  std::string verdict;      // same faster slower cannot_tell
  std::string spread_from;  // starts, all_cases, given; assumed: the interval is no measurement
  bool regression = false;  // slower, with the whole interval beyond the tolerance; or failing
  std::string failure;      // in new and never in old: where and why; then there is no ratio
};

// What stands in the headers of one side and not of the other.
struct Difference {
  std::string what, old_side, new_side;
};

struct Comparison {
  CompareOptions options;
  std::vector<ComparedCase> cases;  // in the order of the old records, those that fail last
  std::vector<std::string> only_old, only_new;
  std::vector<std::string> failed;  // other lines without a usable time, with the reason
  std::vector<Difference> differences;
  std::vector<std::string> notes;
  [[nodiscard]] bool regressed() const;
  [[nodiscard]] bool judged_all() const;  // and all of old's cases are in new
};

// BadInput where no case is on both sides. Short probes of a search count nowhere.
Comparison compare(const std::vector<Record>& old_records, const std::vector<Record>& new_records,
                   const CompareOptions& options);

// Fills in ratio, interval, p and verdict of each case from its two sides.
void judge(std::vector<ComparedCase>& cases, const CompareOptions& options);

// Of machine, program and method, between the headers that measured the same cases.
std::vector<Difference> differences(const std::vector<Header>& old_headers,
                                    const std::vector<Header>& new_headers);

Document to_document(const Comparison& comparison);
nlohmann::ordered_json to_json(const Comparison& comparison);     // an array, a case each
std::vector<std::string> warnings(const Comparison& comparison);  // one line each, for stderr

}  // namespace trainmeter
