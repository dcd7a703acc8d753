// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The rows of a case that was measured alone and beside a co-runner (overlap_bench), and what they
// say together. All were measured in turn, sample by sample, so ratios are paired.
#pragma once

#include "record/median_estimate.hpp"
#include "record/record.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

inline constexpr const char* kCoSms = "co_sms";           // shape key: the co-runner's SMs
inline constexpr const char* kCoRate = "co_bytes_per_s";  // and its rate, where it was set
inline constexpr const char* kIdle = "idle";              // beside: SMs held, nothing done
inline constexpr const char* kInLayer = "layer";          // beside: a layer's other kernels
std::string in_layer_beside(const std::string& what);     // these, and that: "layer+idle"
inline constexpr const char* kOfLayer = "of_layer";  // note of a part: its layer's name beside it
// memory_mover cache_mover poller allreduce peer_allreduce
const std::vector<std::string>& co_runner_names();

struct OverlapRows {
  Measurement alone;     // on all SMs
  Measurement held;      // on those that are left; the co-runner holds the others and does nothing
  Measurement together;  // the same while it works
  Measurement co_alone;  // the co-runner
  Measurement co_together;
  std::optional<Measurement> crowded;  // told of no co-runner, beside it: the grid of all SMs
};

// The name that all rows of a row's case share: that of the operation alone.
const std::string& overlap_of(const Measurement& row);

// Without the co-runner in it: all before "/memory_mover/".
std::string own_name(const std::string& name, const std::string& co_runner);

// Everything but samples and work. `alone` has the name of all, with the co-runner in it.
OverlapRows overlap_rows(const Measurement& alone, const std::string& co_runner,
                         std::int64_t co_sms, bool crowded);

// Times over times: 1 where nothing is lost. `sms` x `traffic` is all that the operation loses.
struct Interference {
  const Measurement *alone = nullptr, *held = nullptr, *together = nullptr, *co_alone = nullptr,
                    *co_together = nullptr, *crowded = nullptr;  // crowded: null where there's none
  MedianEstimate sms;                                            // held / alone: fewer SMs
  MedianEstimate traffic;                // together / held: what moves on the others
  MedianEstimate both;                   // together / alone
  MedianEstimate co_traffic;             // of the co-runner, together / alone
  std::optional<MedianEstimate> untold;  // crowded / alone
};

// Of every complete case of a record, in its order, but parts of a layer (layer_factors.hpp);
// pointers into it.
std::vector<Interference> interferences(const Record& record);

// Whether its operands were left in the caches.
bool is_hot(const Record& record, const Interference& one);

// Two cases beside the same co-runner, all rows of both in turn (--versus): times of `other` over
// those of `one`, above 1 where `one` is faster.
struct InterferencePair {
  const Interference *one = nullptr, *other = nullptr;
  MedianEstimate alone, together;
};

// Of those that name each other, the first one first; pointers into `found`.
std::vector<InterferencePair> interference_pairs(const std::vector<Interference>& found);

}  // namespace trainmeter
