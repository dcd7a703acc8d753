// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The measuring loop of a layer: in every turn the whole of it, its operations between their
// neighbours, and the same alone, so that all meet the same clock.
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
  bool interrupted = false;
};

inline constexpr int kAloneRuns = 2;  // after one that isn't counted

// `order`: which part runs when; each part at least once. A part's runs rotate over its operand
// sets, wherever they are. Turns go on as a case's samples do, until the whole's median is known
// well enough, for at most three times Rules::max_time_s: three kinds of times are taken.
LayerSamples measure_layer(std::span<Operation* const> parts, std::span<const std::size_t> order,
                           SequenceTimer& timer, const Rules& rules,
                           const std::function<bool()>& stop, const Around& around = {});

}  // namespace trainmeter
