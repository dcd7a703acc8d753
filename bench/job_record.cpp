// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Sessions of one program in one file.
#include "bench/job_record.hpp"

#include "bench/session.hpp"

#include <filesystem>
#include <fstream>
#include <limits>

namespace trainmeter {
namespace {

// False where a start before was killed while it wrote its header, or nothing is there.
bool holds_a_line(const std::filesystem::path& record) {
  std::ifstream file(record);
  return file && file.ignore(std::numeric_limits<std::streamsize>::max(), '\n') && !file.eof();
}

}  // namespace

JobRecord::JobRecord(const Options& options, const Target& target)
    : options_(options), target_(target), session_{header_by(options.rules()), {}} {
  if (!options_.resume || !holds_a_line(options_.out)) return;
  before_ = read_record(options_.out);
  if (!options_.resume_anyway) require_same(before_, {header(), header_by(options_.quick_rules())});
}

Header JobRecord::header_by(const Rules& rules) const {
  return make_header(options_, target_, rules);
}

int JobRecord::finished(const std::vector<RowKey>& rows) const {
  return finished_repetitions(rows, before_, header(), options_.resume_anyway);
}

const Measurement* JobRecord::finished(const Plan& plan) {
  return finished_row(plan.main.name, before_, session_of(plan).header, options_.resume_anyway);
}

bool JobRecord::open() {
  if (options_.out.empty()) return false;
  session_.journal.emplace(options_.out, session_.header);
  return session_.journal->repaired();
}

void JobRecord::append(const Plan& plan, Measurement& row) {
  Session& session = session_of(plan);
  row.session = session.header.session;
  if (session.journal) session.journal->append(row);
}

// Rules of its own have a header of their own.
JobRecord::Session& JobRecord::session_of(const Plan& plan) {
  if (!plan.rules) return session_;
  if (!own_rules_) {
    own_rules_.emplace();
    own_rules_->header = header_by(*plan.rules);
    if (session_.journal) own_rules_->journal.emplace(options_.out, own_rules_->header);
  }
  return *own_rules_;
}

}  // namespace trainmeter
