// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The measuring loop, for one operation or several in turn.
#include "bench/measure.hpp"

#include "bench/sentinel.hpp"
#include "bench/stop_rule.hpp"
#include "kernels/telemetry.hpp"
#include "record/median_estimate.hpp"
#include "record/names.hpp"
#include "record/samples.hpp"
#include "record/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <utility>

namespace trainmeter {
namespace {

// A sample must span this many steps of the clock, so that reading it costs below 1 %.
constexpr double kLeastSteps = 100;
constexpr std::int64_t kLeastPairs = 30;  // of two operations in turn
constexpr std::int64_t kMaxBatch = 100'000;
constexpr double kSpare = 1.25;  // of the least time, since runs may be faster than in warm-up
constexpr std::int64_t kMaxRound = 1'000;  // samples; a GPU timer holds two events for each

class Loop {
 public:
  Loop(std::span<Operation* const> operations, Timer& timer, const Rules& rules, World* world,
       const std::function<bool()>& stop, const Around& around)
      : timer_(timer), rules_(rules), world_(world), stop_(stop), around_(around) {
    for (Operation* operation : operations) series_.emplace_back(*operation);
  }

  Measured run() {
    if (!go_on()) return finish(true);
    for (Series& series : series_) series.run_s = take(series, 1).front();
    // The first run is slower than those to come, so the batch is looked at again when warm.
    return finish(!(choose_batches() && warm_up() && choose_batches() && sample()));
  }

 private:
  struct Series {
    explicit Series(Operation& operation) : rotation(operation) {}
    Rotation rotation;
    std::int64_t batch = 1;
    double run_s = 0;     // estimate
    double sample_s = 0;  // on the wall, with all that is around the runs: barriers, queueing
    double total_s = 0;
    std::vector<double> time_s;
    std::map<int, std::int64_t> slowest;
  };

  [[nodiscard]] std::int64_t decide(std::int64_t count) const {
    return world_ == nullptr ? count : world_->decide(count);
  }
  [[nodiscard]] bool go_on() const {
    const bool mine = !stop_();
    return world_ == nullptr ? mine : world_->all(mine);
  }

  bool choose_batches() {
    for (Series& series : series_) {
      if (!choose_batch(series)) return false;
    }
    return true;
  }

  // The batch to try next where a sample must span `least_s`; the same one where it does.
  static std::int64_t batch_to_span(double least_s, const Series& series) {
    const auto now = static_cast<double>(series.batch);
    if (series.run_s * now >= least_s) return series.batch;
    const double wanted = series.run_s > 0 ? std::ceil(least_s / series.run_s) : kMaxBatch;
    return std::min(static_cast<std::int64_t>(std::clamp(wanted, 2 * now, 10 * now)), kMaxBatch);
  }

  // As many runs a sample as it takes to span enough steps of the clock, and for the most samples
  // to span the least time.
  [[nodiscard]] std::int64_t next_batch(const Series& series) const {
    const std::int64_t by_clock = batch_to_span(kLeastSteps * timer_.resolution_s(), series);
    if (!rules_.batch_for_time || around_.before_run) return by_clock;
    const double least_s = kSpare * rules_.min_time_s / static_cast<double>(rules_.max_samples);
    const std::int64_t by_time =
        std::min(batch_to_span(least_s, series), timer_.most_batched(*series.rotation.operation));
    return std::max(by_clock, by_time);
  }

  bool choose_batch(Series& series) {
    for (;;) {
      const std::int64_t next = decide(next_batch(series));
      if (next == series.batch) return true;
      if (around_.before_run) {
        throw Unavailable(
            fmt::format("a run of {} is too short for this clock, and several can't be timed "
                        "together where the "
                        "caches are emptied before each: choose a larger one",
                        format_seconds(series.run_s)));
      }
      series.batch = next;
      if (!go_on()) return false;
      series.run_s = take(series, 1).front();
    }
  }

  // Samples of one round: what fits in `seconds` of the wall clock together for all series.
  [[nodiscard]] std::int64_t samples_in(double seconds) const {
    double one_s = 0;
    for (const Series& series : series_) one_s += series.sample_s;
    const double fit = one_s > 0 ? seconds / one_s : kMaxRound;
    return static_cast<std::int64_t>(std::clamp(fit, 1.0, static_cast<double>(kMaxRound)));
  }

  std::vector<double> take(Series& series, std::int64_t count) {
    const double start_s = timer_.now_s();
    std::vector<double> times;
    if (around_.before_run) {
      for (std::int64_t i = 0; i < count; ++i) {
        around_.before_run();
        times.push_back(timer_.take(series.rotation, 1, 1).front());
      }
    } else {
      times = timer_.take(series.rotation, count, series.batch);
      if (sampling_) {
        for (const int rank : timer_.slowest_ranks()) ++series.slowest[rank];
      }
    }
    const double wall_s = timer_.now_s() - start_s;
    series.sample_s = wall_s / static_cast<double>(count);
    wall_s_ += wall_s;
    return times;
  }

  // Takes `count` samples of every series, in turn where there are several. The times go to `out`.
  void take(std::int64_t count, std::vector<std::vector<double>>& out) {
    out.assign(series_.size(), {});
    const std::int64_t turns = series_.size() == 1 ? 1 : count;
    for (std::int64_t turn = 0; turn < turns; ++turn) {
      for (std::size_t i = 0; i < series_.size(); ++i) {
        const auto times = take(series_[i], count / turns);
        out[i].insert(out[i].end(), times.begin(), times.end());
      }
    }
  }

  bool warm_up() {
    std::vector<std::vector<double>> round;
    std::vector<double> last(series_.size(), std::numeric_limits<double>::quiet_NaN());
    wall_s_ = 0;
    if (rules_.warmup_samples) {
      if (*rules_.warmup_samples > 0) take(decide(*rules_.warmup_samples), round);
      settled_ = true;
      return true;
    }
    for (;;) {
      if (!go_on()) return false;
      take(decide(samples_in(rules_.warmup_s / 4)), round);
      bool settled = true;
      for (std::size_t i = 0; i < series_.size(); ++i) {
        Series& series = series_[i];
        series.run_s = median(round[i]);
        // NaN, in the first round, is not settled.
        settled = settled && std::abs(series.run_s - last[i]) < rules_.settled * last[i];
        last[i] = series.run_s;
      }
      const bool enough = wall_s_ >= rules_.warmup_s && settled;
      const bool too_long = wall_s_ >= rules_.max_warmup_s;
      if (decide(enough || too_long ? 1 : 0) == 1) {
        settled_ = settled;
        return true;
      }
    }
  }

  // How many samples the next round takes; 0: there are enough, and `stopped_` says why.
  [[nodiscard]] std::int64_t missing() {
    std::int64_t want = missing_for_least();
    if (want < 1) want = missing_for_target();
    return std::min(want, samples_in(rules_.round_s));
  }

  [[nodiscard]] std::int64_t missing_for_target() {
    const auto have = static_cast<std::int64_t>(series_.front().time_s.size());
    const bool late = wall_s_ >= rules_.max_time_s * static_cast<double>(series_.size());
    const std::string why =
        stop_rule_.why_stop(have, late, [this](std::int64_t n) { return narrow(n); });
    if (why.empty()) return std::min(stop_rule_.next_look(), rules_.max_samples) - have;
    stopped_ = why;
    return 0;
  }

  [[nodiscard]] bool narrow(std::int64_t count) const {
    const auto first = [&](const Series& series) {
      return first_samples(series.time_s, probes_, count);
    };
    const MedianEstimate estimate = series_.size() == 2
                                        ? ratio_in_turn(first(series_[0]), first(series_[1]))
                                        : median_time(first(series_[0]));
    return estimate.half_width() < rules_.target;
  }

  [[nodiscard]] std::int64_t missing_for_least() const {
    const double most_wall_s =
        rules_.max_overhead * rules_.min_time_s * static_cast<double>(series_.size());
    std::int64_t most = 0;
    for (const Series& series : series_) {
      const auto have = static_cast<std::int64_t>(series.time_s.size());
      const std::int64_t least =
          series_.size() == 1 ? rules_.min_samples : std::max(rules_.min_samples, kLeastPairs);
      std::int64_t want = least - have;
      if (series.total_s < rules_.min_time_s && wall_s_ < most_wall_s) {
        const double sample_s = series.run_s * static_cast<double>(series.batch);
        const double more = std::ceil((rules_.min_time_s - series.total_s) / sample_s);
        const auto limit = static_cast<double>(rules_.max_samples);
        want = std::max(want, static_cast<std::int64_t>(more < limit ? more : limit));
        want = std::max<std::int64_t>(want, 1);
      }
      most = std::max(most, std::min(want, rules_.max_samples - have));
    }
    return most;
  }

  void probe() {
    if (!around_.probe) return;
    probes_.push_back(around_.probe());
    probes_.back().before = static_cast<std::int64_t>(series_.front().time_s.size());
  }

  bool sample() {
    std::vector<std::vector<double>> round;
    wall_s_ = 0;
    sampling_ = true;
    probe();
    while (const std::int64_t count = decide(missing())) {
      if (!go_on()) return false;
      const auto first = static_cast<std::int64_t>(series_.front().time_s.size());
      const double start_s = steady_now_s();
      take(count, round);
      rounds_.push_back({first, first + count, start_s, steady_now_s()});
      for (std::size_t i = 0; i < series_.size(); ++i) {
        Series& series = series_[i];
        series.time_s.insert(series.time_s.end(), round[i].begin(), round[i].end());
        series.total_s += static_cast<double>(series.batch) *
                          std::accumulate(round[i].begin(), round[i].end(), 0.0);
      }
      probe();
    }
    return true;
  }

  Measured finish(bool interrupted) {
    Measured measured;
    measured.settled = settled_;
    measured.interrupted = interrupted;
    measured.brief = series_.front().total_s < rules_.min_time_s;
    measured.stopped = stopped_;
    measured.rounds = std::move(rounds_);
    measured.probes = std::move(probes_);
    for (Series& series : series_) {
      measured.of.push_back({.time_s = std::move(series.time_s),
                             .runs_per_sample = series.batch,
                             .slowest = std::move(series.slowest)});
    }
    return measured;
  }

  std::vector<Series> series_;
  Timer& timer_;
  const Rules& rules_;
  World* world_;
  const std::function<bool()>& stop_;
  const Around& around_;
  std::string stopped_;
  std::vector<Round> rounds_;
  std::vector<Probe> probes_;
  StopRule stop_rule_{rules_.target, rules_.max_samples};
  double wall_s_ = 0;  // spent in this phase
  bool settled_ = false;
  bool sampling_ = false;
};

}  // namespace

Measured measure(std::span<Operation* const> operations, Timer& timer, const Rules& rules,
                 World* world, const std::function<bool()>& stop, const Around& around) {
  return Loop(operations, timer, rules, world, stop, around).run();
}

}  // namespace trainmeter
