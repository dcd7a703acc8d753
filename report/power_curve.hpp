// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How power grows with the clock, from what was measured at several clocks; so, the clock that a
// kernel sustains under another power cap. docs/transfer.md has the model.
#pragma once

#include "record/record.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// A sustained clock, and rate, under a power cap goes with the dynamic power to this exponent.
// Dynamic power is the clock times voltage squared; where voltage falls with the clock to the power
// g / 2, energy per FLOP falls as the clock to the g, and the rate goes with power to 1 / (1 + g):
// g = 2 (voltage proportional to the clock) gives 1/3, g = 0 (voltage already at its floor) gives
// 1, g = 1 lies between.
inline constexpr double kPowerExponent = 0.5;
inline constexpr double kPowerExponentLow = 1.0 / 3;
inline constexpr double kPowerExponentHigh = 1;

// An idle card's power as a share of its cap: 68 to 78 W of 700 in nvidia-smi outputs of H100 and
// H200 without a process, about 120 W with clocks held up.
inline constexpr double kIdleShare = 0.10, kIdleShareLow = 0.08, kIdleShareHigh = 0.18;

// What a case drew at a clock: Hz, W.
struct PowerPoint {
  std::string name;
  double clock_hz = 0, power_w = 0;
};

// The stretches of a usable measurement that know both; none where ranks shared the power.
std::vector<PowerPoint> power_points(const Measurement& measurement);

struct PowerExponent {
  double value = kPowerExponent;
  double low = kPowerExponentLow, high = kPowerExponentHigh;  // 90 %
  std::size_t clocks = 0;  // distinct ones it was measured at; 0: from physics alone
};

// Least squares of log dynamic power on log clock over all points, each case about its own mean,
// idle power as above of `nominal_w` (the datasheet's). Points whose clocks are within 1 % count as
// one, so that readings which repeat each other don't feign certainty. Student's t for the range,
// widened by that of the idle share; all within 1/3 to 1. Nothing with fewer than three distinct
// clocks of a case, 10 % apart from the lowest to the highest, or where power doesn't rise with the
// clock beyond chance.
std::optional<PowerExponent> measured_exponent(const std::vector<PowerPoint>& points,
                                               double nominal_w);

// The clock that the kernel of `measured` sustains where its power is `cap_w`: the middle, and the
// corners of the exponent's range and the idle share's. Unbounded by the highest clock of the card.
struct SustainedClock {
  double hz = 0, low_hz = 0, high_hz = 0;
};
SustainedClock sustained_clock(const PowerPoint& measured, double cap_w, double nominal_w,
                               const PowerExponent& exponent);

}  // namespace trainmeter
