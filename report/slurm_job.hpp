// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A measuring job on Slurm (docs/operating.md): how sbatch is called for it, and what it left in
// its folder. The batch scripts are scripts/slurm/.
#pragma once

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
  std::string gres = "gpu";             // GPUs' name in Slurm's generic resources: gpu, gpu:h100
  std::int64_t gpus_per_node = 0;       // to ask for; 0: none
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

// The whole command line, a word each.
std::vector<std::string> sbatch_command(const JobRequest& request);

// `text`, where it is the number of a job; else BadInput.
std::string job_number(const std::string& text);

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
