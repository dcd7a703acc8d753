// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A measuring job on Slurm (docs/operating.md): how sbatch is called for it, and what it left in
// its folder. The batch scripts are scripts/slurm/.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// What is particular to a site: a JSON file, every key optional.
struct Site {
  std::vector<std::string> modules;     // loaded before anything runs
  std::string container;                // image whose /opt/trainmeter/bin is run, by apptainer
  std::string partition, account, qos;  // of sbatch
  std::string gres;                     // generic resources to ask for: gpu:h100:8; empty: none
  std::string rules;                    // file of `trainmeter accept`
  std::string mpi = "pmix";             // srun --mpi, for steps over several nodes
};

// BadInput where it is wrong, or where a word holds anything but letters, digits and ._/:@+=-.
Site read_site(const std::filesystem::path& file);

struct JobRequest {
  std::string kind = "node";  // node, fleet, fabric: which batch script
  std::string device = "gpu";
  std::int64_t nodes = 1;
  std::string time, array, nodelist;  // as sbatch takes them; empty: not given
  std::vector<std::string> more;      // options for sbatch as they are
  double case_seconds = 2;
  Site site;
  std::filesystem::path scripts, programs, jobs;  // absolute folders, the same on every node
};

// What a fabric job measures between so many nodes: everybody meets everybody once, and then larger
// and larger groups meet; each takes a step's most seconds.
struct FabricPlan {
  std::int64_t rounds = 0, groups = 0;
  [[nodiscard]] std::int64_t seconds() const;
};
FabricPlan fabric_plan(std::int64_t nodes);

// The limit in minutes of a job that measures at most so long.
std::int64_t time_limit_minutes(std::int64_t measuring_s);

// The whole command line, a word each.
std::vector<std::string> sbatch_command(const JobRequest& request);

// `text`, where it is the number of a job; else BadInput.
std::string job_number(const std::string& text);

// What squeue's lines "STATE REASON" say of a job: "RUNNING", or "PENDING (Resources)"; that an
// array waits only where none of its tasks does anything else. Empty where it is over.
std::string state_of_job(const std::string& lines);

// How long until the queue is asked again, for whose answer all users of the cluster wait: from 2 s
// doubling while nothing changes, up to a minute where the job waits, and to 10 s where it runs.
class QueuePace {
 public:
  // TRAINMETER_POLL_SECONDS, where `most` isn't empty, is the longest of all. BadInput where it is
  // no number of seconds above 0.
  explicit QueuePace(const std::string& most = "");
  std::chrono::duration<double> next(bool waiting);

 private:
  double most_s_, next_s_;
  bool waited_ = true;
};
bool waits(const std::string& state);  // or is unknown

// What the job's folder shows.
struct JobProgress {
  std::map<std::string, std::int64_t> measured;  // by record (node, or nodes)
  std::vector<int> ended;                        // exit codes of the tasks that ended
  [[nodiscard]] std::int64_t total() const;
};
JobProgress progress_of(const std::filesystem::path& folder);

// All records of the job in one, at folder/record.jsonl; what is cut off in mid-line is left out.
// BadInput where a record is broken, nothing where there is none.
std::optional<std::filesystem::path> merge_records(const std::filesystem::path& folder);

}  // namespace trainmeter
