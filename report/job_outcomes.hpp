// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What became of the parts of a Slurm job (docs/operating.md): the exit codes that the batch
// scripts leave beside the records, which a node or a pair that left no record is known by.
#pragma once

#include "record/record.hpp"
#include "report/accept.hpp"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace trainmeter {

// Exit codes by node, and by pair in order of the names. Those that a signal ended aren't among
// them: what they lack is no fault of theirs.
struct JobOutcomes {
  std::map<std::string, int> nodes;
  std::map<std::pair<std::string, std::string>, int> pairs;
};
JobOutcomes outcomes_of(const std::filesystem::path& job_folder);

// The job's folder, where `named` is it, its folder of records, or its merged record.
std::optional<std::filesystem::path> job_folder_of(const std::filesystem::path& named);

// Who measured nothing at all: fails as `missing`.
class Absent {
 public:
  void expect(const JobOutcomes& outcomes);
  void strike(const Record& record);  // who has measured
  // A node that met none of its partners fails itself, as in accept(); its pairs then can't be
  // judged.
  void fail(Acceptance& acceptance) const;

 private:
  JobOutcomes expected_, left_;
};

}  // namespace trainmeter
