// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The command `trainmeter submit`: a measuring job on Slurm, from sbatch to its report.
#include "record/error.hpp"
#include "report/accept.hpp"
#include "report/child.hpp"
#include "report/command.hpp"
#include "report/job_outcomes.hpp"
#include "report/slurm_job.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <unistd.h>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

fs::path program_folder() {
  return fs::read_symlink("/proc/self/exe").parent_path();
}

// Installed, or in a build folder of the source tree.
fs::path script_folder() {
  for (const char* place : {"../share/trainmeter/slurm", "../../scripts/slurm"}) {
    if (const fs::path folder = program_folder() / place; fs::exists(folder / "node.sbatch"))
      return fs::weakly_canonical(folder);
  }
  throw EnvironmentFailed("submit: no batch scripts beside this program (share/trainmeter/slurm)");
}

// This machine has no Slurm, or none that answers.
MachineLacks no_slurm(const std::string& why) {
  return MachineLacks("submit: " + why);
}

// Not that it refused the job: no controller was found, or none answered.
bool silent(const ChildOutput& said) {
  constexpr std::array kSaid = {"Unable to contact",
                                "establish a configuration source",
                                "Unable to process configuration file",
                                "Communication connection",
                                "Connection refused",
                                "Socket timed out",
                                "Munge encode failed",
                                "Protocol authentication error"};
  return said.code != 0 && std::ranges::any_of(kSaid, [&](const char* part) {
           return said.err.find(part) != std::string::npos;
         });
}

// Its lines with "; " between, without the program's own name before each.
std::string in_one_line(const std::string& text, const std::string& program) {
  std::istringstream lines(text);
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(program + ": ")) line.erase(0, program.size() + 2);
    if (!line.empty()) out += (out.empty() ? "" : "; ") + line;
  }
  return out;
}

ChildOutput slurm(const std::vector<std::string>& command) {
  ChildOutput said;
  try {
    said = run_child(command);
  } catch (const EnvironmentFailed& error) {
    throw no_slurm(error.what());
  }
  said.err = in_one_line(said.err, command.front());
  return said;
}

// Before anything is made: that sbatch is here, and that a controller answers.
void require_slurm() {
  (void)slurm({"sbatch", "--version"});
  const ChildOutput said =
      slurm({"squeue", "--noheader", fmt::format("--user={}", ::getuid()), "--format=%i"});
  if (silent(said)) throw no_slurm("no Slurm answers: " + said.err);
}

// The folders of `path` that aren't there yet, the deepest first.
std::vector<fs::path> missing_folders(fs::path path) {
  std::vector<fs::path> out;
  for (; !fs::exists(path) && path.has_relative_path(); path = path.parent_path())
    out.push_back(path);
  return out;
}

// state_of_job() of what the queue says now.
std::string state_in_queue(const std::string& job) {
  const ChildOutput said = slurm({"squeue", "--noheader", "--jobs=" + job, "--format=%T %r"});
  if (said.code != 0 && said.err.find("Invalid job id") == std::string::npos)
    return "unknown, the queue does not answer";
  return state_of_job(said.out);
}

struct SubmitCommand : Command {
  JobRequest request;
  std::string site_file, rules, jobs = "trainmeter-jobs", attach;
  std::optional<std::string> partition, account, qos;
  bool dry_run = false;
  QueuePace pace;

  SubmitCommand()
      : Command("submit", "measure on a Slurm cluster: submits the job, follows it, reports") {}

  void options(CLI::App& app) override {
    app.add_option("KIND", request.kind,
                   "node (everything on one node), fleet (every node by itself) or fabric (the "
                   "network between nodes)")
        ->check(CLI::IsMember({"node", "fleet", "fabric"}))
        ->capture_default_str();
    app.add_option("--nodes", request.nodes, "of a fleet or a fabric, which need at least 2")
        ->check(whole_number(1, 100'000));
    app.add_option("--partition", partition, "of Slurm; before the site file's");
    app.add_option("--account", account, "the same");
    app.add_option("--qos", qos, "the same");
    app.add_option("--time", request.time,
                   "limit, as sbatch takes it (00:15:00); default: enough for the plan");
    app.add_option("--nodelist", request.nodelist, "these nodes");
    app.add_option("--array", request.array, "0-9: so many jobs of one node, as nodes become free");
    app.add_option("--sbatch", request.more, "another option for sbatch (--sbatch=--reservation=x)")
        ->take_all();
    app.add_option("--site", site_file, "the site's facts, JSON; default: $TRAINMETER_SITE");
    app.add_option("--rules", rules, "of accept: floors and the like; before the site file's");
    app.add_option("--device", request.device, "gpu or cpu")
        ->check(CLI::IsMember({"gpu", "cpu"}))
        ->capture_default_str();
    app.add_option("--case_seconds", request.case_seconds, "most sampling of a case")
        ->check(number_between(0.01, 600))
        ->capture_default_str();
    app.add_option("--jobs", jobs, "folder for jobs, which all nodes see")->capture_default_str();
    app.add_option("--attach", attach, "follow this job again (with the same --jobs)");
    app.add_flag("--dry-run", dry_run, "say what would be submitted, and end");
  }

  int run() override {
    request.jobs = fs::absolute(jobs).lexically_normal();
    read_settings();
    if (!attach.empty()) {
      const std::string job = job_number(attach);
      if (!fs::exists(request.jobs / job)) require_known(job);
      return follow(job);
    }
    prepare();
    if (!dry_run) require_slurm();
    plan();
    const std::vector<std::string> command = sbatch_command(request);
    if (dry_run) {
      fmt::print("{}\n", fmt::join(command, "\n  "));
      return kFine;
    }
    std::error_code failed;
    const std::vector<fs::path> made = missing_folders(request.jobs);
    fs::create_directories(request.jobs, failed);
    if (failed) throw BadInput(fmt::format("--jobs: {}: {}", jobs, failed.message()));
    const ChildOutput said = slurm(command);
    if (said.code != 0) {
      for (const fs::path& folder : made) fs::remove(folder, failed);
    }
    if (silent(said)) throw no_slurm("sbatch: " + said.err);
    if (said.code != 0) throw BadInput("sbatch: " + said.err);
    return follow(job_number(said.out.substr(0, said.out.find_first_of(";\n"))));  // "12;cluster"
  }

 private:
  void read_settings() {
    if (const char* set = std::getenv("TRAINMETER_SITE"); site_file.empty() && set != nullptr)
      site_file = set;
    if (!site_file.empty()) request.site = read_site(site_file);
    if (rules.empty()) rules = request.site.rules;
    if (!rules.empty()) (void)read_accept_rules(rules, Library(published_data()));
    if (const char* set = std::getenv("TRAINMETER_POLL_SECONDS")) pace = QueuePace(set);
  }

  void prepare() {
    if (partition) request.site.partition = *partition;
    if (account) request.site.account = *account;
    if (qos) request.site.qos = *qos;
    if (request.kind == "node" && request.nodes != 1)
      throw BadInput("--nodes: a node job has one; expected fleet or fabric before it");
    if (request.kind != "node" && request.nodes < 2)
      throw BadInput(fmt::format("--nodes: expected at least 2 for a {}", request.kind));
    if (request.kind != "node" && !request.array.empty())
      throw BadInput("--array: is of node jobs");
    request.scripts = script_folder();
    request.programs = program_folder();
  }

  // Says what it will measure and about how long, the batch scripts' own plan; the job's limit
  // follows from it.
  void plan() {
    std::int64_t seconds = 0;
    std::string text;
    if (request.kind == "fabric") {
      const FabricPlan fabric = fabric_plan(request.nodes);
      text = fmt::format(
          "all-reduce between all pairs of {} nodes (rounds: {}), then over 4, 8, ... nodes "
          "(steps: {})\n",
          request.nodes, fabric.rounds, fabric.groups);
      seconds = fabric.seconds();
    } else {
      const ChildOutput said = run_child(
          {"bash", (request.scripts / "measure_node.sh").string(), "--plan", request.device});
      if (said.code != 0) throw EnvironmentFailed("measure_node.sh: " + said.err);
      std::istringstream lines(said.out);
      for (std::int64_t most = 0; lines >> most; seconds += most) {
        std::string what;
        std::getline(lines, what);
        text += fmt::format("at most {:>3} s:{}\n", most, what);
      }
    }
    fmt::print(stderr, "{}{} on {} {}; at most about {} min of measuring\n", text, request.kind,
               request.nodes, request.nodes == 1 ? "node" : "nodes", (seconds + 59) / 60);
    if (request.time.empty()) request.time = std::to_string(time_limit_minutes(seconds));
  }

  // A job that has left nothing yet is followed where the queue has it.
  void require_known(const std::string& job) const {
    const ChildOutput said = slurm({"squeue", "--noheader", "--jobs=" + job});
    if (said.code == 0 && !said.out.empty()) return;
    if (silent(said)) throw no_slurm("squeue: " + said.err);
    throw BadInput(fmt::format("job {}: not in {} (--jobs), and not in the queue", job, jobs));
  }

  // Until the job is over; then its records and what they say.
  int follow(const std::string& job) {
    const fs::path folder = request.jobs / job;
    fmt::print(stderr,
               "job {}, in {}\nCtrl-C leaves it running; 'trainmeter submit --attach {} --jobs {}' "
               "follows it again\n",
               job, folder.string(), job, jobs);
    std::string shown;
    for (std::string state = state_in_queue(job); !state.empty(); state = state_in_queue(job)) {
      const std::string now =
          fmt::format("job {}: {}{}", job, state, measured_so_far(folder, state));
      if (now != shown) fmt::print(stderr, "{}\n", now);
      shown = now;
      std::this_thread::sleep_for(pace.next(waits(state)));
    }
    return report(job, folder);
  }

  // A job that waits measures nothing: its records aren't read again and again.
  static std::string measured_so_far(const fs::path& folder, const std::string& state) {
    if (waits(state)) return "";
    const JobProgress progress = progress_of(folder);
    return fmt::format(", {} cases measured in {} {}", progress.total(), progress.measured.size(),
                       progress.measured.size() == 1 ? "record" : "records");
  }

  int report(const std::string& job, const fs::path& folder) const {
    const JobProgress progress = progress_of(folder);
    const auto merged = merge_records(folder);
    const int code =
        progress.ended.empty() ? kEnvironmentFailed : *std::ranges::max_element(progress.ended);
    if (!merged) {
      if (code == kUnavailable) {
        fmt::print(stderr, "job {}: its nodes lack what was asked for ({}.log in {})\n", job, job,
                   jobs);
        return code;
      }
      if (!fs::exists(folder))
        throw BadInput(fmt::format("job {}: not in {} (--jobs), and not in the queue", job, jobs));
      throw EnvironmentFailed(
          fmt::format("job {}: ended without a record; its log is in {}", job, jobs));
    }
    const std::string self = (program_folder() / "trainmeter").string();
    const JobOutcomes outcomes = outcomes_of(folder);
    const bool one_node =
        progress.measured.size() == 1 && outcomes.nodes.size() + outcomes.pairs.size() <= 1;
    int said = one_node ? run_visibly({self, "report", merged->string()}) : kFine;
    if (!one_node || !rules.empty()) {
      std::vector<std::string> accept = {self, "accept", (folder / "records").string()};
      if (!rules.empty()) accept.insert(accept.end(), {"--rules", rules});
      said = std::max(said, run_visibly(accept));
    }
    fmt::print(stderr, "record: {}\n", merged->string());
    if (progress.ended.empty()) {
      fmt::print(stderr,
                 "job {}: ended without saying so (killed, out of memory, or its node failed); "
                 "finished work is in the record\n",
                 job);
    } else if (code != kFine) {
      fmt::print(stderr, "job {}: exit code {}; its log is in {}\n", job, code, jobs);
    }
    return code != kFine ? code : said;
  }
};

}  // namespace

std::unique_ptr<Command> submit_command() {
  return std::make_unique<SubmitCommand>();
}

}  // namespace trainmeter
