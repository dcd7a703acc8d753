// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a file a user writes may hold at most: far beyond anything real, and small enough that
// no product of two sizes leaves 64 bits.
#pragma once

#include "record/strict_json.hpp"

#include <cstdint>
#include <string>

namespace trainmeter {

inline constexpr std::int64_t kMaxModelSize = 100'000'000;  // layers, widths, heads, experts
inline constexpr std::int64_t kMaxRunSize = 1'000'000'000;  // GPUs, sequences, tokens in one
inline constexpr double kMaxTokens = 1e18;                  // of a whole run

// A whole number from `least` to `most`.
std::int64_t bounded(StrictObject& object, const std::string& key, std::int64_t least,
                     std::int64_t most);

std::string filled(StrictObject& object, const std::string& key);  // a string that isn't empty

}  // namespace trainmeter
