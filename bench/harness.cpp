// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Google Benchmark around our loop: one registered benchmark a case, one iteration each.
#include "bench/harness.hpp"

#include "bench/exit_code.hpp"
#include "bench/plans.hpp"
#include "bench/progress.hpp"
#include "bench/reporter.hpp"
#include "bench/resume.hpp"
#include "bench/session.hpp"
#include "record/error.hpp"
#include "record/formulas.hpp"
#include "record/journal.hpp"
#include "record/samples.hpp"
#include "record/statistics.hpp"

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unistd.h>
#include <utility>

namespace trainmeter {
namespace {

constexpr std::int64_t kEnd = -1;  // to the ranks that follow: kEnd - exit code

class Leader {
 public:
  Leader(Job& job, const std::vector<Plan>& plans, Runner& runner)
      : job_(job), options_(job.options), plans_(plans), runner_(runner) {}

  int run() {
    const Header header = make_header(options_, job_.target);
    std::vector<std::size_t> chosen = matching();
    const std::size_t before = chosen.size();
    if (options_.resume) drop_finished(header, chosen);
    if (chosen.empty()) {
      fmt::print(stderr, "{}: all {} cases are finished in {}\n", header.program, before,
                 options_.out);
      return kFine;
    }
    if (!options_.google.list_tests) {
      for (const std::string& reason : job_.list.left_out) {
        fmt::print(stderr, "left out: {}\n", reason);
      }
      if (!options_.out.empty()) journal_.emplace(options_.out, header);
      if (journal_ && journal_->repaired()) {
        fmt::print(stderr, "{}: cut off a half-written last line\n", options_.out);
      }
    }
    session_ = header.session;
    measure_under_google(chosen, header);
    if (error_) std::rethrow_exception(error_);
    if (options_.google.list_tests) return kFine;
    return summary();
  }

 private:
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

  void drop_finished(const Header& header, std::vector<std::size_t>& chosen) {
    if (!std::filesystem::exists(options_.out)) return;
    const Record record = read_record(options_.out);
    if (!options_.resume_anyway) require_same(record, header);
    const std::size_t before = chosen.size();
    std::erase_if(chosen, [&](std::size_t index) {
      return is_finished(plans_[index], record, header,
                         job_.world == nullptr ? 1 : job_.world->ranks(),
                         options_.google.repetitions, options_.resume_anyway);
    });
    if (before != chosen.size() && !chosen.empty()) {
      fmt::print(stderr, "{}: {} of {} cases are finished in {}\n", header.program,
                 before - chosen.size(), before, options_.out);
    }
  }

  void measure_under_google(const std::vector<std::size_t>& chosen, const Header& header) {
    Progress progress(chosen.size() * static_cast<std::size_t>(options_.google.repetitions),
                      ::isatty(STDERR_FILENO) == 1 && !options_.google.list_tests);
    progress_ = &progress;
    // Filter and warm-up are ours, so the library's own (from its environment, too) are switched
    // off.
    std::vector<std::string> words = {
        options_.command.front(), "--benchmark_filter=.", "--benchmark_min_warmup_time=0",
        fmt::format("--benchmark_repetitions={}", options_.google.repetitions)};
    // https://no-color.org, which the library doesn't know; and mpirun shows its ranks a terminal
    // even where its own output goes to a file. A --benchmark_color of the user's comes later and
    // holds.
    const char* no_color = std::getenv("NO_COLOR");
    if ((no_color != nullptr && *no_color != '\0') || job_.world != nullptr) {
      words.emplace_back("--benchmark_color=false");
    }
    words.insert(words.end(), options_.google.forward.begin(), options_.google.forward.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    auto count = static_cast<int>(arguments.size());
    benchmark::SetDefaultTimeUnit(benchmark::kMicrosecond);
    benchmark::Initialize(&count, arguments.data());
    benchmark::AddCustomContext("device", header.device.name);
    benchmark::AddCustomContext("git_revision", header.git_revision);
    for (const std::size_t index : chosen) {
      benchmark::RegisterBenchmark(plans_[index].main.name.c_str(),
                                   [this, index](benchmark::State& state) { one(state, index); })
          ->Iterations(1)
          ->UseManualTime();
    }
    const auto display = display_reporter(options_.google, progress);
    const auto file =
        options_.google.out.empty() ? nullptr : file_reporter(options_.google, progress);
    benchmark::RunSpecifiedBenchmarks(display.get(), file.get());
    benchmark::ClearRegisteredBenchmarks();
    progress_ = nullptr;
  }

  // Nothing may be thrown through Google Benchmark.
  void one(benchmark::State& state, std::size_t index) {
    if (error_ || job_.interrupted_by() != 0 || time_is_up()) {
      if (!error_ && job_.interrupted_by() == 0) ++left_out_;
      skip(state, std::string(kLeftOut));
      return;
    }
    try {
      progress_->start(plans_[index].main.name);
      measure_one(state, index);
    } catch (...) {
      error_ = std::current_exception();
      skip(state, failure_in_flight().text);
    }
  }

  void measure_one(benchmark::State& state, std::size_t index) {
    if (job_.world != nullptr) job_.world->decide(static_cast<std::int64_t>(index));
    Outcome outcome = runner_.run(plans_[index]);
    if (outcome.interrupted) {
      skip(state, std::string(kLeftOut));
      return;
    }
    const std::int64_t repetition = repetitions_[index]++;
    for (Measurement& row : outcome.rows) {
      row.session = session_;
      row.repetition = repetition;
      if (journal_) journal_->append(row);
    }
    if (outcome.code == kCheckFailed || worst_ == kFine) worst_ = outcome.code;
    if (outcome.code != kFine) {
      ++failed_;
      const Measurement& row = outcome.rows.front();
      progress_->clear();
      fmt::print(stderr, "{}: {}\n", row.name, row.failure);
      skip(state, row.failure);
      return;
    }
    ++measured_;
    if (!outcome.settled) ++unsettled_;
    if (options_.rules().target > 0 && outcome.rows.front().stopped != "converged") ++open_;
    show(state, outcome);
  }

  static void skip(benchmark::State& state, const std::string& text) {
    state.SkipWithError(text.c_str());
    while (state.KeepRunning()) {
    }
  }

  static void show(benchmark::State& state, const Outcome& outcome) {
    const Measurement& row = outcome.rows.front();
    const MedianEstimate time = median_time(row);
    const double median_s = time.median;
    while (state.KeepRunning()) state.SetIterationTime(median_s);
    if (row.flops > 0) {
      state.counters["TFLOP/s"] = rate(row.flops, median_s) / 1e12;
    } else {
      state.counters["GB/s"] = rate(row.bytes, median_s) / 1e9;
    }
    if (row.operation == "allreduce") {
      state.counters["bus_GB/s"] =
          rate(row.bytes, median_s) * bus_factor(row.operation, row.ranks) / 1e9;
    }
    state.counters["samples"] = static_cast<double>(row.time_s.size());
    if (time.interval) state.counters["ci95_pct"] = time.half_width() * 100;
    if (!row.marks.empty()) {
      state.counters["left_out"] = static_cast<double>(counted_samples(row).left_out);
    }
    state.counters["spread"] = median_absolute_deviation(row.time_s) / median_s;
    state.counters["runs_per_sample"] = static_cast<double>(outcome.runs_per_sample);
    if (outcome.rows.size() > 1) {
      const Measurement& other = outcome.rows[1];
      const MedianEstimate speed = paired_ratio(other, row);  // its time over ours
      const std::string name =
          other.backend != row.backend ? other.backend : other.name.substr(row.name.size() + 1);
      state.counters["speed_vs_" + name] = speed.median;
      if (speed.interval) state.counters["speed_ci95_pct"] = speed.half_width() * 100;
    }
  }

  [[nodiscard]] bool time_is_up() const {
    if (!options_.max_seconds) return false;
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin_;
    return spent.count() >= *options_.max_seconds;
  }

  int summary() const {
    std::string text = fmt::format("{}: {} measured", program_name(options_.program), measured_);
    if (failed_ > 0) text += fmt::format(", {} failed", failed_);
    if (unsettled_ > 0) text += fmt::format(", {} still drifting after warm-up", unsettled_);
    if (open_ > 0) {
      text += fmt::format(", {} without an interval of +- {:.3g} %", open_,
                          options_.rules().target * 100);
    }
    if (left_out_ > 0) text += fmt::format(", {} left out (--max_seconds)", left_out_);
    const int signal = job_.interrupted_by();
    if (signal != 0) text += ", interrupted";
    if (journal_) text += fmt::format("; record: {}", options_.out);
    fmt::print(stderr, "{}\n", text);
    return signal != 0 ? 128 + signal : worst_;
  }

  Job& job_;
  const Options& options_;
  const std::vector<Plan>& plans_;
  Runner& runner_;
  std::optional<Journal> journal_;
  std::string session_;
  Progress* progress_ = nullptr;
  std::map<std::size_t, std::int64_t> repetitions_;
  std::exception_ptr error_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  int worst_ = kFine;
  std::size_t measured_ = 0, failed_ = 0, unsettled_ = 0, open_ = 0, left_out_ = 0;
};

int follow(World& world, const std::vector<Plan>& plans, Runner& runner) {
  for (;;) {
    const std::int64_t index = world.decide(0);
    if (index <= kEnd) return static_cast<int>(kEnd - index);
    runner.run(plans.at(static_cast<std::size_t>(index)));
  }
}

}  // namespace

int run_job(Job job) {
  if (job.list.cases.empty()) {
    throw Unavailable(fmt::format("nothing to measure: {}", fmt::join(job.list.left_out, "; ")));
  }
  const std::vector<Plan> plans = make_plans(job.list.cases, job.options, job.target.rotate_bytes);
  Runner runner(
      job.target, job.options.rules(), job.options.operands(job.target.rotate_bytes),
      std::move(job.timer), job.world, [&job] { return job.interrupted_by() != 0; },
      std::move(job.around));
  if (job.world != nullptr && job.world->rank() != 0) return follow(*job.world, plans, runner);
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
