// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The measuring loop of a layer: in every turn the whole of it, its operations between their
// neighbours, and the same alone, so that all meet the same clock; of several ways to run it, too.
#pragma once

#include "bench/measure.hpp"
#include "bench/sequence_timer.hpp"
#include "kernels/operation.hpp"

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace trainmeter {

// One entry a turn.
struct LayerSamples {
  std::vector<double> whole_s;     // all operations, nothing between them
  std::vector<double> launched_s;  // on a GPU: launched one by one by the host; else empty
  std::vector<double> laps_s;      // sum of the times in place
  // Of each part: in place, the mean over its places in the layer; alone, the mean of kAloneRuns
  // back to back.
  std::vector<std::vector<double>> in_place_s, alone_s;
  std::vector<Round> in_layer, alone;  // when
  std::vector<Probe> probes;
  std::string stopped;  // Measurement::stopped
  bool settled = true;
  bool brief = false;  // the whole was sampled for less than Rules::min_time_s
  bool interrupted = false;
};

inline constexpr int kAloneRuns = 2;  // after one that isn't counted

// `order`: which part runs when; each part at least once. A part's runs rotate over its operand
// sets, wherever they are. Turns go on as a case's samples do, until the whole's median is known
// well enough, for at most three times Rules::max_time_s (three kinds of times are taken), or
// longer for its min_time_s.
LayerSamples measure_layer(std::span<Operation* const> parts, std::span<const std::size_t> order,
                           SequenceTimer& timer, const Rules& rules,
                           const std::function<bool()>& stop, const Around& around = {});

// One of several ways to run the same layer, and what surrounds it.
struct LayerArm {
  std::vector<Operation*> parts;
  // Around all of a turn's times of it, and what is looked at around the whole (SequenceTimer). All
  // or none: an arm with them isn't launched by the host as well.
  std::function<void()> begin;
  std::function<void(void* stream)> look;
  std::function<bool()> end;  // false where the turn didn't show what it should: it is done again
};

// The arms in turn, in every turn each once and then `last`, until the medians of all wholes are
// known well enough, so many times as long as one at most. What isn't of one arm is in all samples.
// EnvironmentFailed where a turn fails ten times.
std::vector<LayerSamples> measure_layers(std::span<const LayerArm> arms,
                                         std::span<const std::size_t> order, SequenceTimer& timer,
                                         const Rules& rules, const std::function<bool()>& stop,
                                         const Around& around, const std::function<void()>& last);

}  // namespace trainmeter
