// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a file a user writes may hold at most: far beyond anything real, and small enough that
// no product of two sizes leaves 64 bits.
#pragma once

#include "record/error.hpp"
#include "record/strict_json.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace trainmeter {

inline constexpr std::int64_t kMaxModelSize = 100'000'000;  // layers, widths, heads, experts
inline constexpr std::int64_t kMaxRunSize = 1'000'000'000;  // GPUs, sequences, tokens in one
inline constexpr std::int64_t kMaxOperationSize = 1'000'000'000'000;  // rows, weights of one
inline constexpr double kMaxTokens = 1e18;                            // of a whole run
inline constexpr double kMaxParams = 1e18;                            // of a model
inline constexpr double kMaxGpuHours = 1e12;  // a hundred million GPUs for a year
inline constexpr double kMaxWallHours = 1e6;
inline constexpr double kMaxUsdPerGpuHour = 1000;
inline constexpr double kMaxUsd = kMaxGpuHours * kMaxUsdPerGpuHour;
// Of one GPU, or a processor: from less than a small one has to what none comes near. Beyond them a
// unit was mistaken (TFLOP/s, GB, kW).
struct Range {
  double least, most;
  const char* unit;
};
inline constexpr Range kFlopsPerS{1e9, 1e17, "FLOP/s of one GPU"};
inline constexpr Range kMemoryBytes{1e8, 1e14, "bytes"};
inline constexpr Range kMemoryBytesPerS{1e9, 1e14, "bytes/s of one GPU"};
inline constexpr Range kLinkBytesPerS{1e6, 1e14, "bytes/s, one way, per GPU"};
inline constexpr Range kPowerW{1, 1e5, "W of one GPU"};
// Of what a run reports. The least is what the slowest run on a processor reaches.
inline constexpr Range kTflopsPerGpu{kFlopsPerS.least / 1e12, kFlopsPerS.most / 1e12,
                                     "TFLOP/s of one GPU"};
inline constexpr Range kTokensPerDay{1e3, kMaxTokens, "tokens of the whole run a day"};
inline constexpr Range kTokensPerS{1e-3, 1e9, "tokens/s of one GPU"};
inline constexpr double kMaxSlotS = 1e5;
inline constexpr double kMaxHostS = 1e6;   // to launch a step
inline constexpr double kMaxBytes = 1e18;  // of one operation
inline constexpr double kMaxOutputTokens = 1e9;
inline constexpr std::size_t kLongestName = 1000;  // of a file
inline constexpr int kMostStages = 100;            // of a run, and of the runs that it names

// A whole number from `least` to `most`.
std::int64_t bounded(StrictObject& object, const std::string& key, std::int64_t least,
                     std::int64_t most);

// A number above 0 and at most `most`; `what` says of what, in messages.
double at_most(StrictObject& object, const std::string& key, double most, const char* what);
std::optional<double> at_most_if_there(StrictObject& object, const std::string& key, double most,
                                       const char* what);

// A number in a range.
double within(StrictObject& object, const std::string& key, const Range& range);
std::optional<double> within_if_there(StrictObject& object, const std::string& key,
                                      const Range& range);

// Whether the text names a file: it ends in .json or has a folder (./mine). Else it is an id.
bool names_a_file(const std::string& text);

// The file that an object's `text` names: an id as it is; a path, which is from the object's own
// file, as one that can be opened. BadInput where it leads out of that file's folder, over links
// too.
std::string named(const StrictObject& object, const std::string& key, const std::string& text);

// What `find` makes of what an object names; a refusal names the place of the name too.
template <class Find>
auto referred(const std::string& place, Find find) {
  try {
    return find();
  } catch (const BadInput& error) {
    throw BadInput(place + ": " + error.what());
  }
}

bool is_within(const std::filesystem::path& file, const std::filesystem::path& folder);

std::string filled(StrictObject& object, const std::string& key);  // a string that isn't empty

}  // namespace trainmeter
