// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The record that a job writes (--out), and what it holds of an earlier start (--resume).
#pragma once

#include "bench/options.hpp"
#include "bench/resume.hpp"
#include "bench/target.hpp"
#include "record/journal.hpp"
#include "record/record.hpp"

#include <optional>
#include <vector>

namespace trainmeter {

class JobRecord {
 public:
  // With --resume it reads what is there. BadInput where that is of another session. Both outlive
  // it.
  JobRecord(const Options& options, const Target& target);

  [[nodiscard]] const Header& header() const { return session_.header; }
  // How often an earlier start finished all these rows; and its row of a plan's case, or nullptr.
  [[nodiscard]] int finished(const std::vector<RowKey>& rows) const;
  [[nodiscard]] const Measurement* finished(const Plan& plan);

  // Rows are written from here on, where there is an --out. True where a half-written last line
  // was cut off.
  bool open();
  [[nodiscard]] bool is_open() const { return session_.journal.has_value(); }
  void append(const Plan& plan, Measurement& row);

 private:
  // A header and where its lines go; nowhere without --out.
  struct Session {
    Header header;
    std::optional<Journal> journal;
  };
  [[nodiscard]] Header header_by(const Rules& rules) const;
  Session& session_of(const Plan& plan);

  const Options& options_;
  const Target& target_;
  Session session_;
  std::optional<Session> own_rules_;  // of plans with rules of their own
  Record before_;
};

}  // namespace trainmeter
