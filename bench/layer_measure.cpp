// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Turns of a layer and its parts.
#include "bench/layer_measure.hpp"

#include "kernels/telemetry.hpp"
#include "record/median_estimate.hpp"

#include <cmath>
#include <limits>
#include <numeric>

namespace trainmeter {
namespace {

constexpr double kKinds = 3;  // of times: the whole, in place, alone

class Turns {
 public:
  Turns(std::span<Operation* const> parts, std::span<const std::size_t> order, SequenceTimer& timer,
        const Rules& rules, const std::function<bool()>& stop, const Around& around)
      : order_(order), timer_(timer), rules_(rules), stop_(stop), around_(around) {
    rotations_.reserve(parts.size());
    for (Operation* part : parts) rotations_.emplace_back(*part);
    for (const std::size_t part : order) steps_.push_back(&rotations_[part]);
    places_.resize(parts.size());
    for (const std::size_t part : order) ++places_[part];
    out_.in_place_s.resize(parts.size());
    out_.alone_s.resize(parts.size());
  }

  LayerSamples run() {
    out_.interrupted = !(warm_up() && sample());
    return std::move(out_);
  }

 private:
  bool warm_up() {
    const double start_s = timer_.now_s();
    double last_s = std::numeric_limits<double>::quiet_NaN();
    for (;;) {
      if (stop_()) return false;
      const double whole_s = timer_.whole(steps_);
      (void)timer_.laps(steps_);
      // NaN, the first time, is not settled.
      out_.settled = std::abs(whole_s - last_s) < rules_.settled * last_s;
      last_s = whole_s;
      const double spent_s = timer_.now_s() - start_s;
      if (spent_s >= rules_.max_warmup_s || (spent_s >= rules_.warmup_s && out_.settled)) break;
    }
    if (around_.probe) (void)around_.probe();
    return true;
  }

  bool sample() {
    const double start_s = timer_.now_s();
    while (!enough(timer_.now_s() - start_s)) {
      if (stop_()) return false;
      probe();
      turn();
    }
    probe();
    return true;
  }

  void probe() {
    if (!around_.probe) return;
    out_.probes.push_back(around_.probe());
    out_.probes.back().before = std::ssize(out_.whole_s);
  }

  void turn() {
    const auto number = std::ssize(out_.whole_s);
    const double start_s = steady_now_s();
    out_.whole_s.push_back(timer_.whole(steps_));
    if (const auto launched_s = timer_.launched(steps_)) out_.launched_s.push_back(*launched_s);
    const std::vector<double> laps = timer_.laps(steps_);
    const double between_s = steady_now_s();
    take(laps);
    for (std::size_t part = 0; part < rotations_.size(); ++part) {
      const std::vector<Rotation*> alone(1 + kAloneRuns, &rotations_[part]);
      const std::vector<double> runs = timer_.laps(alone);
      out_.alone_s[part].push_back(std::accumulate(runs.begin() + 1, runs.end(), 0.0) / kAloneRuns);
    }
    out_.in_layer.push_back({number, number + 1, start_s, between_s});
    out_.alone.push_back({number, number + 1, between_s, steady_now_s()});
  }

  void take(const std::vector<double>& laps) {
    std::vector<double> sums(rotations_.size());
    for (std::size_t i = 0; i < laps.size(); ++i) sums[order_[i]] += laps[i];
    for (std::size_t part = 0; part < sums.size(); ++part)
      out_.in_place_s[part].push_back(sums[part] / static_cast<double>(places_[part]));
    out_.laps_s.push_back(std::accumulate(laps.begin(), laps.end(), 0.0));
  }

  bool enough(double spent_s) {
    const auto have = std::ssize(out_.whole_s);
    const double sampled_s = std::accumulate(out_.whole_s.begin(), out_.whole_s.end(), 0.0);
    const bool late = spent_s >= kKinds * rules_.max_time_s;
    if (have < rules_.min_samples || (sampled_s < rules_.min_time_s && !late)) return false;
    const bool full = have >= rules_.max_samples;
    if (!(rules_.target > 0)) {
      out_.stopped = full ? "sample_limit" : "enough";
    } else if (have >= next_look_ || late || full) {
      // As in measure(): two successive looks, the second at twice as many.
      const bool narrow_now = narrow(have);
      next_look_ = 2 * have;
      out_.stopped = narrow_now && (late || full || narrow(have / 2)) ? "converged"
                     : full                                           ? "sample_limit"
                     : late                                           ? "time_limit"
                                                                      : "";
    }
    return !out_.stopped.empty();
  }

  [[nodiscard]] bool narrow(std::ptrdiff_t count) const {
    const auto first = std::span(out_.whole_s).first(static_cast<std::size_t>(count));
    return estimate_median(first).half_width() < rules_.target;
  }

  std::span<const std::size_t> order_;
  SequenceTimer& timer_;
  const Rules& rules_;
  const std::function<bool()>& stop_;
  const Around& around_;
  std::vector<Rotation> rotations_;
  std::vector<Rotation*> steps_;
  std::vector<std::int64_t> places_;  // of each part in the layer
  std::ptrdiff_t next_look_ = static_cast<std::ptrdiff_t>(kLeastSamplesForInterval);
  LayerSamples out_;
};

}  // namespace

LayerSamples measure_layer(std::span<Operation* const> parts, std::span<const std::size_t> order,
                           SequenceTimer& timer, const Rules& rules,
                           const std::function<bool()>& stop, const Around& around) {
  return Turns(parts, order, timer, rules, stop, around).run();
}

}  // namespace trainmeter
