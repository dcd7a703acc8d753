// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The fastest of several ways to do the same on a GPU, found by doing it.
#pragma once

#include <cstddef>
#include <functional>

namespace trainmeter {

// Runs launch(way, trial) on `stream` (a cudaStream_t) for each of `ways`, in turn, so that a clock
// that rises meanwhile favours none; five trials, of which the shortest time of each counts. One
// that takes half as long again as the best isn't tried again. `kernels`: launches of one run.
// Returns the best one's index.
std::size_t fastest_of(void* stream, std::size_t ways,
                       const std::function<void(std::size_t way, int trial)>& launch,
                       int kernels = 1);

}  // namespace trainmeter
