// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which of a measurement's samples count, and what they say: the one way from raw samples to a
// median with its interval.
#pragma once

#include "record/median_estimate.hpp"
#include "record/record.hpp"

#include <vector>

namespace trainmeter {

// Marked samples are left out, but never more than this share: beyond it the machine was like that,
// and all count.
inline constexpr double kMostLeftOut = 0.25;

struct CountedSamples {
  std::vector<double> time_s;    // in the order taken
  std::int64_t left_out = 0;     // marked, and not among them
  bool too_many_marked = false;  // so none was left out
};
CountedSamples counted_samples(const Measurement& measurement);

// A counter that moved at fewer readings than this is too coarse: its ends alone are a fifth of it.
inline constexpr std::int64_t kLeastEnergySteps = 10;

// FLOP/J of what was measured (bytes/J where it does no FLOP), and FLOP per cycle of an SM at the
// median of the clocks read. Nothing where the energy is unknown or too coarse, where several ranks
// shared it, or where no clock could be read.
std::optional<double> work_per_joule(const Measurement& measurement);
std::optional<double> flops_per_cycle(const Measurement& measurement);

// What the device drew while this ran, in W: its energy over the time of its runs where a counter
// of energy tells; else the readings, once they have settled. NVML's power is a mean over a second,
// so it climbs for as long from what was drawn before: read ten times a second, from 500 W to 700 W
// by 3 % a reading. Settled: the last third of the readings, three at least, within kSettled of one
// another. Rows that were measured in turn share their readings. Nothing where neither tells, or
// where several ranks shared the power.
inline constexpr double kSettled = 0.02;
inline constexpr std::size_t kLeastSettled = 3;
std::optional<double> settled_power_w(const Measurement& measurement);

// Of one run, in seconds. std::invalid_argument where there are no samples.
MedianEstimate median_time(const Measurement& measurement, double confidence = 0.95);

// Time of `main` / time of `other`, whose samples were taken in turn (--versus, or rows of one
// overlap): pair by pair, those where neither is marked. std::invalid_argument where they aren't a
// pair.
MedianEstimate paired_ratio(const Measurement& main, const Measurement& other,
                            double confidence = 0.95);

// The same of rows that the caller knows to be of one turn: of two overlaps (record/overlap.hpp).
MedianEstimate ratio_in_turn(const Measurement& main, const Measurement& other,
                             double confidence = 0.95);

}  // namespace trainmeter
