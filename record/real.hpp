// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A count as a number to calculate with.
#pragma once

#include <cstdint>

namespace trainmeter {

// Exact below 2^53.
inline double real(std::int64_t value) {
  return static_cast<double>(value);
}

}  // namespace trainmeter
