// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Sums with the rounding of what they are made of.
#pragma once

#include "record/formulas.hpp"

namespace trainmeter {

// A printed figure with its rounding: half a unit of its last digit that isn't a trailing zero.
struct Printed {
  double value = 0;
  double slack = 0;
};

inline Printed printed(double value) {
  return {value, value > 0 ? printed_unit(value) / 2 : 0};
}

inline Printed exact(double value) {
  return {value, 0};
}

inline Printed times(Printed a, Printed b) {
  return {a.value * b.value, a.slack * b.value + b.slack * a.value + a.slack * b.slack};
}

// The wider side of the range: that of the least divisor.
inline Printed over(Printed a, Printed b) {
  const double value = a.value / b.value;
  return {value, (a.value + a.slack) / (b.value - b.slack) - value};
}

}  // namespace trainmeter
