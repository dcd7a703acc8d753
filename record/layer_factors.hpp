// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a layer and its parts lose to fewer SMs, to their place in the layer, and to what moves data
// beside it (layer_bench --co_sms): factors that multiply, so that none is counted twice.
#pragma once

#include "record/overlap.hpp"
#include "record/record.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace trainmeter {

// Medians, times over times; alone_s x sms x in_place x traffic is the time in the layer beside the
// co-runner. All were measured in turn, so at the same clock.
struct LayerFactor {
  std::string what;       // name of a part without what is beside it; or of several
  double places = 1;      // in the layer
  double alone_s = 0;     // on all SMs, of all places together
  double sms = 1;         // alone on those that the co-runner leaves, idle / on all
  double in_place = 1;    // on those in the layer / alone
  double traffic = 1;     // in the layer beside the working co-runner / beside the idle one
  double in_place_s = 0;  // so in the layer on all SMs
  [[nodiscard]] double beside_s() const { return alone_s * sms * in_place * traffic; }
  // In the layer, on those that the co-runner leaves idle / on all.
  [[nodiscard]] double sms_in_place() const { return alone_s * sms * in_place / in_place_s; }
};

struct LayerFactors {
  Interference whole;                    // of the layer; pointers into the record
  std::vector<LayerFactor> parts;        // the longest first
  LayerFactor gemms, attention, others;  // sums of parts; places: 0 where there is none
  std::vector<std::size_t> lines;        // of the record, that hold the parts' rows
  // GEMMs, attention core and other parts, where the layer has them.
  [[nodiscard]] std::vector<LayerFactor> sums() const;
};

// Of every layer of a record that was measured beside a co-runner with all its parts, in its order.
std::vector<LayerFactors> layer_factors(const Record& record);

}  // namespace trainmeter
