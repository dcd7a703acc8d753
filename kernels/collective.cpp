// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What all worlds share.
#include "kernels/collective.hpp"

#include <algorithm>
#include <cstdlib>

namespace trainmeter {

double World::slowest(double seconds) {
  return std::ranges::max(each(seconds));
}

double rank_timeout_s() {
  const char* text = std::getenv("TRAINMETER_TIMEOUT");
  const double seconds = text == nullptr ? 0 : std::atof(text);
  return seconds > 0 ? seconds : 60;
}

}  // namespace trainmeter
