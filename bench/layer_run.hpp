// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What all ways to run a layer share: its check as a whole, and what its rows are told.
#pragma once

#include "bench/case.hpp"
#include "bench/layer_measure.hpp"
#include "bench/monitor.hpp"
#include "record/record.hpp"

#include <memory>
#include <vector>

namespace trainmeter {

// What a part's row says of its check, into the layer's: the one that is closest to its bound
// speaks for the layer, and the first that failed makes it wrong.
void take_check(const Measurement& part, Measurement& layer);

// False where it is wrong, as `whole` then says.
bool right_as_a_whole(const Case& layer, Measurement& whole);

std::unique_ptr<SequenceTimer> sequence_timer(DeviceKind kind);

// All of a row but its times: how sampling ended, and what was watched during `phases` alone.
void note_layer(const LayerSamples& samples, const Watched& watched,
                const std::vector<Round>& phases, Measurement& row);

}  // namespace trainmeter
