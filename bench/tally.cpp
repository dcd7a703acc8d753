// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Counts cases by what is shown of them.
#include "bench/tally.hpp"

#include "record/samples.hpp"

#include <fmt/format.h>

namespace trainmeter {
namespace {

// Of a pair the interval that counts is that of their ratio, as for the end of sampling.
MedianEstimate shown(const Outcome& outcome, const Measurement& row) {
  return row.paired_with.empty() ? median_time(row) : paired_ratio(outcome.rows[1], row);
}

}  // namespace

void Tally::measured(const Outcome& outcome, const Measurement& row) {
  ++measured_;
  if (!outcome.settled) ++unsettled_;
  if (outcome.brief) ++brief_;
  if (outcome.rows.front().notes.contains("other_processes")) ++shared_;
  for (const Measurement& one : outcome.rows) at_odds_ += at_odds_with_graph(one) ? 1 : 0;
  // Not by Measurement::stopped: the samples that throttling marks are known only afterwards.
  if (rules_.target > 0 && !(shown(outcome, row).half_width() < rules_.target)) ++open_;
}

std::string Tally::text() const {
  std::string text = fmt::format("{} measured", measured_);
  if (failed_ > 0) text += fmt::format(", {} failed", failed_);
  if (unsettled_ > 0) text += fmt::format(", {} still drifting after warm-up", unsettled_);
  if (brief_ > 0) {
    text += fmt::format(", {} sampled for less than {:.3g} s", brief_, rules_.min_time_s);
  }
  if (open_ > 0) {
    text += fmt::format(", {} without an interval of +- {:.3g} %", open_, rules_.target * 100);
  }
  if (shared_ > 0) text += fmt::format(", {} beside other processes on the GPU", shared_);
  if (left_out_ > 0) text += fmt::format(", {} left out (--max_seconds)", left_out_);
  if (at_odds_ > 0) text += fmt::format(", {} at odds with a CUDA graph", at_odds_);
  return text;
}

}  // namespace trainmeter
