// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One operation measured by a clock that the test moves.
#pragma once

#include "bench/measure.hpp"

#include "fakes.hpp"

#include <array>
#include <functional>
#include <memory>
#include <numeric>
#include <vector>

namespace trainmeter {

inline constexpr double kResolution = 1e-8;  // of the fake clock; a sample must span 1 us

inline Measured measure_one(FakeTime& time, FakeOperation& operation, const Rules& given,
                            const std::function<bool()>& stop = never) {
  const auto timer = make_cpu_timer(time.clock(kResolution), nullptr);
  std::array<Operation*, 1> operations = {&operation};
  return measure(operations, *timer, given, nullptr, stop);
}

inline double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

}  // namespace trainmeter
