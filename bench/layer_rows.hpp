// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What the rows of a layer and its parts say together.
#pragma once

#include "record/record.hpp"

#include <string>
#include <vector>

namespace trainmeter {

// `rows`: of each part one in place (`beside` is "layer") and behind it the same alone; the layer's
// own is the last. Medians. A part's runs_per_sample in place is the number of its places.
//
// Into the layer's notes, as numbers: laps_vs_layer, the sum of all times in place / the layer's;
// alone_vs_layer, the same alone; in_place_ratio, of all GEMMs the time in place / the time alone;
// in_place_ratio_others, of all other parts; and the clocks of both, where they could be read, as
// clock_in_layer_hz and clock_alone_hz.
void note_ratios(std::vector<Measurement>& rows);

inline constexpr const char* kLayerNotes[] = {"in_place_ratio", "in_place_ratio_others",
                                              "laps_vs_layer", "alone_vs_layer",
                                              "launched_vs_layer"};

// One line a part, the longest in place first: places, time in place, alone, their ratio; beside a
// co-runner the factors of record/layer_factors.hpp instead.
std::string layer_table(const std::vector<Measurement>& rows);

}  // namespace trainmeter
