// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a device-hour costs in a prediction, and who asks or asked that.
#pragma once

#include "report/predict.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

inline constexpr const char* kPriceInput = "price_usd_per_gpu_hour";  // as a UsedInput

struct Price {
  std::optional<double> usd_per_gpu_hour;
  std::string how;   // "RunPod on demand, March 2025, ..."; empty without a price
  std::string kind;  // and where it stands: as of a UsedInput
  KeyPlace place = {};
  std::vector<std::string> origins = {};

  [[nodiscard]] std::optional<UsedInput> input() const;
};

// The one asked for before the run's before the system's. The run's is of its own system:
// carried_to() leaves it out.
Price price_of(const Run& run, const System& system, const PredictOptions& options);

// Where the prices of the run's own system and of another are not of one source, so that costs
// compare more than machines: says so. Empty else, and where one of them has no price.
std::string prices_apart(const Run& run, const System& other);

}  // namespace trainmeter
