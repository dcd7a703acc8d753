// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Google Benchmark around our loop: one registered benchmark a case, one iteration each.
#include "bench/harness.hpp"

#include "bench/counters.hpp"
#include "bench/exit_code.hpp"
#include "bench/job_record.hpp"
#include "bench/layer_rows.hpp"
#include "bench/plans.hpp"
#include "bench/progress.hpp"
#include "bench/reporter.hpp"
#include "bench/resume.hpp"
#include "bench/tally.hpp"
#include "bench/together.hpp"
#include "record/error.hpp"
#include "record/statistics.hpp"

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <unistd.h>
#include <utility>

namespace trainmeter {
namespace {

constexpr std::int64_t kEnd = -1;  // to the ranks that follow: kEnd - exit code
// Cases of a search are registered before it begins; Google Benchmark's time for that grows with
// their square. The last places are for its end, whatever the time.
constexpr std::size_t kMostSearched = 2'000;
constexpr std::size_t kKeptForTheEnd = 100;
constexpr int kNameWidth = 44;  // of their names on the console, about

// The signal that ended a case for all ranks, whichever of them got it: the largest number.
// Collective.
int agreed_signal(World* world, int mine) {
  return world == nullptr ? mine : static_cast<int>(std::ranges::max(world->each(mine)));
}

class Leader {
 public:
  Leader(Job& job, const std::vector<Plan>& plans, Runner& runner)
      : job_(job),
        options_(job.options),
        plans_(plans),
        runner_(runner),
        record_(job.options, job.target) {}

  int run() {
    std::vector<std::size_t> chosen = job_.search ? places() : matching();
    const std::size_t before = chosen.size();
    if (!job_.search) drop_finished(chosen);
    if (chosen.empty()) {
      fmt::print(stderr, "{}: all {} cases are finished in {}\n", program_name(options_.program),
                 before, options_.out);
      if (options_.google.format != "console" && !options_.google.list_tests) print_none();
      return kFine;
    }
    if (!options_.google.list_tests) {
      for (const std::string& reason : job_.list.left_out) {
        fmt::print(stderr, "left out: {}\n", reason);
      }
      if (record_.open())
        fmt::print(stderr, "{}: cut off a half-written last line\n", options_.out);
    }
    measure_under_google(chosen);
    if (error_) std::rethrow_exception(error_);
    if (options_.google.list_tests) return kFine;
    const int code = summary();
    if (google_file_failed_) {
      throw EnvironmentFailed(
          fmt::format("--benchmark_out: {}: writing failed", options_.google.out));
    }
    return code;
  }

 private:
  // Where the cases of a search will be run, whatever they are.
  static std::vector<std::size_t> places() {
    std::vector<std::size_t> chosen(kMostSearched);
    std::iota(chosen.begin(), chosen.end(), 0);
    return chosen;
  }

  [[nodiscard]] std::vector<std::size_t> matching() const {
    const NameFilter filter(options_.google.filter);
    std::vector<std::size_t> chosen;
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      if (filter.matches(plans_[i].main.name)) chosen.push_back(i);
    }
    if (chosen.empty()) {
      throw BadInput(
          fmt::format("--benchmark_filter={}: no case matches (--benchmark_list_tests "
                      "shows them)",
                      options_.google.filter));
    }
    return chosen;
  }

  void drop_finished(std::vector<std::size_t>& chosen) {
    const std::size_t before = chosen.size();
    std::erase_if(chosen, [&](std::size_t index) {
      const std::vector<RowKey> rows =
          job_.devices.empty()
              ? rows_of(plans_[index], job_.world == nullptr ? 1 : job_.world->group().ranks())
              : rows_on_devices(plans_[index], job_.devices.size());
      repetitions_[index] = record_.finished(rows);
      return repetitions_left(index) < 1;
    });
    if (before != chosen.size() && !chosen.empty()) {
      fmt::print(stderr, "{}: {} of {} cases are finished in {}\n", program_name(options_.program),
                 before - chosen.size(), before, options_.out);
    }
  }

  int repetitions_left(std::size_t index) {
    return options_.google.repetitions - repetitions_[index];
  }

  // A document without cases on stdout, for whoever reads one there; --benchmark_out's stays as
  // the run that finished them wrote it.
  void print_none() {
    finished_ = true;
    measure_under_google({0});
  }

  void measure_under_google(const std::vector<std::size_t>& chosen) {
    int left = 0, most = 1;  // repetitions: in all, and of one case
    for (const std::size_t index : chosen) {
      left += std::max(0, repetitions_left(index));
      most = std::max(most, repetitions_left(index));
    }
    Progress progress(static_cast<std::size_t>(left),
                      ::isatty(STDERR_FILENO) == 1 && !options_.google.list_tests);
    progress_ = &progress;
    // Filter and warm-up are ours, so the library's own (from its environment, too) are switched
    // off.
    std::vector<std::string> words = {options_.command.front(), "--benchmark_filter=.",
                                      "--benchmark_min_warmup_time=0",
                                      fmt::format("--benchmark_repetitions={}", most)};
    // https://no-color.org, which the library doesn't know; and mpirun shows its ranks a terminal
    // even where its own output goes to a file. A --benchmark_color of the user's comes later and
    // holds.
    const char* no_color = std::getenv("NO_COLOR");
    if ((no_color != nullptr && *no_color != '\0') || job_.world != nullptr) {
      words.emplace_back("--benchmark_color=false");
    }
    std::ranges::copy_if(options_.google.forward, std::back_inserter(words),
                         [&](const std::string& word) {
                           return !finished_ || !word.starts_with("--benchmark_out");
                         });
    if (finished_) words.emplace_back("--benchmark_out=");  // nor one of the environment
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    auto count = static_cast<int>(arguments.size());
    benchmark::SetDefaultTimeUnit(benchmark::kMicrosecond);
    benchmark::Initialize(&count, arguments.data());
    benchmark::AddCustomContext("device", record_.header().device.name);
    benchmark::AddCustomContext("git_revision", record_.header().git_revision);
    for (const std::size_t index : chosen) {
      const std::string name =
          job_.search ? fmt::format("{:>{}}", index, kNameWidth) : plans_[index].main.name;
      benchmark::RegisterBenchmark(name.c_str(),
                                   [this, index](benchmark::State& state) { one(state, index); })
          ->Iterations(1)
          ->UseManualTime();
    }
    const auto display =
        job_.table == nullptr ? display_reporter(options_.google, progress) : silent_reporter();
    const auto file = finished_ || options_.google.out.empty()
                          ? nullptr
                          : file_reporter(options_.google, progress);
    benchmark::RunSpecifiedBenchmarks(display.get(), file.get());
    google_file_failed_ = file != nullptr && file->failed();
    benchmark::ClearRegisteredBenchmarks();
    progress_ = nullptr;
  }

  // Nothing may be thrown through Google Benchmark.
  void one(benchmark::State& state, std::size_t index) {
    if (repetitions_left(index) < 1) {  // of a case that has had more than others before
      skip(state, std::string(kLeftOut));
      return;
    }
    if (finished_ || error_ || interrupted_by() != 0 || time_is_up()) {
      if (!error_ && interrupted_by() == 0 && !job_.search) tally_.left_out();
      skip(state, std::string(kLeftOut));
      return;
    }
    try {
      if (job_.search) {
        search_at(state, index);
      } else {
        progress_->start(plans_[index].main.name);
        measure_one(state, plans_[index], index);
      }
    } catch (...) {
      error_ = std::current_exception();
      skip(state, failure_in_flight().text);
    }
  }

  // Google Benchmark's repetitions come to the same place again.
  void search_at(benchmark::State& state, std::size_t place) {
    if (!place_) search_begin_s_ = elapsed_s();
    if (place_ != place) searched_ = next_of_search(place + kKeptForTheEnd >= kMostSearched);
    place_ = place;
    if (!searched_) {
      skip(state, std::string(kLeftOut));
      return;
    }
    progress_->say(job_.search->progress(elapsed_s() - search_begin_s_));
    state.SetLabel(searched_->main.name);
    measure_one(state, *searched_, place);
  }

  // What the record knows already is learnt from it.
  std::optional<Plan> next_of_search(bool ending) {
    for (;;) {
      std::optional<Plan> plan = job_.search->next(ending ? std::numeric_limits<double>::infinity()
                                                          : elapsed_s() - search_begin_s_);
      if (!plan) return plan;
      const Measurement* const known = record_.finished(*plan);
      if (known == nullptr) return plan;
      job_.search->take(*known);
    }
  }

  void measure_one(benchmark::State& state, const Plan& plan, std::size_t index) {
    if (job_.world != nullptr) job_.world->decide(static_cast<std::int64_t>(index));
    Outcome outcome = runner_.run(plan);
    if (outcome.interrupted) {
      signal_ = agreed_signal(job_.world, job_.interrupted_by());
      skip(state, std::string(kLeftOut));
      return;
    }
    const std::int64_t repetition = repetitions_[index]++;
    for (Measurement& row : outcome.rows) {
      row.repetition = repetition;
      record_.append(plan, row);
    }
    if (job_.search) job_.search->take(outcome.rows.front());
    if (job_.table != nullptr) job_.table->take(outcome.rows.front(), outcome.wrong);
    if (outcome.code == kCheckFailed || worst_ == kFine) worst_ = outcome.code;
    if (outcome.code != kFine) {
      tally_.failed();
      const Measurement& row = outcome.rows.front();
      progress_->clear();
      fmt::print(stderr, "{}: {}\n", row.name, row.failure);
      skip(state, row.failure);
      return;
    }
    const Slowest slowest =
        job_.devices.empty() ? Slowest{.row = outcome.shown} : slowest_of(outcome.rows);
    const Measurement& row = outcome.rows[slowest.row];
    tally_.measured(outcome, row);
    show_counters(state, outcome, row);
    if (!plan.main.parts.empty() && !plan.versus) {
      progress_->clear();
      fmt::print(stderr, "{}\n{}", row.name, layer_table(outcome.rows));
    }
    if (job_.devices.empty()) return;
    slowest_.push_back(slowest);
    state.counters["slowest_device"] = static_cast<double>(slowest.device);
    state.counters["speed_vs_alone"] = slowest.speed_vs_alone;
    if (slowest.half) state.counters["speed_ci95_pct"] = *slowest.half * 100;
  }

  static void skip(benchmark::State& state, const std::string& text) {
    state.SkipWithError(text.c_str());
    while (state.KeepRunning()) {
    }
  }

  void say_how_often_slowest(std::size_t device) const {
    std::vector<double> speeds;
    for (const Slowest& one : slowest_) {
      if (one.device == device) speeds.push_back(one.speed_vs_alone);
    }
    if (speeds.empty()) return;
    fmt::print(stderr,
               "together: device {} ({}) was the slowest in {} of {} cases, at {:.2f} of its speed "
               "alone (median)\n",
               device, job_.devices[device], speeds.size(), slowest_.size(), median(speeds));
  }

  // Of this rank or, once a case ended by one, of any.
  [[nodiscard]] int interrupted_by() const { return std::max(signal_, job_.interrupted_by()); }

  [[nodiscard]] bool time_is_up() const {
    if (!options_.max_seconds) return false;
    return elapsed_s() >= *options_.max_seconds;
  }

  [[nodiscard]] double elapsed_s() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

  int summary() const {
    std::string text = fmt::format("{}: {}", program_name(options_.program), tally_.text());
    const int signal = interrupted_by();
    if (signal != 0) text += ", interrupted";
    if (record_.is_open()) text += fmt::format("; record: {}", options_.out);
    fmt::print(stderr, "{}\n", text);
    for (std::size_t device = 0; !slowest_.empty() && device < job_.devices.size(); ++device) {
      say_how_often_slowest(device);
    }
    if (job_.search) {
      for (const std::string& line : job_.search->found()) fmt::print(stderr, "{}\n", line);
    }
    return signal != 0 ? 128 + signal : worst_;
  }

  Job& job_;
  const Options& options_;
  const std::vector<Plan>& plans_;
  Runner& runner_;
  JobRecord record_;
  std::optional<std::size_t> place_;
  double search_begin_s_ = 0;     // registering its places took time, too
  std::optional<Plan> searched_;  // the plan at `place_`
  Progress* progress_ = nullptr;
  std::map<std::size_t, int> repetitions_;  // measured so far, by place
  std::vector<Slowest> slowest_;            // one a case
  std::exception_ptr error_;
  int signal_ = 0;
  bool google_file_failed_ = false;
  bool finished_ = false;  // the record has all cases
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  int worst_ = kFine;
  Tally tally_{options_.rules()};
};

void keep_first_of_each(std::vector<std::string>& texts) {
  std::set<std::string> seen;
  std::erase_if(texts, [&](const std::string& text) { return !seen.insert(text).second; });
}

int follow(Job& job, const std::vector<Plan>& plans, Runner& runner) {
  for (;;) {
    const std::int64_t index = job.world->decide(0);
    if (index <= kEnd) return static_cast<int>(kEnd - index);
    if (runner.run(plans.at(static_cast<std::size_t>(index))).interrupted)
      (void)agreed_signal(job.world, job.interrupted_by());
  }
}

}  // namespace

int run_job(Job job) {
  keep_first_of_each(job.list.left_out);
  if (job.list.cases.empty() && !job.search) {
    throw Unavailable(fmt::format("nothing to measure: {}", fmt::join(job.list.left_out, "; ")));
  }
  const std::vector<Plan> plans = make_plans(job.list.cases, job.options, job.target.rotate_bytes);
  Runner runner({.target = job.target,
                 .rules = job.options.rules(),
                 .operands = job.options.operands(job.target.rotate_bytes),
                 .timer = std::move(job.timer),
                 .world = job.world,
                 .stop = [&job] { return job.interrupted_by() != 0; },
                 .around = std::move(job.around),
                 .devices = job.devices});
  if (job.world != nullptr && job.world->rank() != 0) return follow(job, plans, runner);
  const auto end = [&](int code) {
    if (job.world != nullptr) job.world->decide(kEnd - code);
  };
  try {
    const int code = Leader(job, plans, runner).run();
    end(code);
    return code;
  } catch (const OutOfStep&) {
    throw;
  } catch (...) {
    end(failure_in_flight().code);
    throw;
  }
}

}  // namespace trainmeter
