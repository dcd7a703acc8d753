// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a program's last line counts: cases measured, failed, left out, and those to doubt.
#pragma once

#include "bench/measure.hpp"
#include "bench/runner.hpp"
#include "record/record.hpp"

#include <cstddef>
#include <string>

namespace trainmeter {

class Tally {
 public:
  explicit Tally(const Rules& rules) : rules_(rules) {}

  void failed() { ++failed_; }
  void left_out() { ++left_out_; }
  // `row` of the outcome's rows is the one shown.
  void measured(const Outcome& outcome, const Measurement& row);

  // "12 measured, 3 without an interval of +- 1 %"
  [[nodiscard]] std::string text() const;

 private:
  Rules rules_;
  std::size_t measured_ = 0, failed_ = 0, unsettled_ = 0, brief_ = 0, open_ = 0, shared_ = 0,
              left_out_ = 0, at_odds_ = 0;
};

}  // namespace trainmeter
