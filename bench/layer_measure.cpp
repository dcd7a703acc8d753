// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Turns of a layer and its parts.
#include "bench/layer_measure.hpp"

#include "bench/or_else_ended.hpp"
#include "bench/sentinel.hpp"
#include "bench/stop_rule.hpp"
#include "bench/until_it_moves.hpp"
#include "kernels/telemetry.hpp"
#include "record/error.hpp"
#include "record/samples.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <string>

namespace trainmeter {
namespace {

constexpr double kKinds = 3;  // of times: the whole, in place, alone

// One arm: its parts' rotations, and what was measured of it.
struct Taken {
  Taken(const LayerArm& arm, std::span<const std::size_t> order) : of(&arm) {
    rotations.reserve(arm.parts.size());
    for (Operation* part : arm.parts) rotations.emplace_back(*part);
    for (const std::size_t part : order) steps.push_back(&rotations[part]);
    out.in_place_s.resize(arm.parts.size());
    out.alone_s.resize(arm.parts.size());
  }

  const LayerArm* of;
  std::vector<Rotation> rotations;
  std::vector<Rotation*> steps;
  LayerSamples out;
};

class Turns {
 public:
  Turns(std::span<const LayerArm> arms, std::span<const std::size_t> order, SequenceTimer& timer,
        const Rules& rules, const std::function<bool()>& stop, const Around& around,
        const std::function<void()>& last)
      : order_(order), timer_(timer), rules_(rules), stop_(stop), around_(around), last_(last) {
    arms_.reserve(arms.size());
    for (const LayerArm& arm : arms) arms_.emplace_back(arm, order);
    places_.resize(arms.front().parts.size());
    for (const std::size_t part : order) ++places_[part];
  }

  std::vector<LayerSamples> run() {
    all_.interrupted = !(warm_up() && sample());
    const bool brief = sampled_s() < rules_.min_time_s;
    std::vector<LayerSamples> out;
    for (Taken& arm : arms_) {
      arm.out.probes = all_.probes;
      arm.out.stopped = all_.stopped;
      arm.out.settled = all_.settled;
      arm.out.brief = brief;
      arm.out.interrupted = all_.interrupted;
      out.push_back(std::move(arm.out));
    }
    return out;
  }

 private:
  bool warm_up() {
    const double start_s = timer_.now_s();
    double last_s = std::numeric_limits<double>::quiet_NaN();
    for (;;) {
      if (stop_()) return false;
      double whole_s = 0;
      for (Taken& arm : arms_) {
        surrounded(arm, [&](const SequenceTimer::Whole& whole) {
          whole_s += whole(arm.of->look);
          (void)timer_.laps(arm.steps);
        });
      }
      // NaN, the first time, is not settled.
      all_.settled = std::abs(whole_s - last_s) < rules_.settled * last_s;
      last_s = whole_s;
      const double spent_s = timer_.now_s() - start_s;
      if (spent_s >= rules_.max_warmup_s || (spent_s >= rules_.warmup_s && all_.settled)) break;
    }
    if (around_.probe) (void)around_.probe();
    return true;
  }

  bool sample() {
    const double start_s = timer_.now_s();
    probe();
    while (!enough(timer_.now_s() - start_s)) {
      if (stop_()) return false;
      for (Taken& arm : arms_) turn(arm);
      if (last_) last_();
      probe();
    }
    return true;
  }

  void probe() {
    if (!around_.probe) return;
    all_.probes.push_back(around_.probe());
    all_.probes.back().before = std::ssize(arms_.front().out.whole_s);
  }

  // Calls `body` with the whole, prepared, between the arm's begin() and end(), also where it
  // throws.
  template <class Body>
  void surrounded(Taken& arm, Body body) {
    until_it_moves([&](int) {
      const SequenceTimer::Whole whole = timer_.prepared(arm.steps);
      if (!arm.of->begin) {
        body(whole);
        return true;
      }
      arm.of->begin();
      or_else_ended([&] { body(whole); }, arm.of->end);
      return arm.of->end();
    });
  }

  struct Turn {
    double whole_s = 0;
    std::vector<double> laps, alone_s;
    double start_s = 0, between_s = 0, end_s = 0;
  };

  void turn(Taken& arm) {
    Turn taken;
    std::optional<double> launched_s;
    surrounded(arm, [&](const SequenceTimer::Whole& whole) {
      taken = {.start_s = steady_now_s()};
      taken.whole_s = whole(arm.of->look);
      if (!arm.of->begin) launched_s = timer_.launched(arm.steps);
      taken.laps = timer_.laps(arm.steps);
      taken.between_s = steady_now_s();
      for (Rotation& rotation : arm.rotations) {
        const std::vector<Rotation*> alone(1 + kAloneRuns, &rotation);
        const std::vector<double> runs = timer_.laps(alone);
        taken.alone_s.push_back(std::accumulate(runs.begin() + 1, runs.end(), 0.0) / kAloneRuns);
      }
      taken.end_s = steady_now_s();
    });
    if (launched_s) arm.out.launched_s.push_back(*launched_s);
    take(taken, arm.out);
  }

  void take(const Turn& turn, LayerSamples& out) const {
    const auto number = std::ssize(out.whole_s);
    out.whole_s.push_back(turn.whole_s);
    std::vector<double> sums(places_.size());
    for (std::size_t i = 0; i < turn.laps.size(); ++i) sums[order_[i]] += turn.laps[i];
    for (std::size_t part = 0; part < sums.size(); ++part) {
      out.in_place_s[part].push_back(sums[part] / static_cast<double>(places_[part]));
      out.alone_s[part].push_back(turn.alone_s[part]);
    }
    out.laps_s.push_back(std::accumulate(turn.laps.begin(), turn.laps.end(), 0.0));
    out.in_layer.push_back({number, number + 1, turn.start_s, turn.between_s});
    out.alone.push_back({number, number + 1, turn.between_s, turn.end_s});
  }

  [[nodiscard]] double sampled_s() const {
    const std::vector<double>& whole_s = arms_.front().out.whole_s;
    return std::accumulate(whole_s.begin(), whole_s.end(), 0.0);
  }

  bool enough(double spent_s) {
    const auto have = std::ssize(arms_.front().out.whole_s);
    const auto arms = static_cast<double>(arms_.size());
    const bool late = spent_s >= kKinds * arms * rules_.max_time_s;
    // A turn is the whole, its laps, its parts alone and, on a GPU, graphs' first launches.
    constexpr double kTurns = 2;
    const bool too_late =
        late && spent_s >= kTurns * rules_.max_overhead * arms * rules_.min_time_s;
    if (have < rules_.min_samples || (sampled_s() < rules_.min_time_s && !too_late)) return false;
    all_.stopped = stop_rule_.why_stop(have, late, [this](std::int64_t n) { return narrow(n); });
    return !all_.stopped.empty();
  }

  [[nodiscard]] bool narrow(std::int64_t count) const {
    return std::ranges::all_of(arms_, [&](const Taken& arm) {
      const Measurement first = first_samples(arm.out.whole_s, all_.probes, count);
      return median_time(first).half_width() < rules_.target;
    });
  }

  std::span<const std::size_t> order_;
  SequenceTimer& timer_;
  const Rules& rules_;
  const std::function<bool()>& stop_;
  const Around& around_;
  const std::function<void()>& last_;
  std::vector<Taken> arms_;
  std::vector<std::int64_t> places_;  // of each part in the layer
  StopRule stop_rule_{rules_.target, rules_.max_samples};
  LayerSamples all_;  // what isn't of one arm
};

}  // namespace

std::vector<LayerSamples> measure_layers(std::span<const LayerArm> arms,
                                         std::span<const std::size_t> order, SequenceTimer& timer,
                                         const Rules& rules, const std::function<bool()>& stop,
                                         const Around& around, const std::function<void()>& last) {
  return Turns(arms, order, timer, rules, stop, around, last).run();
}

LayerSamples measure_layer(std::span<Operation* const> parts, std::span<const std::size_t> order,
                           SequenceTimer& timer, const Rules& rules,
                           const std::function<bool()>& stop, const Around& around) {
  const LayerArm one{.parts = {parts.begin(), parts.end()}};
  return measure_layers({&one, 1}, order, timer, rules, stop, around, nullptr).front();
}

}  // namespace trainmeter
