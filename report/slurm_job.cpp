// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Words for sbatch, files of a job's folder.
#include "report/slurm_job.hpp"

#include "record/error.hpp"
#include "record/record.hpp"
#include "record/strict_json.hpp"
#include "workload/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kStepS = 60;  // most a step of fabric.sbatch measures (its --max_seconds)
constexpr std::int64_t kLeastMinutes = 15;  // of a limit: nothing is won by less
constexpr double kFirstLookS = 2, kWaitingS = 60, kRunningS = 10, kLongestPollS = 86400;

bool plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._/:@+=-").find(c) != std::string_view::npos;
}

// No shell gets to see these as text; that they are harmless all the same is a second wall.
std::string harmless(const StrictObject& object, const std::string& key, std::string word) {
  if (word.empty() || word.front() == '-' || !std::ranges::all_of(word, plain))
    object.refuse(key, "letters, digits and ._/:@+=- (no leading -)");
  return word;
}

// Slurm takes a name without a count for one of it.
std::string resources(StrictObject& object) {
  if (!object.has("gres")) {
    return object.has("gpus_per_node") ? fmt::format("gpu:{}", object.count("gpus_per_node")) : "";
  }
  const std::string gres = harmless(object, "gres", object.text("gres"));
  const std::size_t colon = gres.rfind(':');
  const bool counted = colon != std::string::npos && colon + 1 < gres.size() &&
                       gres.find_first_not_of("0123456789", colon + 1) == std::string::npos;
  if (counted == object.has("gpus_per_node"))
    object.refuse("gres", "gpus_per_node beside it, or a count at its end (gpu:h100:8)");
  return counted ? gres : fmt::format("{}:{}", gres, object.count("gpus_per_node"));
}

std::vector<fs::path> records_of(const fs::path& folder) {
  std::set<fs::path> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder / "records", none)) {
    if (entry.path().extension() == ".jsonl") found.insert(entry.path());
  }
  return {found.begin(), found.end()};
}

std::int64_t measurements_in(const fs::path& record) {
  std::ifstream in(record, std::ios::binary);
  std::int64_t lines = 0;
  for (std::string line; std::getline(in, line) && !in.eof();)
    lines += line.find("\"kind\":\"measurement\"") != std::string::npos;
  return lines;
}

}  // namespace

Site read_site(const fs::path& file) {
  const auto json = read_json_file(file);
  StrictObject object(json, file.string());
  Site site;
  const auto word = [&](const char* key, std::string& into) {
    if (object.has(key)) into = harmless(object, key, object.text(key));
  };
  if (object.has("modules")) {
    for (std::string& module : object.texts("modules"))
      site.modules.push_back(harmless(object, "modules", std::move(module)));
  }
  word("container", site.container);
  word("partition", site.partition);
  word("account", site.account);
  word("qos", site.qos);
  word("mpi", site.mpi);
  site.gres = resources(object);
  if (object.has("rules")) site.rules = named(object, "rules", filled(object, "rules"));
  object.finish();
  return site;
}

FabricPlan fabric_plan(std::int64_t nodes) {
  FabricPlan plan;
  plan.rounds = nodes - 1 + nodes % 2;
  // 4, 8, ... nodes and all of them.
  if (nodes > 2) plan.groups = std::bit_width(static_cast<std::uint64_t>(nodes - 1)) - 1;
  return plan;
}

std::int64_t FabricPlan::seconds() const {
  return kStepS * (rounds + groups);
}

// A quarter more, for steps take time to start and finish the case that they are at; and the minute
// before the limit is the signal's.
std::int64_t time_limit_minutes(std::int64_t measuring_s) {
  return std::max(kLeastMinutes, (measuring_s + measuring_s / 4 + 60 + 59) / 60);
}

std::vector<std::string> sbatch_command(const JobRequest& request) {
  const Site& site = request.site;
  std::vector<std::string> words = {"sbatch", "--parsable"};
  const auto option = [&words](const char* name, const std::string& value) {
    if (!value.empty()) words.push_back(fmt::format("--{}={}", name, value));
  };
  option("job-name", "trainmeter-" + request.kind);
  option("output", (request.jobs / (request.array.empty() ? "%j.log" : "%A_%a.log")).string());
  if (request.kind != "node") option("nodes", std::to_string(request.nodes));
  option("partition", site.partition);
  option("account", site.account);
  option("qos", site.qos);
  option("time", request.time);
  option("nodelist", request.nodelist);
  option("array", request.array);
  option("gres", site.gres);
  words.insert(words.end(), request.more.begin(), request.more.end());
  words.push_back((request.scripts / (request.kind + ".sbatch")).string());
  words.push_back(request.scripts.string());
  const auto argument = [&words](const char* name, const std::string& value) {
    words.insert(words.end(), {name, value});
  };
  if (site.container.empty()) argument("--bin", request.programs.string());  // else the image's
  argument("--jobs", request.jobs.string());
  argument("--device", request.device);
  argument("--case-seconds", fmt::format("{}", request.case_seconds));
  argument("--mpi", site.mpi);
  for (const std::string& module : site.modules) argument("--module", module);
  if (!site.container.empty()) argument("--image", site.container);
  return words;
}

std::string job_number(const std::string& text) {
  constexpr std::size_t kMostDigits = 10;
  if (text.empty() || text.size() > kMostDigits ||
      text.find_first_not_of("0123456789") != std::string::npos) {
    throw BadInput(fmt::format("'{}': expected the number of a job", text));
  }
  return text;
}

std::string state_of_job(const std::string& lines) {
  std::istringstream in(lines);
  std::string found;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string state, reason;
    if (!(words >> state)) continue;
    words >> reason;
    if (!reason.empty() && reason != "None") state += fmt::format(" ({})", reason);
    if (found.empty() || (waits(found) && !waits(state))) found = state;
  }
  return found;
}

bool waits(const std::string& state) {
  constexpr std::array kWaiting = {"PENDING", "SUSPENDED", "STOPPED", "REQUEUE", "unknown"};
  return std::ranges::any_of(kWaiting, [&](const char* one) { return state.starts_with(one); });
}

QueuePace::QueuePace(const std::string& most) : most_s_(kWaitingS), next_s_(kFirstLookS) {
  if (most.empty()) return;
  const char* end = most.data() + most.size();
  const auto [stop, failed] = std::from_chars(most.data(), end, most_s_);
  if (failed != std::errc{} || stop != end || !(most_s_ > 0 && most_s_ <= kLongestPollS)) {
    throw BadInput(
        fmt::format("TRAINMETER_POLL_SECONDS: expected seconds above 0, found '{}'", most));
  }
}

std::chrono::duration<double> QueuePace::next(bool waiting) {
  if (waiting != waited_) next_s_ = kFirstLookS;
  waited_ = waiting;
  const double most_s = std::min(most_s_, waiting ? kWaitingS : kRunningS);
  const double now_s = std::min(next_s_, most_s);
  next_s_ = std::min(2 * next_s_, most_s);
  return std::chrono::duration<double>(now_s);
}

std::int64_t JobProgress::total() const {
  std::int64_t sum = 0;
  for (const auto& [record, count] : measured) sum += count;
  return sum;
}

JobProgress progress_of(const fs::path& folder) {
  JobProgress progress;
  for (const fs::path& record : records_of(folder))
    progress.measured[record.stem().string()] = measurements_in(record);
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder / "ended", none)) {
    if (entry.path().extension() == ".part") continue;
    int code = 0;
    if (std::ifstream(entry.path()) >> code) progress.ended.push_back(code);
  }
  return progress;
}

std::optional<fs::path> merge_records(const fs::path& folder) {
  std::string all;
  for (const fs::path& file : records_of(folder)) {
    (void)read_record(file);
    std::ifstream in(file, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    text.resize(text.rfind('\n') + 1);
    all += text;
  }
  if (all.empty()) return std::nullopt;
  const fs::path merged = folder / "record.jsonl";
  const fs::path part = folder / "record.jsonl.part";
  if (std::ofstream out(part, std::ios::binary); !(out << all).flush())
    throw EnvironmentFailed(part.string() + ": writing failed");
  // A network file system that asks its server twice may say that it failed though it was done.
  std::error_code error;
  fs::rename(part, merged, error);
  std::error_code none;
  if (error && (fs::exists(part, none) || !fs::exists(merged, none)))
    throw EnvironmentFailed(merged.string() + ": renaming failed: " + error.message());
  return merged;
}

}  // namespace trainmeter
